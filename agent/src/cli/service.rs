//! `postern-agent service`: the agent as a service of this system, for those who have no package. Each system has a file
//! with these five functions.

#[cfg_attr(target_os = "linux", path = "service/systemd.rs")]
#[cfg_attr(not(target_os = "linux"), path = "service/elsewhere.rs")]
mod system;

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `postern-agent service`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Install the service, with a user and a state folder of its own; as root. It is not started.
    Install,
    /// Stop the service and remove it; as root. Configuration and state stay.
    Uninstall,
    /// Start the service now and at each boot.
    Start,
    /// Stop the service, also for the next boots.
    Stop,
    /// Show how the service does, and its last lines of log.
    Status,
}

pub(super) fn execute(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Install => system::install(),
        Command::Uninstall => system::uninstall(),
        Command::Start => system::start(),
        Command::Stop => system::stop(),
        Command::Status => system::status(),
    }
}
