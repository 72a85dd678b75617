//! What all commands share: where things are, and how a command begins that does one thing and ends.

use std::io;
use std::path::PathBuf;

use clap::Args;
use postern_runtime::telemetry::{self, Format};
use tokio::runtime::{Builder, Runtime};

/// Where things are.
#[derive(Clone, Debug, Args)]
pub(super) struct Place {
    #[cfg_attr(not(windows), doc = "Configuration file. Default: /etc/postern/agent.toml, if it exists.")]
    #[cfg_attr(windows, doc = r"Configuration file. Default: C:\ProgramData\Postern\agent.toml, if it exists.")]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where the agent keeps its identity. Default: `state_dir` of the configuration, or
    #[cfg_attr(not(windows), doc = "/var/lib/postern-agent.")]
    #[cfg_attr(windows, doc = r"C:\ProgramData\Postern\state.")]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
}

/// For commands that do one thing and end: quiet unless something is wrong.
pub(super) fn log_quietly() -> Result<(), telemetry::Error> {
    telemetry::init(Format::Text, "error")
}

pub(super) fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
