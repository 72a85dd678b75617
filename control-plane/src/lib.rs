//! The Postern control plane: the surfaces of the engine. `gateway` speaks with agents, `api` with
//! programs, `cli` with administrators; `app` wires them.

pub mod api;
pub mod app;
mod calls;
pub mod cli;
pub mod config;
mod crowd;
pub mod gateway;
mod home;
mod http;
pub mod pki;
mod refusals;
mod upkeep;
