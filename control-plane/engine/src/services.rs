//! What administrators can read, request and decide, through any surface: the API and the command line only translate.
//!
//! An [`Actor`] opens a service with a right, and the calls are methods of the result:
//! `services.users(&actor)?.list(…)`. So the right is checked once, before anything is read, and no call can forget it.
//! Each resource has a file here.

mod access;
pub mod accounts;
mod actor;
mod again;
mod agents;
mod answers;
pub mod api_tokens;
mod assigned_groups;
pub mod attributes;
pub mod audit;
pub mod bulk_users;
mod change;
pub mod change_groups;
pub mod change_users;
mod changes;
pub mod conflicts;
pub mod consequences;
mod deleted_users;
pub mod directories;
pub mod directory_order;
pub mod enrollment_tokens;
mod error;
pub mod explanations;
mod gate;
pub mod groups;
pub mod jobs;
mod known_directories;
pub mod link_accounts;
pub mod managers;
pub mod mapping;
mod mapping_facts;
pub mod mapping_preview;
pub mod matching;
mod member_source;
pub mod members;
pub mod merge_users;
mod names;
pub mod organization;
pub mod organizations;
pub mod outbound_preview;
mod pages;
pub mod passwords;
pub mod plans;
pub mod provisioning;
pub mod provisioning_report;
mod resolve;
mod restorable;
mod rights;
pub mod schedules;
mod search;
mod sign_in;
pub mod sources;
mod status;
pub mod terms;
pub mod users;
pub mod versions;
mod write_through;
mod write_users;

pub use access::Services;
pub use actor::{Actor, Probe, Who};
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
