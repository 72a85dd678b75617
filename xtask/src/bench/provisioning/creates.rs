//! Many creates, beside `ldapadd` of the same entries on one connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use postern_tests::process::Usage;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::wait;
use serde_json::{Value, json};

use super::super::figures::{Figures, cpu_between, megabytes};
use super::server_log::{ADDED, Reader};
use super::users::{FIRST, provision, user};
use crate::line::Line;

/// Users in one request.
const BATCH: usize = 500;
/// All of them, on a slow machine.
const PATIENCE: Duration = Duration::from_mins(20);

/// Makes the users while nothing is sent, then lets them go.
pub(super) async fn measure(line: &mut Line, slapd: &Slapd, count: u32, figures: &mut Figures) -> Result<()> {
    let plain = plain(slapd, count).await?;
    figures.row("ldapadd", &[("s", plain.as_secs_f64()), ("each_ms", each(plain, count))]);
    provision(line, true).await?;
    let numbers: Vec<u32> = (FIRST..FIRST + count).collect();
    for batch in numbers.chunks(BATCH) {
        let users: Vec<Value> = batch.iter().map(|number| user(*number)).collect();
        line.api.post("/api/v1/bulk-users", json!({ "users": users })).await?;
    }
    let before = usage(line)?;
    let mut log = Reader::at_the_end(slapd)?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?;
    provision(line, false).await?;
    let (mut made, mut last) = (0, began);
    let mut look = || -> Result<bool> {
        for (time, _) in log.lines(slapd)?.into_iter().filter(|(_, line)| line.contains(ADDED)) {
            (made, last) = (made + 1, time);
        }
        Ok(made >= count)
    };
    wait::until_true("all are made", PATIENCE, || std::future::ready(look())).await?;
    let took = last.saturating_sub(began);
    let after = usage(line)?;
    let [control_plane, agent] = [0, 1].map(|which| cpu_between(&before[which], &after[which]));
    figures.row(
        "creates",
        &[
            ("s", took.as_secs_f64()),
            ("each_ms", each(took, count)),
            ("of_ldapadd", plain.as_secs_f64() / took.as_secs_f64()),
            ("control_plane_cpu_s", control_plane),
            ("agent_cpu_s", agent),
            ("agent_peak_mb", megabytes(after[1].peak_resident_bytes)),
        ],
    );
    Ok(())
}

fn usage(line: &mut Line) -> Result<[Usage; 2]> {
    Ok([line.control_plane.process()?.usage()?, line.agent.process()?.usage()?])
}

/// The time that `ldapadd` takes for as many entries with the same attributes, on one connection with TLS.
async fn plain(slapd: &Slapd, count: u32) -> Result<Duration> {
    let entry = |number: u32| {
        format!(
            "dn: uid=plain{number:06},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: plain{number:06}\n\
             cn: Bench Number {number}\nsn: Number {number}\ngivenName: Bench\n\
             mail: plain{number:06}@corp.example\ntitle: Engineer\n\n"
        )
    };
    let mut log = Reader::at_the_end(slapd)?;
    slapd.apply_over_tls((0..=count).map(entry).collect::<Vec<_>>().concat()).await?;
    let lines = log.lines(slapd)?;
    let mut results = lines.iter().filter(|(_, line)| line.contains(ADDED)).map(|(time, _)| *time);
    let (first, last) = (results.next(), results.next_back());
    Ok(last.context("nothing was added")?.saturating_sub(first.unwrap_or_default()))
}

fn each(took: Duration, count: u32) -> f64 {
    took.as_secs_f64() * 1e3 / f64::from(count)
}
