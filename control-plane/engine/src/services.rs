//! What administrators ask for and decide, whichever way they come: the API, the command line, later SCIM and the console
//! only translate.
//!
//! A service is opened by an [`Actor`] with a right, and what it does is a method of what that opened:
//! `services.users(&actor)?.list(…)`. So a right is checked once, before anything is read, and no call can forget it.
//! A resource is one file here: what opens it, and its calls.

mod access;
pub mod accounts;
mod actor;
pub mod agents;
mod answers;
pub mod api_tokens;
mod changes;
pub mod conflicts;
pub mod directories;
pub mod enrollment_tokens;
mod error;
mod gate;
pub mod groups;
pub mod jobs;
mod known_directories;
mod names;
pub mod organization;
pub mod organizations;
mod pages;
mod resolve;
mod rights;
mod search;
mod sign_in;
mod status;
pub mod users;

pub use access::Services;
pub use actor::{Actor, Who};
pub use answers::Answers;
pub use changes::{Changes, Ear, too_many_streams};
pub use error::{Candidate, Error, Message, Result};
pub use gate::{Door, Gate};
pub use pages::Listed;
pub use postern_store::DatabaseUrl;
pub use rights::Right;
pub use search::Search;
pub use sign_in::SignedIn;

#[cfg(test)]
mod tests;
