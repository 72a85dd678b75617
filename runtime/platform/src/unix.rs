//! Linux, and what is like it.

pub mod files;
pub mod local;
pub mod log;
pub mod ownership;
pub mod paths;
pub mod seal;
pub mod service_manager;
pub mod signals;
