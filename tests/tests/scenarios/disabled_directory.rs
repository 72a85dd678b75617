//! An administrator disables a directory: nothing new begins, what is under way ends and says why, nobody is missing.

use anyhow::{Context as _, Result, ensure};
use postern_tests::people::Person;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn disable(site: &Site, disabled: bool) -> Result<()> {
    site.api.patch(&format!("/api/v1/directories/{DIRECTORY}"), json!({ "disabled": disabled })).await.map(drop)
}

async fn ends_disabled(site: &Site, job: &str) -> Result<()> {
    let job = site.api.finished(job, wait::SOON).await?.expect("failed")?;
    ensure!(job.error_code() == "disabled" && job.error["cure"].is_string(), "{job:?}");
    Ok(())
}

async fn nobody_is_missing(site: &Site) -> Result<()> {
    let accounts = site.api.accounts(DIRECTORY, "user").await?;
    ensure!(accounts.iter().all(|account| account.missing_since.is_none()), "somebody was marked missing");
    Ok(())
}

#[test]
fn a_directory_disabled_under_its_jobs_ends_them_and_marks_nobody_missing() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 600).await?;
        site.api.import(DIRECTORY).await?;
        site.slapd.delete(&Person::nth(7).dn(SUFFIX)).await?;
        // The first is in the middle of its reading, the second waits for it.
        site.ldap_line.plan([(150_000, Fault::Hold)]);
        let running = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        let waiting = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        site.ldap_line.struck().await?;
        disable(&site, true).await?;
        ends_disabled(&site, &running.id).await.context("the running job")?;
        ends_disabled(&site, &waiting.id).await.context("the waiting job")?;
        wait::until_true("the agent stops reading", wait::SOON, || async {
            Ok(!site.agent.status().await?.contains("command  "))
        })
        .await?;
        site.ldap_line.resume();
        let request = json!({ "kind": "test_connection", "directory": DIRECTORY });
        let (status, problem) = site.api.send(Method::POST, "/api/v1/jobs", Some(&request)).await?;
        ensure!(status == StatusCode::CONFLICT, "{status}: {problem}");
        ensure!(problem["detail"].as_str().is_some_and(|detail| detail.contains("disabled")), "{problem}");
        ensure!(problem["cure"].as_str().is_some_and(|cure| cure.contains("enable corp")), "{problem}");
        nobody_is_missing(&site).await?;

        // Without an agent nobody takes a job up, and yet it ends.
        disable(&site, false).await?;
        site.agent.terminate().await?;
        let unclaimed = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        disable(&site, true).await?;
        ends_disabled(&site, &unclaimed.id).await.context("a job without an agent")?;

        disable(&site, false).await?;
        site.agent.start(stage)?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("missing") == 1, "{job:?}");
        site.compare().await
    })
}

#[test]
fn a_held_import_of_a_disabled_directory_waits_until_it_is_enabled() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 60).await?;
        site.api.import(DIRECTORY).await?;
        for number in 10..30 {
            site.slapd.delete(&Person::nth(number).dn(SUFFIX)).await?;
        }
        let held = site.api.try_import(DIRECTORY).await?.expect("held")?;
        disable(&site, true).await?;
        let approve = format!("/api/v1/jobs/{}/approve", held.id);
        let (status, problem) = site.api.send(Method::POST, &approve, Some(&json!({}))).await?;
        ensure!(status == StatusCode::CONFLICT && problem["cure"].is_string(), "{status}: {problem}");
        nobody_is_missing(&site).await?;
        disable(&site, false).await?;
        site.api.decide(&held.id, "approve").await?;
        let job = site.api.finished(&held.id, wait::SOON).await?.expect("succeeded")?;
        ensure!(job.count("missing") == 20, "{job:?}");
        site.compare().await
    })
}
