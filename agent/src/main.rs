//! `postern-agent`: dials out to a control plane and serves the directories of its site.

use std::process::ExitCode;

use clap::Parser as _;
use postern_agent::cli::Cli;

fn main() -> ExitCode {
    postern_runtime::tls::install_crypto_provider();
    postern_agent::cli::run(Cli::parse())
}
