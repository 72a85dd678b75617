//! From accounts to the organization's users and groups. Independent of the wire and of imports: it maps a [`view`].

pub mod attributes;
mod forms;
mod json;
pub mod mapping;
pub mod match_rules;
pub mod matching;
pub mod membership;
pub mod profile;
pub mod stored;
pub mod trial;
pub mod values;
pub mod view;
