//! The site's policy against a control plane that asks for everything that is forbidden, on a real OpenLDAP: what counts is
//! what the server itself has logged.

mod chance;
mod explained;
mod forbidden;
mod hostile;
mod tree;
