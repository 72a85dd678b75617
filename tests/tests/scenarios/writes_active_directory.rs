//! Changes that are written to a real Active Directory (Samba): accounts, passwords, states, names and groups.

mod accounts;
mod common;
mod deleted;
mod groups;
mod protection;
mod races;
mod rights;
mod state;
