//! The gateway, which agents connect to: which agents are admitted, and what serves each call.

mod admission;
mod calls;
mod certificates;
mod connection;
mod connection_thread;
mod deliver;
mod enrollment;
pub(crate) mod held;
pub mod listener;
mod memory;
mod parts;
mod pulse;
mod receiving;
pub mod registry;
pub mod revocation;
mod service;
mod session;
pub(crate) mod silence;
#[cfg(test)]
mod tests;
mod unwritten;

pub use self::parts::{Gateway, Parts};
pub use self::service::Service;
