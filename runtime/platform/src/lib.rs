//! What differs between operating systems, and nothing else. Both systems have the same modules with the same functions, so
//! that the rest of the software is written once:
//!
//! - `paths`: where the agent's files are, and the name of this machine;
//! - `files`: files and folders for their owner only;
//! - `ownership`: who owns them;
//! - `seal`: how a secret lies on the disk;
//! - `signals`: what asks the process to stop, and to read its configuration again;
//! - `service_manager`: what the process tells the one who started it;
//! - `log`: where lines of log go;
//! - `local`: the agent's answer to `postern-agent status`.
//!
//! Windows has a further one, `service`: the agent as a Windows service.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use self::unix::{files, local, log, ownership, paths, seal, service_manager, signals};
#[cfg(windows)]
pub use self::windows::{files, local, log, ownership, paths, seal, service, service_manager, signals};
