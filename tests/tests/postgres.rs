//! The same on `PostgreSQL`: the main job, and a database that is restarted under load.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::postgres::Postgres;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, control_plane, scenario, slapd};
use serde_json::Value;

async fn site_on(stage: &Stage, postgres: &Postgres, users: u32) -> Result<Site> {
    let mut options = control_plane::Options::for_tests()?;
    options.database_url = Some(postgres.fresh_database().await?);
    Site::start_with(stage, slapd::Options::people(users), options).await
}

#[test]
fn the_main_job_runs_on_postgres() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 300).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await?;
        let again = site.api.import(DIRECTORY).await?;
        ensure!(again.count("created") + again.count("updated") + again.count("missing") == 0, "{again:?}");
        Ok(())
    })
}

#[test]
fn postgres_restarted_under_load_loses_nothing() -> Result<()> {
    scenario(async |stage| {
        let mut postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 800).await?;
        for bytes in [4_000, 80_000, 200_000] {
            site.line.plan([(bytes, Fault::Pause(Duration::from_millis(1)))]);
            let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
            site.line.faults_over().await?;
            postgres.restart(stage).await?;
            let over = site.api.finished(&job.id, Duration::from_mins(1)).await;
            let job = over.with_context(|| format!("restarted after {bytes} bytes"))?.expect("succeeded")?;
            ensure!(job.count("missing") == 0, "{job:?}");
            site.compare().await?;
        }
        Ok(())
    })
}

#[test]
fn a_control_plane_on_postgres_killed_mid_import_takes_it_up_again() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let mut site = site_on(stage, &postgres, 500).await?;
        site.line.plan([(100_000, Fault::Hold)]);
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        site.line.struck().await?;
        site.control_plane.kill().await?;
        site.line.cut();
        site.line.resume();
        site.control_plane.run(stage).await?;
        site.api.finished(&job.id, Duration::from_mins(1)).await?.expect("succeeded")?;
        site.compare().await
    })
}
