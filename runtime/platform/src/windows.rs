//! Windows.

pub mod files;
pub mod local;
pub mod log;
pub mod ownership;
pub mod paths;
mod raw;
pub mod seal;
pub mod service;
pub mod service_manager;
pub mod signals;
mod source;
mod status;
