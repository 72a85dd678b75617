//! `postern docs`: prints the reference documents in `docs/`, which are generated from the code.

use std::path::PathBuf;

use clap::Subcommand;
use postern_runtime::reference;

use super::super::api::v1;
use super::error::Error;
use super::screen::Screen;
use super::troubleshooting;
use crate::config;

/// Commands of `postern docs`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// docs/openapi.json: the API
    Openapi,
    /// docs/cli.md: the command line
    Cli,
    /// docs/configuration.md: the configuration of `postern serve`
    Config,
    /// docs/troubleshooting.md: what fails, and what to do
    Troubleshooting,
    /// Manual pages and completions for packages
    Files {
        /// Where to write them
        folder: PathBuf,
    },
}

pub(super) fn run(command: &Command, all: clap::Command, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Openapi => screen.raw(&v1::document_json()?),
        Command::Cli => screen.raw(&cli_reference(all)),
        Command::Config => screen.raw(&config::reference()),
        Command::Troubleshooting => screen.raw(&troubleshooting::markdown()),
        Command::Files { folder } => {
            reference::installed_files(all, folder).map_err(|source| Error::Output { path: folder.clone(), source })
        }
    }
}

/// The help of all commands, as Markdown.
pub(super) fn cli_reference(all: clap::Command) -> String {
    let mut text = String::from(
        "# The command line `postern`\n\nMade by `postern docs cli`; do not edit. All commands that use the API \
         accept `--url`, `--token`, `--ca-file`, `--insecure-http` and `--json`; they are shown once.\n",
    );
    text.push_str(&reference::command_line(all));
    text
}
