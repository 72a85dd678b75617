//! `postern-agent docs`: prints the reference documents from the code, so that those in `docs/` can be compared with
//! it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use postern_runtime::reference;

use super::{output, troubleshooting};
use crate::config;

/// Commands of `postern-agent docs`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// docs/cli.md: the command line
    Cli,
    /// docs/configuration.md: the configuration file
    Config,
    /// docs/troubleshooting.md: what fails, and what to do
    Troubleshooting,
    /// Manual pages and completions for packages
    Files {
        /// Where to write them.
        folder: PathBuf,
    },
}

pub(super) fn execute(command: &Command, program: clap::Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Cli => output::print(&cli_reference(program))?,
        Command::Config => output::print(&config::reference::markdown())?,
        Command::Troubleshooting => output::print(&troubleshooting::markdown())?,
        Command::Files { folder } => reference::installed_files(program, folder)
            .with_context(|| format!("cannot write into {}", folder.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The help of every command, as Markdown.
fn cli_reference(program: clap::Command) -> String {
    let mut text =
        String::from("# The command line `postern-agent`\n\nMade by `postern-agent docs cli`; do not edit.\n");
    text.push_str(&reference::command_line(program));
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_for_people_is_shown() {
        let text = cli_reference(Cli::command());
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        let commands = ["", " enroll", " run", " check", " status", " policy", " policy explain", " service"];
        let service = ["install", "uninstall", "start", "stop", "status"].map(|name| format!(" service {name}"));
        let commands = commands.iter().map(|name| (*name).to_owned()).chain(service);
        let commands: Vec<String> = commands.map(|name| format!("## `postern-agent{name}`")).collect();
        assert_eq!(headings, commands);
    }
}
