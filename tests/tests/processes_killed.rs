//! Either program is killed in the middle of an import: nothing is lost, nothing is done twice, nobody is marked missing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(1);

/// Starts an import and stops the line to the control plane after so many bytes of it.
async fn import_until(site: &Site, bytes: u64) -> Result<String> {
    site.line.plan([(bytes, Fault::Hold)]);
    let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
    site.line.struck().await?;
    Ok(job.id)
}

async fn agent_killed_after(stage: &Stage, site: &mut Site, bytes: u64) -> Result<()> {
    let job = import_until(site, bytes).await?;
    site.agent.kill().await?;
    site.line.cut();
    site.line.resume();
    site.agent.start(stage)?;
    let job = site.api.finished(&job, PATIENCE).await?.expect("succeeded")?;
    ensure!(job.count("missing") == 0, "{job:?}");
    site.compare().await
}

#[test]
fn an_agent_killed_mid_import_starts_it_again() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 800).await?;
        for (round, bytes) in (0..).zip([3_000, 60_000, 200_000]) {
            site.change_many(800, round).await?;
            agent_killed_after(stage, &mut site, bytes).await.with_context(|| format!("killed after {bytes} bytes"))?;
        }
        Ok(())
    })
}

#[test]
fn a_control_plane_killed_mid_import_takes_it_up_again() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 800).await?;
        for (round, bytes) in (0..).zip([3_000, 60_000, 200_000]) {
            site.change_many(800, round).await?;
            let job = import_until(&site, bytes).await?;
            site.control_plane.kill().await?;
            site.line.cut();
            site.line.resume();
            site.control_plane.run(stage).await?;
            let job = site.api.finished(&job, PATIENCE).await.with_context(|| format!("killed after {bytes} bytes"))?;
            let job = job.expect("succeeded")?;
            ensure!(job.count("missing") == 0, "{job:?}");
            site.compare().await?;
        }
        Ok(())
    })
}

#[test]
fn a_control_plane_killed_while_it_commits_has_either_all_of_a_chunk_or_nothing() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 1_500).await?;
        // What has passed is durable, in a transaction, or waits for one at the kill; the rest keeps the job from ending.
        for (round, bytes) in (0..).zip([20_000, 150_000, 190_000, 260_000, 320_000]) {
            site.change_many(1_500, round).await?;
            let job = import_until(&site, bytes).await?;
            site.control_plane.kill().await?;
            site.line.cut();
            site.line.resume();
            site.control_plane.run(stage).await?;
            let job = site.api.finished(&job, PATIENCE).await.with_context(|| format!("killed after {bytes} bytes"))?;
            let job = job.expect("succeeded")?;
            ensure!(job.count("missing") == 0, "{job:?}");
            site.compare().await?;
        }
        Ok(())
    })
}

#[test]
fn both_end_in_good_order_when_asked_to() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 300).await?;
        site.api.import(DIRECTORY).await?;
        site.agent.terminate().await?;
        site.control_plane.terminate().await?;
        site.control_plane.run(stage).await?;
        site.agent.start(stage)?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}
