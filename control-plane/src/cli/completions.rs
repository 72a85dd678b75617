//! `postern completions`: scripts with which shells complete commands.

use clap_complete::Shell;

use super::error::Error;
use super::screen::Screen;

/// Arguments of `postern completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example: postern completions bash > /etc/bash_completion.d/postern")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, mut all: clap::Command, screen: &mut Screen) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut all, "postern", &mut script);
    screen.raw(&String::from_utf8_lossy(&script))
}
