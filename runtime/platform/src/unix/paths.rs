//! Where the agent's files are, and the name of this machine.

use std::path::PathBuf;

/// The agent's configuration, unless the command line names another one.
pub fn configuration() -> PathBuf {
    PathBuf::from("/etc/postern/agent.toml")
}

/// The agent's state folder, unless the configuration names another one.
pub fn state_folder() -> PathBuf {
    PathBuf::from("/var/lib/postern-agent")
}

/// The machine's name as it knows it itself; perhaps with its domain, perhaps empty.
pub fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default()
}
