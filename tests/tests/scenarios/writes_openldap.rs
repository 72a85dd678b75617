//! Changes that are written to a real OpenLDAP: each wanted end, what a second try meets, and what the server's own log
//! says was sent.

pub(crate) mod choices;
mod common;
mod cuts;
mod groups;
mod life;
mod moves;
mod passwords;
mod races;
mod rights;
mod state;
mod values;
