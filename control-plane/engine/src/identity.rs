//! From accounts to the organization's own users and groups.

mod forms;
mod json;
pub mod mapping;
pub mod matching;
pub mod membership;
