//! From accounts to the organization's own users and groups.

pub mod mapping;
pub mod matching;
pub mod membership;
