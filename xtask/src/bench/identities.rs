//! `bench identities`: changes of users by many writers, pages of effective members of a large group whose users are
//! spread over levels of nested groups, and what mapping rules cost.

mod changes;
mod databases;
mod mapping;
mod members;
mod readings;

use anyhow::Result;
use clap::ValueEnum;
use postern_tests::Stage;
use postern_tests::postgres::Postgres;

use databases::databases;

use super::figures::Figures;
use crate::line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure. Absent: everything.
    #[arg(long)]
    only: Vec<Part>,
    /// Leave PostgreSQL out.
    #[arg(long)]
    sqlite_only: bool,
    #[command(flatten)]
    changes: changes::Arguments,
    #[command(flatten)]
    members: members::Arguments,
    #[command(flatten)]
    mapping: mapping::Arguments,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Changes of users by many writers.
    Changes,
    /// Effective members of large groups.
    Members,
    /// Imports with rules, and mapping anew.
    Mapping,
}

/// Measures every part on each database.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    let binaries = line::build(line::MEASURED)?;
    let stage = Stage::new()?;
    let postgres = if arguments.sqlite_only { None } else { Some(Postgres::start_durable(&stage).await?) };
    let mut figures = Figures::new("users and groups of the organization".to_owned());
    let wants = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    if wants(Part::Members) {
        let directory = members::directory(&stage, &arguments.members).await?;
        for database in databases(postgres.as_ref()).await? {
            members::measure(&stage, &directory, &binaries, database, &arguments.members, &mut figures).await?;
        }
    }
    if wants(Part::Changes) {
        for database in databases(postgres.as_ref()).await? {
            changes::measure(&stage, &binaries, database, &arguments.changes, &mut figures).await?;
        }
    }
    if wants(Part::Mapping) {
        let directory = mapping::directory(&stage, &arguments.mapping).await?;
        for rules in [false, true] {
            for database in databases(postgres.as_ref()).await? {
                mapping::measure(&stage, &directory, &binaries, (database, rules), &mut figures).await?;
            }
        }
    }
    Ok(figures)
}
