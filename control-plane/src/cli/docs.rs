//! `postern docs`: prints the reference documents from the code, so that those in `docs/` can be compared with it.

use std::fmt::Write as _;

use clap::{CommandFactory as _, Subcommand};

use super::super::api::openapi;
use super::error::Error;
use super::screen::Screen;
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
}

pub(super) fn run(command: &Command, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::Openapi => screen.raw(&openapi::document_json()?),
        Command::Cli => screen.raw(&cli_reference()),
        Command::Config => screen.raw(&config::reference()),
    }
}

/// The help of every command, as Markdown.
pub(super) fn cli_reference() -> String {
    let mut text = String::from(
        "# The command line `postern`\n\nMade by `postern docs cli`; do not edit. Every command of an administrator \
         takes the options `--url`, `--token`, `--ca-file` and `--json`, which are shown once.\n",
    );
    let mut root = super::Cli::command().term_width(100);
    root.build();
    write_command(&mut text, &root, "postern", true);
    text
}

fn write_command(text: &mut String, command: &clap::Command, path: &str, is_root: bool) {
    // Options of all commands stand at the root only.
    let mut shown = command.clone();
    if !is_root {
        shown = shown.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    }
    let help = shown.bin_name(path).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(text, "\n## `{path}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        write_command(text, inner, &format!("{path} {}", inner.get_name()), false);
    }
}
