//! Changes that are written to a real Active Directory (Samba): accounts, passwords, states, names and groups.

#[path = "writes_active_directory/accounts.rs"]
mod accounts;
#[path = "writes_active_directory/common.rs"]
mod common;
#[path = "writes_active_directory/deleted.rs"]
mod deleted;
#[path = "writes_active_directory/groups.rs"]
mod groups;
#[path = "writes_active_directory/protection.rs"]
mod protection;
#[path = "writes_active_directory/rights.rs"]
mod rights;
#[path = "writes_active_directory/state.rs"]
mod state;
