//! Two live replicas on one PostgreSQL: a job asked for at one is done by an agent of the other, and outlives its replica.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::Agent;
use postern_tests::api::{Api, Job};
use postern_tests::binaries::Binaries;
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::postgres::Postgres;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario, slapd, wait};
use serde_json::Value;

/// A job goes on within two seconds; the rest is for a loaded machine.
const GOES_ON: Duration = Duration::from_secs(4);

/// A site whose agent is connected to the first replica, and a second replica that it knows nothing of.
async fn two_replicas(stage: &Stage, postgres: &Postgres, users: u32) -> Result<(Site, ControlPlane, Api)> {
    two_replicas_at(stage, postgres, users, true).await
}

/// The same; to agents both are `one` address, as behind a balancer, or each its own.
async fn two_replicas_at(
    stage: &Stage,
    postgres: &Postgres,
    users: u32,
    one: bool,
) -> Result<(Site, ControlPlane, Api)> {
    let mut first = Options::for_tests()?;
    first.database_url = Some(postgres.fresh_database().await?);
    first = first.set("pki_dir", &stage.folder("pki")?.display().to_string());
    let mut second = first.clone();
    let site = Site::start_with(stage, slapd::Options::people(users), first).await?;
    second.public_address = one.then(|| site.line.address());
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
        ensure!(told.last().map(has_come).unwrap_or_default() > 1_500, "not all were reported: {told:#?}");
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

/// An import that stands still in the middle of its chunks, at the first replica.
async fn import_under_way(site: &Site) -> Result<String> {
    site.line.plan([(60_000, Fault::Hold)]);
    let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
    site.line.struck().await?;
    ensure!(site.api.job(&job.id).await?.state == "running");
    ensure!(sent(&site.control_plane, &job.id), "another replica runs it");
    Ok(job.id)
}

/// Whether a replica has sent a job to an agent.
fn sent(replica: &ControlPlane, job: &str) -> bool {
    replica.log().lines().any(|line| line.contains("jobs.sent") && line.contains(job))
}

/// The first replica says what has become of the job, and nothing else.
async fn first_replica_says_the_truth(site: &Site, job: &str) -> Result<()> {
    wait::until_true("the first replica notices that the job went on elsewhere", wait::SOON, || async {
        Ok(site.control_plane.log().lines().any(|line| line.contains("jobs.moved") && line.contains(job)))
    })
    .await?;
    for untrue in ["did not come back", "jobs.lease_lost"] {
        ensure!(!site.control_plane.log().contains(untrue), "the log says {untrue}: {}", site.control_plane.log());
    }
    Ok(())
}

#[test]
fn an_import_goes_on_at_once_when_its_killed_agent_comes_back_on_another_replica() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let (mut site, second, _) = two_replicas(stage, &postgres, 500).await?;
        let job = import_under_way(&site).await?;
        site.line.set_target(second.gateway_address());
        site.agent.restart(stage).await?;
        site.line.cut();
        site.line.resume();
        wait::until_true("the agent is back", wait::SOON, || async {
            Ok(second.log().contains("gateway.session_opened"))
        })
        .await?;
        wait::until_true("the job goes on", GOES_ON, || async { Ok(sent(&second, &job)) }).await?;
        let over = site.api.finished(&job, Duration::from_mins(1)).await?.expect("succeeded")?;
        ensure!(over.count("users") == 500 && over.count("missing") == 0, "{over:?}");
        first_replica_says_the_truth(&site, &job).await?;
        site.compare().await
    })
}

#[test]
fn an_import_goes_on_at_once_with_an_agent_of_another_replica() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let (mut site, second, api) = two_replicas_at(stage, &postgres, 500, false).await?;
        let job = import_under_way(&site).await?;
        let mut spare = Agent::configured(stage, &Binaries::beside_this_program()?, &site.settings)?;
        spare.enroll(&api.enrollment_token_for(&[DIRECTORY]).await?).await?;
        spare.start(stage)?;
        wait::until_true("the spare agent serves the directory", wait::SOON, || async {
            Ok(api.directory(DIRECTORY).await?["agents"].as_array().is_some_and(|agents| agents.len() == 2))
        })
        .await?;
        site.line.refuse(true);
        site.agent.kill().await?;
        site.line.resume();
        wait::until_true("the job goes on", GOES_ON, || async { Ok(sent(&second, &job)) }).await?;
        let over = api.finished(&job, Duration::from_mins(1)).await?.expect("succeeded")?;
        ensure!(over.count("users") == 500 && over.count("missing") == 0, "{over:?}");
        ensure!(!site.control_plane.log().contains("did not come back"), "{}", site.control_plane.log());
        site.compare().await
    })
}

#[test]
fn one_identity_on_two_replicas_is_noticed_and_the_newest_machine_is_kept() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let (site, second, api) = two_replicas(stage, &postgres, 10).await?;
        let mut copy = Agent::configured(stage, &Binaries::beside_this_program()?, &site.settings)?;
        for file in std::fs::read_dir(site.agent.state_dir())? {
            let file = file?;
            if file.file_type()?.is_file() {
                std::fs::copy(file.path(), copy.state_dir().join(file.file_name()))?;
            }
        }
        site.line.set_target(second.gateway_address());
        copy.start(stage)?;
        wait::until_true("the copy is connected", wait::SOON, || async {
            Ok(second.log().contains("gateway.session_opened"))
        })
        .await?;
        // New connections now go to the first replica.
        site.line.set_target(site.control_plane.gateway_address());
        let noted = wait::until("the administrator is warned", wait::SOON, || async {
            let agent = api.agents().await?.pop().context("no agent")?;
            Ok(agent["identity_shared_at"].as_str().map(str::to_owned))
        });
        noted.await.with_context(|| format!("the first replica says:\n{}", site.control_plane.log()))?;
        ensure!(!second.log().contains("gateway.session_closed"), "the newest was cut");
        ensure!(site.agent.log().contains("another machine"), "the older one does not know: {}", site.agent.log());
        Ok(())
    })
}
