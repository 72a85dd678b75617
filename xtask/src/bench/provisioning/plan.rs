//! A plan for all users, of whom some differ, and pages of the report.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::slapd::Slapd;
use postern_tests::wait;
use serde_json::{Value, json};

use super::super::figures::{Figures, percentile_ms};
use super::users::{FIRST, report_only};
use crate::line::Line;

/// How often a page is read.
const READ: u32 = 100;
/// Until a plan of very many users is made, on a slow machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Changes some users while nothing is sent, plans, and reads the report.
pub(super) async fn measure(line: &Line, slapd: &Slapd, differences: u32, figures: &mut Figures) -> Result<()> {
    report_only(line).await?;
    for number in FIRST..FIRST + differences {
        let change = json!({ "attributes": { "title": "Planned" } });
        line.api.patch(&format!("/api/v1/users/bench{number:06}"), change).await?;
    }
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning/plans");
    let began = Instant::now();
    let asked = line.api.post(&path, json!({})).await?;
    let path = format!("{path}/{}", asked["id"].as_str().unwrap_or_default());
    let plan: Value = wait::until("the plan is made", PATIENCE, async || {
        let plan = line.api.get(&path).await?;
        Ok((plan["state"] != "making").then_some(plan))
    })
    .await?;
    let took = began.elapsed();
    ensure!(plan["summary"]["operations"] == differences, "another plan: {plan:#}");
    ensure!(slapd.entries("(title=Planned)").await?.is_empty(), "a plan was carried out");
    figures.row("a plan", &[("s", took.as_secs_f64()), ("operations", f64::from(differences))]);
    for filter in ["", "state=failed", "action=create", "state=succeeded&action=update", "user=bench000011"] {
        let taken = pages(line, filter).await?;
        let title = format!("a page of the report {filter}");
        figures.row(&title, &[("p50_ms", percentile_ms(&taken, 0.5)), ("p99_ms", percentile_ms(&taken, 0.99))]);
    }
    Ok(())
}

async fn pages(line: &Line, filter: &str) -> Result<Vec<Duration>> {
    let mut taken = Vec::new();
    for _ in 0..READ {
        let began = Instant::now();
        line.api.get(&format!("/api/v1/reports/provisioning?limit=100&{filter}")).await?;
        taken.push(began.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}
