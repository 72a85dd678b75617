//! The harness: starts real OpenLDAP, 389 Directory Server, Samba AD, PostgreSQL, squid, control plane and agent processes
//! on free ports in temporary folders, breaks them on purpose, and compares the end state with what the directory holds.
//!
//! Everything is killed by process id when it is dropped, and dies with the program that started it. The scenarios
//! in `tests/tests` and the demo and benchmarks in `xtask` are built from it.

pub mod agent;
pub mod api;
pub mod binaries;
pub mod certificate_shop;
pub mod certificates;
pub mod compare;
pub mod control_plane;
pub mod ds389;
pub mod effects;
pub mod failures;
pub mod fleet;
#[cfg(feature = "agents")]
pub mod in_process_agent;
pub mod install;
mod kept;
pub mod kills;
pub mod ldap_client;
pub mod ldif;
pub mod line;
pub mod people;
pub mod ports;
pub mod postgres;
pub mod postgres_programs;
pub mod process;
#[cfg(feature = "agents")]
pub mod raw_agent;
pub mod relay;
pub mod running;
pub mod samba;
pub mod seeded;
#[cfg(feature = "agents")]
pub mod simulated_agent;
pub mod site;
#[cfg(feature = "agents")]
pub mod skewed_gateway;
pub mod slapd;
pub mod small_disk;
pub mod squid;
pub mod stage;
pub mod tutorial;
pub mod wait;
#[cfg(feature = "agents")]
pub mod writing;

pub use stage::{Stage, scenario};
