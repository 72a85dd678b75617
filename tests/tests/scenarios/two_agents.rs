//! Two agents serve one directory: when one dies in the middle of an import, the other takes over.

use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::agent::Agent;
use postern_tests::binaries::Binaries;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, wait};
use serde_json::Value;

#[test]
fn the_other_agent_takes_over_when_one_is_killed() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 500).await?;
        let mut second = Agent::configured(stage, &Binaries::beside_this_program()?, &site.settings)?;
        second.enroll(&site.api.enrollment_token_for(&[DIRECTORY]).await?).await?;
        second.start(stage)?;
        wait::until_true("both agents serve the directory", wait::SOON, || async {
            let directory = site.api.directory(DIRECTORY).await?;
            Ok(directory["agents"].as_array().is_some_and(|agents| agents.len() == 2))
        })
        .await?;
        site.line.plan([(60_000, Fault::Hold)]);
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        site.line.struck().await?;
        // Whichever of the two has it is killed.
        if site.agent.log().contains(&job.id) {
            site.agent.kill().await?;
        } else {
            ensure!(second.log().contains(&job.id), "neither agent has the job");
            second.kill().await?;
        }
        site.line.resume();
        let job = site.api.finished(&job.id, Duration::from_mins(1)).await?.expect("succeeded")?;
        ensure!(job.count("missing") == 0, "{job:?}");
        site.compare().await
    })
}
