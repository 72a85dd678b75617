//! Changes that are written to a real OpenLDAP: each wanted end, what a second try meets, and what the server's own log
//! says was sent.

#[path = "writes_openldap/life.rs"]
mod life;
