//! The directory is down for long, and comes back: what waits is seen, stops nobody, and arrives in order and at the rate of
//! the settings.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, equal, in_state, provision, rests, start, user};
use crate::provisioning::faults::PATIENCE;

const USERS: usize = 12;

fn name(number: usize) -> String {
    format!("late{number:02}")
}

async fn failures(site: &Site) -> Result<Vec<Value>> {
    let found = site.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/failures")).await?;
    Ok(found["items"].as_array().cloned().unwrap_or_default())
}

/// How many entries have this title.
async fn titled(site: &Site, title: &str) -> Result<usize> {
    Ok(site.slapd.entries(&format!("(&(uid=late*)(title={title}))")).await?.len())
}

async fn title_all(site: &Site, ids: &[String], title: &str) -> Result<()> {
    for id in ids {
        site.api.patch(&format!("/api/v1/users/{id}"), json!({"attributes": {"title": title}})).await?;
    }
    Ok(())
}

/// Users with an account each.
async fn settled_users(site: &Site) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..USERS {
        ids.push(user(site, &name(number)).await?);
    }
    for id in &ids {
        ended(site, id, "create").await?;
    }
    Ok(ids)
}

#[test]
fn what_waits_for_a_directory_is_seen_and_arrives_when_it_is_back() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        provision(&site, all()).await?;
        let ids = settled_users(&site).await?;
        // One whose value no directory takes: a printable string (RFC 4517 §3.3.29) has no such characters.
        let mut rules =
            site.api.get(&format!("/api/v1/directories/{DIRECTORY}/outbound-mapping")).await?["rules"].clone();
        let odd = json!({"of": "users", "target": "destinationIndicator", "expression": "attributes.country"});
        rules.as_array_mut().context("no rules")?.push(odd);
        site.api.put(&format!("/api/v1/directories/{DIRECTORY}/outbound-mapping"), &json!({ "rules": rules })).await?;
        let odd = user(&site, "odd").await?;
        ended(&site, &odd, "create").await?;
        site.api.patch(&format!("/api/v1/users/{odd}"), json!({"attributes": {"country": "Atlantis_!"}})).await?;
        wait::until_true("it is quarantined", wait::SOON, async || Ok(failures(&site).await?.len() == 1)).await?;

        site.slapd.kill().await?;
        title_all(&site, &ids, "First").await?;
        let tried = async |times: u64| {
            let what = format!("all have failed {times} times");
            wait::until(&what, PATIENCE, async || {
                let late = failures(&site).await?;
                let late: Vec<Value> = late.into_iter().filter(|it| it["name"] != "odd").collect();
                let all = late.len() == USERS && late.iter().all(|it| it["failures"].as_u64() >= Some(times));
                Ok(all.then_some(late))
            })
            .await
        };
        let pause = |failing: &Value| -> Result<i64> {
            let next: jiff::Timestamp = failing["next_try_at"].as_str().context("no time")?.parse()?;
            Ok(next.duration_since(jiff::Timestamp::now()).as_secs())
        };
        let once = tried(1).await?;
        ensure!(once.iter().all(|it| it["problem"].is_string()), "{once:#?}");
        let twice = tried(2).await?;
        let longest = twice.iter().map(pause).collect::<Result<Vec<_>>>()?.into_iter().max();
        ensure!(longest > Some(10) && longest <= Some(20), "after the second failure: {longest:?}");
        // What is asked for later replaces what waits.
        title_all(&site, &ids, "Second").await?;
        site.slapd.restart(stage).await?;
        let second = async || Ok(titled(&site, "Second").await? == USERS);
        wait::until_true("all is there", PATIENCE, second).await?;
        wait::until_true("only the odd one is left", PATIENCE, async || Ok(failures(&site).await?.len() == 1)).await?;
        ensure!(failures(&site).await?[0]["name"] == "odd");
        // The first title came to nobody, and the second one once.
        let log = site.slapd.process().context("slapd does not run")?.log();
        for number in 0..USERS {
            let changes = log.lines().filter(|line| line.contains(&format!("MOD dn=\"uid={},", name(number)))).count();
            ensure!(changes == 1, "{changes} changes of {}", name(number));
        }
        site.api.patch(&format!("/api/v1/users/{odd}"), json!({"attributes": {"country": "FR"}})).await?;
        wait::until_true("nobody is left", wait::SOON, async || Ok(failures(&site).await?.is_empty())).await?;
        rests(&site.api).await?;
        equal(&site).await
    })
}

#[test]
fn what_has_waited_goes_at_the_rate_of_the_settings() -> Result<()> {
    const RATE: usize = 8;
    scenario(async |stage| {
        let mut site = start(stage).await?;
        provision(&site, all()).await?;
        let ids = settled_users(&site).await?;
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        let mut settings = all();
        settings["operations_per_minute"] = json!(RATE);
        site.api.put(&path, &json!({ "settings": settings, "paused": true })).await?;
        site.slapd.kill().await?;
        title_all(&site, &ids, "First").await?;
        title_all(&site, &ids, "Last").await?;
        site.slapd.restart(stage).await?;
        site.api.put(&path, &json!({ "settings": settings })).await?;
        let first = async || Ok(titled(&site, "Last").await? == RATE);
        wait::until_true("as many as may be", wait::SOON, first).await?;
        let no_more = "no more than that in a minute";
        wait::holds_for(no_more, Duration::from_secs(3), async || Ok(titled(&site, "Last").await? == RATE)).await?;
        let all = async || Ok(titled(&site, "Last").await? == USERS);
        wait::until_true("the others a minute later", PATIENCE, all).await?;
        ensure!(in_state(&site, "failed").await?.is_empty());
        rests(&site.api).await?;
        equal(&site).await
    })
}
