//! The site's policy against a control plane that asks for everything that is forbidden, on a real OpenLDAP: what counts is
//! what the server itself has logged.

#[path = "site_policy/chance.rs"]
mod chance;
#[path = "site_policy/explained.rs"]
mod explained;
#[path = "site_policy/forbidden.rs"]
mod forbidden;
#[path = "site_policy/hostile.rs"]
mod hostile;
#[path = "site_policy/tree.rs"]
mod tree;
