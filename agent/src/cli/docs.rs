//! `postern-agent docs`: prints the reference documents from the code, so that those in `docs/` can be compared with
//! it.

use std::process::ExitCode;

use clap::Subcommand;
use postern_runtime::reference;

use super::output;
use crate::config;

/// Commands of `postern-agent docs`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// docs/cli.md: the command line
    Cli,
    /// docs/configuration.md: the configuration file
    Config,
}

pub(super) fn execute(command: &Command, program: clap::Command) -> anyhow::Result<ExitCode> {
    output::print(&match command {
        Command::Cli => cli_reference(program),
        Command::Config => config::reference::markdown(),
    })?;
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
        let commands = ["", " enroll", " run", " check", " status", " policy", " policy explain"];
        let commands = commands.map(|name| format!("## `postern-agent{name}`"));
        assert_eq!(headings, commands);
    }
}
