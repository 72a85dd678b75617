//! From accounts to the organization's own users and groups. Knows neither the wire nor imports: what it maps comes as a
//! [`view`].

mod forms;
mod json;
pub mod mapping;
pub mod matching;
pub mod membership;
pub mod stored;
pub mod view;
