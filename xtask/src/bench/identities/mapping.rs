//! A part of `bench identities`: what rules in CEL cost an import, and how long it takes to map all stored accounts anew.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use postern_tests::binaries::Binaries;
use postern_tests::people::Population;
use postern_tests::process::Usage;
use postern_tests::slapd::{Options, Slapd};
use postern_tests::{Stage, wait};
use serde_json::{Value, json};

use super::databases::Database;
use crate::bench::figures::{Figures, cpu_between};
use crate::line::{self, Line};

/// Longest that an import or a mapping may take.
const BOUND: Duration = Duration::from_mins(15);

/// Ten rules as administrators write them.
const RULES: [(&str, &str); 10] = [
    ("given_name", "trim(givenName)"),
    ("family_name", "trim(sn)"),
    ("display_name", r#"any_of(join([sn, givenName], ", "), cn)"#),
    ("email", "lower(any_of(primary_mail, mail))"),
    ("attributes.title", r#"title == null ? null : title + " (" + any_of(department, "-") + ")""#),
    ("attributes.department", "any_of(department, departmentNumber)"),
    ("attributes.phone_number", r#"keep(telephoneNumber, "+0123456789")"#),
    ("attributes.ascii_name", "ascii(cn).lower()"),
    ("attributes.alias", "(substring(givenName, 0, 1) + sn).ascii().lower()"),
    ("attributes.domain", "mail == null ? null : domain(mail)"),
];

#[derive(clap::Args)]
#[group(id = "mapping")]
pub(super) struct Arguments {
    /// How many people are imported, and mapped anew.
    #[arg(long, default_value_t = 100_000)]
    mapped: u32,
}

/// The directory that is imported. It was read once, so that later readers find it in memory.
pub(super) async fn directory(stage: &Stage, arguments: &Arguments) -> Result<Slapd> {
    let mut options = Options::people(arguments.mapped);
    options.population = Population { large_group: 10_000.min(arguments.mapped), ..options.population };
    Slapd::start(stage, options).await
}

/// A first import with the default mapping, or with rules; and then the mapping of all accounts by other rules.
pub(super) async fn measure(
    stage: &Stage,
    slapd: &Slapd,
    binaries: &Binaries,
    (database, with_rules): (Database<'_>, bool),
    figures: &mut Figures,
) -> Result<()> {
    let Database { name, url, server } = database;
    let mut line = Line::start(stage, slapd, line::options(binaries, url)).await?;
    if with_rules {
        line.api.put(&path(), &rules(0)).await?;
    }
    let mut processes = vec![line.control_plane.process()?.pid()];
    if let Some(server) = server {
        processes.push(server.process().context("PostgreSQL does not run")?.pid());
    }
    let before = usages(&processes)?;
    let (wall, job) = line.import(BOUND).await?;
    let cpu = cpu_since(&before, &processes)?;
    let with = if with_rules { "ten rules" } else { "default mapping" };
    let wall_s = ("wall_s", wall.as_secs_f64());
    figures.row(format!("{name}: first import of {} users, {with}", job.count("users")), &[wall_s, ("cpu_s", cpu)]);
    if with_rules {
        let (before, began) = (usages(&processes)?, Instant::now());
        line.api.put(&path(), &rules(1)).await?;
        // Before rules are saved, it is counted what they would change: a whole mapping, of which nothing is written.
        let (wall, cpu) = (began.elapsed(), cpu_since(&before, &processes)?);
        figures.row(format!("{name}: new rules tried and saved"), &[("wall_s", wall.as_secs_f64()), ("cpu_s", cpu)]);
        let (before, began) = (usages(&processes)?, Instant::now());
        wait::until("the accounts are mapped anew", BOUND, || async {
            let mapping = line.api.get(&path()).await?;
            Ok((mapping["mapped"] == true).then_some(()))
        })
        .await?;
        let (wall, cpu) = (began.elapsed(), cpu_since(&before, &processes)?);
        figures.row(format!("{name}: all accounts mapped anew"), &[("wall_s", wall.as_secs_f64()), ("cpu_s", cpu)]);
        let user = line.api.get("/api/v1/users?limit=1").await?;
        let alias = user["items"][0]["attributes"]["alias"].as_str().unwrap_or_default().to_owned();
        ensure!(alias.starts_with("new-"), "no user has what the new rules say: {user}");
    }
    line.stop().await
}

/// With children, because a database has a process for each connection.
fn usages(processes: &[u32]) -> Result<Vec<Usage>> {
    processes.iter().map(|pid| Usage::of_family(*pid)).collect()
}

/// The seconds of CPU of all processes together.
fn cpu_since(before: &[Usage], processes: &[u32]) -> Result<f64> {
    Ok(before.iter().zip(&usages(processes)?).map(|(before, after)| cpu_between(before, after)).sum())
}

fn path() -> String {
    format!("/api/v1/directories/{}/mapping", postern_tests::site::DIRECTORY)
}

/// The rules; the later ones change something of every user.
fn rules(version: u32) -> Value {
    let of = |(target, expression): &(&str, &str)| match (version, *target) {
        (1.., "attributes.alias") => json!({ "target": target, "expression": format!("\"new-\" + {expression}") }),
        _ => json!({ "target": target, "expression": expression }),
    };
    json!({ "rules": RULES.iter().map(of).collect::<Vec<_>>() })
}
