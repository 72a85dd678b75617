//! `cargo xtask bench`: figures, measured in one run each, never asserted by a test. `docs/benchmarks.md` keeps them.

mod command;
mod figures;
mod hostile;
mod identities;
mod import;
mod kills;
mod lists;
mod provisioning;
mod sessions;

use clap::Subcommand;

use crate::steps;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Print the figures as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// A plain dump of the directory as the yardstick, a first import and an unchanged one, on both databases.
    Import(import::Arguments),
    /// Thousands of connected agents: memory, keepalives, a restart of the control plane.
    Sessions(sessions::Arguments),
    /// The round trip of an empty command, from REST to the agent and back.
    Command(command::Arguments),
    /// Pages of effective members of a large group with nested groups.
    Identities(identities::Arguments),
    /// From a change in the API to the changed entry in OpenLDAP, and many creates.
    Provisioning(provisioning::Arguments),
    /// Processes are killed at random points while changes go out to OpenLDAP.
    Kills(kills::Arguments),
    /// A hostile control plane asks for what the site forbids.
    Hostile(hostile::Arguments),
}

/// Runs one benchmark and prints what it saw.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = steps::runtime()?;
    let figures = match &arguments.what {
        What::Import(import) => runtime.block_on(import::run(import))?,
        What::Sessions(sessions) => runtime.block_on(sessions::run(sessions))?,
        What::Command(command) => runtime.block_on(command::run(command))?,
        What::Identities(identities) => runtime.block_on(identities::run(identities))?,
        What::Provisioning(provisioning) => runtime.block_on(provisioning::run(provisioning))?,
        What::Kills(kills) => runtime.block_on(kills::run(kills))?,
        What::Hostile(hostile) => hostile::run(hostile)?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        println!("{figures}");
    }
    Ok(())
}
