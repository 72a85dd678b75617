//! Two live replicas on one PostgreSQL: a job asked for at one is done by an agent of the other, and outlives its replica.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::{Api, Job};
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::postgres::Postgres;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario, slapd, wait};
use serde_json::Value;

/// A site whose agent is connected to the first replica, and a second replica that it knows nothing of.
async fn two_replicas(stage: &Stage, postgres: &Postgres, users: u32) -> Result<(Site, ControlPlane, Api)> {
    let mut first = Options::for_tests()?;
    first.database_url = Some(postgres.fresh_database().await?);
    first = first.set("pki_dir", &stage.folder("pki")?.display().to_string());
    let mut second = first.clone();
    let site = Site::start_with(stage, slapd::Options::people(users), first).await?;
    // To agents both are one address, as behind a balancer.
    second.public_address = Some(site.line.address());
    let second = ControlPlane::start(stage, second).await?;
    let api = second.client(site.api.token())?;
    Ok((site, second, api))
}

#[test]
fn a_job_asked_for_at_one_replica_is_done_by_the_agent_of_the_other() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let (site, second, api) = two_replicas(stage, &postgres, 1_500).await?;
        // Some chunks are through, and the rest waits until the second replica has shown how far it is.
        site.line.plan([(300_000, Fault::Hold)]);
        let job = api.start_job("import", DIRECTORY, Value::Null).await?;
        site.line.struck().await?;
        let has_come = |job: &Job| job.progress["entries_read"].as_u64().unwrap_or_default();
        wait::until_true("the second replica shows progress", wait::SOON, || async {
            let job = api.job(&job.id).await?;
            Ok(job.state == "running" && (1..1_500).contains(&has_come(&job)))
        })
        .await?;
        let watching = second.command_line(&api).args(["jobs", "watch", &job.id]).output();
        let letting_go = async {
            site.line.resume();
            Ok(())
        };
        let (told, watched, ()) = tokio::try_join!(api.follow(&job.id), watching, letting_go)?;
        let states: Vec<&str> = told.iter().map(|job| job.state.as_str()).collect();
        ensure!(states.last() == Some(&"succeeded"), "told {states:?}");
        ensure!(told.last().map(has_come).unwrap_or_default() > 1_500, "not all were told of: {told:#?}");
        ensure!(watched.status.success(), "jobs watch at the second replica: {watched:?}");
        ensure!(site.control_plane.log().contains(&job.id), "the first replica, which has the agent, did not do it");
        site.compare().await
    })
}

#[test]
fn a_job_outlives_the_replica_that_runs_it() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let (mut site, second, api) = two_replicas(stage, &postgres, 500).await?;
        site.line.plan([(60_000, Fault::Hold)]);
        let job = api.start_job("import", DIRECTORY, Value::Null).await?;
        site.line.struck().await?;
        ensure!(api.job(&job.id).await?.state == "running");
        site.control_plane.kill().await?;
        site.line.set_target(second.gateway_address());
        site.line.cut();
        site.line.resume();
        let over = api.finished(&job.id, Duration::from_mins(1)).await;
        let over = over.with_context(|| format!("the agent says:\n{}", site.agent.log()))?.expect("succeeded")?;
        ensure!(over.count("users") == 500 && over.count("missing") == 0, "{over:?}");
        site.api = api;
        site.compare().await
    })
}
