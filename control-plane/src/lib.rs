//! The Postern control plane: the agents' side door (`gateway`), the work that administrators ask for (`jobs`), what an
//! import leaves behind (`intake`, `identity`), the API and the command line.

pub mod api;
pub mod app;
mod calls;
pub mod cli;
pub mod config;
mod crowd;
pub mod gateway;
mod home;
mod http;
pub mod identity;
pub mod intake;
pub mod jobs;
pub mod pki;
mod refusals;
pub mod secrets;
mod upkeep;
pub mod wire;
