//! What the agent and the control plane both need and that belongs to no domain: the life of the process, its
//! tasks, its log, its settings and its reference of commands, retrying, time, TLS roots and secret files.

pub mod build;
pub mod clock;
pub mod exit;
pub mod failpoint;
pub mod lifecycle;
pub mod nearest;
pub mod ownership;
pub mod plain;
pub mod pulse;
pub mod reference;
pub mod retry;
pub mod secret;
pub mod service_manager;
pub mod settings;
pub mod supervise;
pub mod telemetry;
pub mod tls;
