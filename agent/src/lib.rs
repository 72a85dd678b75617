//! The Postern agent as a library: a session with a control plane that executes commands against the directories
//! that it serves. The program `postern-agent` wraps it; simulated agents in tests use it as it is.

pub mod agent;
pub mod certificate;
pub mod cli;
pub mod command;
pub mod commands;
pub mod config;
pub mod deliver;
pub mod diagnose;
mod encode;
pub mod failure;
pub mod health;
pub mod identity;
pub mod link;
pub mod passwords;
pub mod policy;
pub mod renew;
pub mod roster;
pub mod served;
pub mod session;
pub mod socket;
pub mod status;
pub mod wire;

mod app;

pub use self::agent::{Agent, Options, Parts};

/// Version of the agent's software.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
