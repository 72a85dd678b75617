//! Work goes on where it stopped: after a process was killed, the line was cut, or the directory was down. What happened in
//! the directory is read from the server's own log.

use anyhow::{Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, in_state, provision, start};

/// How many users are made.
pub(crate) const USERS: usize = 60;
/// All of them, while processes come back.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// Makes many users at once.
pub(crate) async fn crowd(site: &Site, prefix: &str) -> Result<()> {
    let user = |number: usize| {
        let name = format!("{prefix}{number:02}");
        json!({"user_name": name, "family_name": name, "email": format!("{name}@corp.example")})
    };
    let users: Vec<Value> = (0..USERS).map(user).collect();
    let made = site.api.post("/api/v1/bulk-users", json!({ "users": users })).await?;
    ensure!(made.to_string().matches("created").count() >= USERS, "{made:#}");
    Ok(())
}

/// How many of them the directory has.
pub(crate) async fn arrived(site: &Site, prefix: &str) -> Result<usize> {
    Ok(site.slapd.entries(&format!("(uid={prefix}*)")).await?.len())
}

async fn some_arrived(site: &Site, prefix: &str) -> Result<()> {
    wait::until_true("some have arrived", wait::SOON, async || Ok(arrived(site, prefix).await? >= 5)).await
}

async fn all_arrived(site: &Site, prefix: &str) -> Result<()> {
    wait::until_true("all have arrived", PATIENCE, async || Ok(arrived(site, prefix).await? == USERS)).await?;
    wait::until_true("nothing is under way", PATIENCE, async || {
        Ok(in_state(site, "sent").await?.is_empty() && in_state(site, "waiting").await?.is_empty())
    })
    .await?;
    // Each was made by one request that the server carried out.
    let log = site.slapd.process().map(postern_tests::process::Process::log).unwrap_or_default();
    let added = log.lines().filter(|line| line.contains("ADD dn=") && line.contains(&format!("uid={prefix}"))).count();
    ensure!(added >= USERS, "{added}");
    let twice = log.lines().filter(|line| line.contains("tag=105 err=68")).count();
    ensure!(twice == 0, "{twice} entries were added twice");
    ensure!(in_state(site, "failed").await?.is_empty(), "{:?}", in_state(site, "failed").await?);
    Ok(())
}

async fn begin(stage: &postern_tests::Stage) -> Result<Site> {
    let site = start(stage).await?;
    let mut settings = all();
    settings["thresholds"] = json!({ "creates": { "number": 1_000 } });
    provision(&site, settings).await?;
    Ok(site)
}

#[test]
fn a_killed_control_plane_goes_on_and_makes_nobody_twice() -> Result<()> {
    scenario(async |stage| {
        let mut site = begin(stage).await?;
        crowd(&site, "kp").await?;
        some_arrived(&site, "kp").await?;
        site.control_plane.kill().await?;
        site.line.cut();
        site.line.resume();
        site.control_plane.run(stage).await?;
        all_arrived(&site, "kp").await
    })
}

#[test]
fn a_killed_agent_goes_on_and_makes_nobody_twice() -> Result<()> {
    scenario(async |stage| {
        let mut site = begin(stage).await?;
        crowd(&site, "ka").await?;
        some_arrived(&site, "ka").await?;
        site.agent.kill().await?;
        site.line.cut();
        site.line.resume();
        site.agent.start(stage)?;
        all_arrived(&site, "ka").await
    })
}

#[test]
fn work_waits_for_a_directory_that_is_down() -> Result<()> {
    scenario(async |stage| {
        let mut site = begin(stage).await?;
        site.slapd.kill().await?;
        crowd(&site, "kd").await?;
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning/failures");
        wait::until_true("it is reported", PATIENCE, async || {
            let found = site.api.get(&path).await?;
            Ok(found["items"].as_array().is_some_and(|items| !items.is_empty()))
        })
        .await?;
        site.slapd.restart(stage).await?;
        wait::until_true("all have arrived", PATIENCE, async || Ok(arrived(&site, "kd").await? == USERS)).await
    })
}
