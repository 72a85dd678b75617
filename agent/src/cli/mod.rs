//! The command line.

mod check;
mod docs;
mod enroll;
mod output;
mod place;
mod policy;
mod run;
mod service;
mod status;
mod troubleshooting;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use postern_runtime::telemetry::{self, Format};
use postern_runtime::{build, exit};

use self::place::Place;
use crate::config;

/// The Postern agent: serves the LDAP directories of its site to a control plane. It only connects out.
#[derive(Debug, Parser)]
#[command(name = "postern-agent", version = build::VERSION, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enroll this agent with an enrollment token.
    Enroll(enroll::Enroll),
    /// Run the agent (what the service does).
    Run(Place),
    /// Check the connections to the control plane and to the directories.
    Check(check::CheckArgs),
    /// Show the state of the running agent.
    Status(status::StatusArgs),
    /// Look at what the site's policy allows.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Install the agent as a service of this system, for those who have no package.
    #[command(subcommand)]
    Service(service::Command),
    /// Print a reference document.
    #[command(subcommand, hide = true)]
    Docs(docs::Command),
}

/// Executes one command line; what went wrong is on standard error when it returns.
pub fn run(cli: Cli) -> ExitCode {
    let running = match &cli.command {
        Command::Run(place) => Some(place.clone()),
        _ => None,
    };
    let result = match cli.command {
        Command::Enroll(args) => enroll::execute(args),
        Command::Run(place) => run::execute(&place),
        Command::Check(args) => check::execute(&args),
        Command::Status(args) => status::execute(&args),
        Command::Policy(command) => policy::execute(&command),
        Command::Service(command) => service::execute(&command),
        Command::Docs(command) => docs::execute(&command, Cli::command()),
    };
    result.unwrap_or_else(|error| {
        let format = running.map_or(Format::Text, |place| run::log_format(&place));
        ExitCode::from(failed(&error, format))
    })
}

/// Says what went wrong; the exit code.
fn failed(error: &anyhow::Error, format: Format) -> u8 {
    telemetry::fatal(format, "postern-agent", &format!("{error:#}"));
    let configuration = error.downcast_ref::<config::Error>().is_some();
    if configuration { exit::CONFIG } else { exit::FAILURE }
}
