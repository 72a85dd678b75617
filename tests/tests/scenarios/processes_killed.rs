//! Either program is killed in the middle of an import: nothing is lost, nothing is done twice, nobody is marked missing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario, slapd};
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

/// A lease of ten minutes, which no job here may wait for.
#[test]
fn a_restarted_control_plane_waits_for_no_lease() -> Result<()> {
    scenario(async |stage| {
        let options = Options::for_tests()?.set("lease_secs", "600");
        let mut site = Site::start_with(stage, slapd::Options::people(800), options).await?;
        for (round, with_agent) in (0..).zip([false, true]) {
            site.change_many(800, round).await?;
            let job = import_until(&site, 60_000).await?;
            site.control_plane.kill().await?;
            if with_agent {
                site.agent.kill().await?;
            }
            site.line.cut();
            site.line.resume();
            site.control_plane.run(stage).await?;
            if with_agent {
                site.agent.start(stage)?;
            }
            let job = site.api.finished(&job, PATIENCE).await.with_context(|| format!("agent killed: {with_agent}"))?;
            let job = job.expect("succeeded")?;
            ensure!(job.count("missing") == 0, "{job:?}");
            site.compare().await?;
        }
        Ok(())
    })
}

#[test]
fn a_second_serve_on_one_database_is_refused_until_the_first_is_gone() -> Result<()> {
    scenario(async |stage| {
        let mut first = ControlPlane::start(stage, Options::for_tests()?).await?;
        let folder = first.data_dir().to_owned();
        let second = || Ok::<_, anyhow::Error>(Options { data_dir: Some(folder.clone()), ..Options::for_tests()? });
        let refused = ControlPlane::start(stage, second()?).await.map(drop).map_err(|error| format!("{error:#}"));
        let words = refused.err().context("a second one was ready")?;
        let pid = first.process()?.pid();
        ensure!(words.contains(&format!("another postern serve (process {pid}) already uses")), "{words}");
        ensure!(words.contains("stop it first, or use another --data-dir"), "{words}");
        // The first goes on, and the commands that work beside it do too.
        first.organization("Corp").await?.get("/api/v1/agents").await?;
        first.kill().await?;
        let next = ControlPlane::start(stage, second()?).await?;
        next.organization("Other").await?.get("/api/v1/agents").await.map(drop)
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
