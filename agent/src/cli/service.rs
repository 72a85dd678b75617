//! `postern-agent service`: the agent as a service of this system, for those who have no package. Each system has a file
//! with these five functions.

#[cfg_attr(target_os = "linux", path = "service/systemd.rs")]
#[cfg_attr(windows, path = "service/windows.rs")]
#[cfg_attr(not(any(target_os = "linux", windows)), path = "service/elsewhere.rs")]
mod system;

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `postern-agent service`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[cfg_attr(
        not(windows),
        doc = "Install the service, with a user and a state folder of its own; as root. It is not started."
    )]
    #[cfg_attr(
        windows,
        doc = "Install the service, with an account and a folder of its own; as administrator. It is not started."
    )]
    Install,
    #[cfg_attr(not(windows), doc = "Stop the service and remove it; as root. Configuration and state stay.")]
    #[cfg_attr(windows, doc = "Stop the service and remove it; as administrator. Configuration and state stay.")]
    Uninstall,
    /// Start the service now and at each boot.
    Start,
    #[cfg_attr(not(windows), doc = "Stop the service, also for the next boots.")]
    #[cfg_attr(windows, doc = "Stop the service, until the next boot.")]
    Stop,
    #[cfg_attr(not(windows), doc = "Show how the service does, and its last lines of log.")]
    #[cfg_attr(windows, doc = "Show how the service does, and where its log is.")]
    Status,
    /// What Windows' service manager starts.
    #[cfg(windows)]
    #[command(hide = true)]
    Run,
    /// Seal a file with a password or key to this machine, and leave it to administrators and the service. Of a folder: leave
    /// it to them.
    #[cfg(windows)]
    Protect {
        /// The file or folder.
        path: std::path::PathBuf,
    },
    /// Start the service if this agent is enrolled.
    #[cfg(windows)]
    #[command(hide = true)]
    StartIfEnrolled,
    /// Delete the configuration and the identity of this agent.
    #[cfg(windows)]
    #[command(hide = true)]
    DeleteState,
}

pub(super) fn execute(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Install => system::install(),
        Command::Uninstall => system::uninstall(),
        Command::Start => system::start(),
        Command::Stop => system::stop(),
        Command::Status => system::status(),
        #[cfg(windows)]
        Command::Run => system::run(),
        #[cfg(windows)]
        Command::Protect { path } => system::protect(path),
        #[cfg(windows)]
        Command::StartIfEnrolled => system::start_if_enrolled(),
        #[cfg(windows)]
        Command::DeleteState => system::delete_state(),
    }
}
