//! From the request that changes a user to the changed entry, one after the other.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use postern_tests::fleet::Fleet;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::{Stage, wait};
use serde_json::json;

use super::super::figures::{Figures, percentile_ms};
use super::server_log::{MODIFIED, Reader};
use super::users::user;
use crate::line::Line;

/// Measures bare modifies of `ldapmodify` first, then changes with and without other agents.
pub(super) async fn measure(
    stage: &Stage,
    fleet: &Path,
    line: &Line,
    slapd: &Slapd,
    (changes, agents): (u32, u32),
    figures: &mut Figures,
) -> Result<()> {
    for number in 0..2 {
        line.api.post("/api/v1/users", user(number)).await?;
    }
    wait::until_true("both are made", wait::SOON, async || Ok(slapd.entries("(uid=bench*)").await?.len() == 2)).await?;
    let bare = bare(slapd, changes).await?;
    show("bare modifies", &bare, figures);
    show("changes, alone", &changed(line, slapd, (changes, "alone")).await?, figures);
    let other = line.control_plane.organization("Fleet").await?;
    let _fleet = Fleet::start(stage, fleet, &other, &line.control_plane.metrics()?, agents).await?;
    show(&format!("changes, {agents} agents"), &changed(line, slapd, (changes, "crowd")).await?, figures);
    Ok(())
}

fn show(what: &str, taken: &[Duration], figures: &mut Figures) {
    figures.row(what, &[("p50_ms", percentile_ms(taken, 0.5)), ("p99_ms", percentile_ms(taken, 0.99))]);
}

/// The time between two results of one `ldapmodify`.
async fn bare(slapd: &Slapd, changes: u32) -> Result<Vec<Duration>> {
    let dn = format!("uid=bench000000,ou=people,{SUFFIX}");
    let change = |number: u32| format!("dn: {dn}\nchangetype: modify\nreplace: title\ntitle: Bare {number}\n\n");
    let mut log = Reader::at_the_end(slapd)?;
    slapd.apply_over_tls((0..=changes).map(change).collect::<Vec<_>>().concat()).await?;
    let times: Vec<Duration> = modified(&mut log, slapd)?;
    let mut taken: Vec<Duration> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    taken.sort_unstable();
    Ok(taken)
}

/// Changes a user again and again; the time from before each request to the server's result.
async fn changed(line: &Line, slapd: &Slapd, (changes, word): (u32, &str)) -> Result<Vec<Duration>> {
    let found = line.api.get("/api/v1/users?query=bench000001").await?;
    let id = found["items"][0]["id"].as_str().context("the user is not found")?.to_owned();
    let mut taken = Vec::new();
    for number in 0..changes {
        let mut log = Reader::at_the_end(slapd)?;
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let body = json!({ "attributes": { "title": format!("{word} {number}") } });
        line.api.patch(&format!("/api/v1/users/{id}"), body).await?;
        let mut look = || modified(&mut log, slapd).map(|times| times.first().copied());
        let ended = wait::until("it is changed", wait::SOON, || std::future::ready(look())).await?;
        taken.push(ended.saturating_sub(began));
    }
    taken.sort_unstable();
    Ok(taken)
}

/// When modifies have succeeded since the last look.
fn modified(log: &mut Reader, slapd: &Slapd) -> Result<Vec<Duration>> {
    let lines = log.lines(slapd)?;
    Ok(lines.into_iter().filter(|(_, line)| line.contains(MODIFIED)).map(|(time, _)| time).collect())
}
