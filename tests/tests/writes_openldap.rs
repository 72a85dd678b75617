//! Changes that are written to a real OpenLDAP: each wanted end, what a second try meets, and what the server's own log
//! says was sent.

#[path = "writes_openldap/common.rs"]
mod common;
#[path = "writes_openldap/cuts.rs"]
mod cuts;
#[path = "writes_openldap/groups.rs"]
mod groups;
#[path = "writes_openldap/life.rs"]
mod life;
#[path = "writes_openldap/moves.rs"]
mod moves;
#[path = "writes_openldap/passwords.rs"]
mod passwords;
#[path = "writes_openldap/races.rs"]
mod races;
#[path = "writes_openldap/rights.rs"]
mod rights;
#[path = "writes_openldap/state.rs"]
mod state;
#[path = "writes_openldap/values.rs"]
mod values;
