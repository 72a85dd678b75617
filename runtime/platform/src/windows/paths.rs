//! Where the agent's files are, and the name of this machine.

use std::path::PathBuf;

/// The agent's configuration, unless the command line names another one.
pub fn configuration() -> PathBuf {
    folder().join("agent.toml")
}

/// The agent's state folder, unless the configuration names another one.
pub fn state_folder() -> PathBuf {
    folder().join("state")
}

/// The machine's name as it knows it itself.
pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Postern's folder for what is no program.
pub fn folder() -> PathBuf {
    std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from).join("Postern")
}
