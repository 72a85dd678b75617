//! Changes of users by many writers at a time, each with a token of its own.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use postern_tests::Stage;
use postern_tests::api::Api;
use postern_tests::binaries::Binaries;
use postern_tests::control_plane::ControlPlane;
use postern_tests::process::Usage;
use serde_json::{Value, json};

use super::databases::Database;
use super::readings::{id, percentiles};
use crate::bench::figures::{Figures, cpu_between};
use crate::line;

/// Users that are made in one request.
const TOGETHER: u32 = 300;
/// How often the disk is asked to keep some bytes, to know what a commit costs at least.
const SYNCS: usize = 100;

#[derive(clap::Args)]
#[group(id = "changes")]
pub(super) struct Arguments {
    /// How many users the organization has.
    #[arg(long, default_value_t = 1_000_000)]
    people: u32,
    /// How many writers change users at a time.
    #[arg(long, default_value_t = 100)]
    writers: u32,
    /// For how many seconds each row is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// How often a writer begins a change.
#[derive(Clone, Copy)]
enum Pace {
    /// So often, whether the change before was quick or not.
    Every(Duration),
    /// As soon as the change before is answered.
    AtOnce,
}

/// Makes the users, then lets writers change them.
pub(super) async fn measure(
    stage: &Stage,
    binaries: &Binaries,
    database: Database<'_>,
    arguments: &Arguments,
    figures: &mut Figures,
) -> Result<()> {
    let Database { name, url, server } = database;
    let mut control_plane = ControlPlane::start(stage, line::options(binaries, url)).await?;
    let api = control_plane.organization("Large").await?;
    let mut processes = vec![("control_plane", control_plane.process()?.pid())];
    if let Some(server) = server {
        processes.push(("postgres", server.process().context("PostgreSQL does not run")?.pid()));
    }
    let (began, before) = (Instant::now(), usages(&processes)?);
    let users = Arc::new(fill(&api, arguments.people).await?);
    let mut row = vec![("wall_s".to_owned(), began.elapsed().as_secs_f64())];
    row.extend(cpu_ms_each(&processes, &before, arguments.people as usize)?);
    figures.row(format!("{name}: {} users made", arguments.people), &borrowed(&row));
    figures.row(format!("{name}: the disk alone"), &percentiles(syncs(stage.path())?));
    let writers = writers(&api, arguments.writers).await?;
    let second = Pace::Every(Duration::from_secs(1));
    for (what, writers, pace) in [
        ("1 writer".to_owned(), &writers[..1], Pace::AtOnce),
        (format!("{} writers, each one a second", arguments.writers), &writers[..], second),
        (format!("{} writers, at once", arguments.writers), &writers[..], Pace::AtOnce),
    ] {
        let before = usages(&processes)?;
        let (began, bound) = (Instant::now(), Duration::from_secs(arguments.seconds));
        let taken = change(writers, &users, pace, bound).await?;
        let changes = taken.len();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = changes as f64 / began.elapsed().as_secs_f64();
        let mut row = vec![("a_second".to_owned(), rate)];
        row.extend(percentiles(taken).map(|(figure, value)| (figure.to_owned(), value)));
        row.extend(cpu_ms_each(&processes, &before, changes)?);
        figures.row(format!("{name}: {what}"), &borrowed(&row));
    }
    control_plane.terminate().await
}

fn borrowed(row: &[(String, f64)]) -> Vec<(&str, f64)> {
    row.iter().map(|(figure, value)| (figure.as_str(), *value)).collect()
}

fn usages(processes: &[(&str, u32)]) -> Result<Vec<Usage>> {
    processes.iter().map(|(_, pid)| Usage::of_family(*pid)).collect()
}

/// Processor time of each process since a look at it, for each of so many changes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn cpu_ms_each(processes: &[(&str, u32)], before: &[Usage], changes: usize) -> Result<Vec<(String, f64)>> {
    let after = usages(processes)?;
    let each = |before, after| cpu_between(before, after) * 1e3 / changes.max(1) as f64;
    let used = processes.iter().zip(before.iter().zip(&after));
    Ok(used.map(|((name, _), (before, after))| (format!("{name}_cpu_ms"), each(before, after))).collect())
}

/// Makes users, and returns their ids.
async fn fill(api: &Api, people: u32) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for first in (0..people).step_by(TOGETHER as usize) {
        let user = |number: u32| {
            json!({
                "user_name": format!("user{number:07}"),
                "given_name": format!("Given{}", number % 1_000),
                "family_name": format!("Family{}", number % 7_919),
                "display_name": format!("Given{} Family{} {number}", number % 1_000, number % 7_919),
                "email": format!("mail{number:07}@corp.example"),
            })
        };
        let users: Vec<Value> = (first..people.min(first + TOGETHER)).map(user).collect();
        let made = api.post("/api/v1/bulk-users", json!({ "users": users })).await?;
        for result in made["results"].as_array().context("the answer has no results")? {
            ids.push(id(result)?);
        }
    }
    Ok(ids)
}

/// How long the disk takes to keep a page.
fn syncs(folder: &Path) -> Result<Vec<Duration>> {
    let mut file = std::fs::File::create(folder.join("syncs"))?;
    let mut taken = Vec::new();
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[1; 16_384])?;
        file.sync_data()?;
        taken.push(began.elapsed());
    }
    Ok(taken)
}

/// A client with a token of its own for each writer.
async fn writers(api: &Api, count: u32) -> Result<Vec<Api>> {
    let mut writers = Vec::new();
    for number in 0..count {
        let made =
            api.post("/api/v1/tokens", json!({ "name": format!("writer {number}"), "role": "operator" })).await?;
        writers.push(api.with_token(made["token"].as_str().context("the answer has no token")?));
    }
    Ok(writers)
}

/// Lets the writers change users, and returns how long each change took, from when it was due.
async fn change(writers: &[Api], users: &Arc<Vec<String>>, pace: Pace, bound: Duration) -> Result<Vec<Duration>> {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (writer, api) in writers.iter().cloned().enumerate() {
        let (users, writers) = (Arc::clone(users), writers.len());
        tasks.spawn(async move {
            let mut taken = Vec::new();
            let mut due = match pace {
                Pace::Every(period) => began + period.mul_f64(share(writer, writers)),
                Pace::AtOnce => began,
            };
            while due.duration_since(began) < bound {
                tokio::time::sleep_until(due.into()).await;
                // Far apart, so that each change finds its pages anew, and never of the same user at a time.
                let turn = taken.len() * writers + writer;
                let user = users.get(turn.wrapping_mul(611_953) % users.len()).context("there are no users")?;
                let display_name = format!("Changed{} {turn}", turn % 1_000);
                let profile = json!({ "given_name": format!("Changed{}", turn % 1_000), "display_name": display_name });
                api.patch(&format!("/api/v1/users/{user}"), profile).await?;
                taken.push(due.elapsed());
                due = match pace {
                    Pace::Every(period) => due + period,
                    Pace::AtOnce => Instant::now(),
                };
            }
            anyhow::Ok(taken)
        });
    }
    let mut all = Vec::new();
    while let Some(taken) = tasks.join_next().await {
        all.extend(taken??);
    }
    Ok(all)
}

#[expect(clippy::cast_precision_loss, reason = "a share of a second")]
fn share(writer: usize, writers: usize) -> f64 {
    writer as f64 / writers.max(1) as f64
}
