//! A member that the directory itself refuses: the others are written, and the report says who is missing and why.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{SitePolicySettings, WriteSettings};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, control_plane, scenario, wait, writing};
use serde_json::{Value, json};

use crate::provisioning::common::{ended, nothing_under_way, user};
use crate::provisioning::groups::members_of;

const GROUP: &str = "Pilots";

/// A site whose agent is no administrator: the server's rules of access hold for it.
async fn start(stage: &Stage) -> Result<Site> {
    let options = slapd::Options { statements: true, ..slapd::Options::people(3) };
    let site = Site::start_configured(stage, options, control_plane::Options::for_tests()?, |directory| {
        directory.write = Some(WriteSettings {
            user_container: Some(format!("ou=people,{SUFFIX}")),
            group_container: Some(format!("ou=groups,{SUFFIX}")),
            disable: Some("employeeType=disabled".to_owned()),
            placeholder_member: Some(Slapd::admin_dn()),
        });
        directory.policy = Some(SitePolicySettings::default());
    })
    .await?;
    site.api.import(DIRECTORY).await?;
    Ok(site)
}

/// Whether the server lets `uid=bert` be a member of anything.
async fn let_bert_in(site: &Site, allowed: bool) -> Result<()> {
    let [passwords, others] = writing::writer_access();
    let bert = format!("to attrs=member val.exact=\"uid=bert,ou=people,{SUFFIX}\" by * read");
    let rules = if allowed { vec![&passwords, &others] } else { vec![&bert, &passwords, &others] };
    site.slapd.set_access(&rules.into_iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn failing(site: &Site) -> Result<Vec<Value>> {
    let found = site.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/failures")).await?;
    Ok(found["items"].as_array().cloned().unwrap_or_default())
}

async fn the_report_names_bert(site: &Site) -> Result<()> {
    let bert = site.api.get("/api/v1/users/bert").await?["accounts"][0]["external_id"].clone();
    let report = site.api.get("/api/v1/reports/provisioning?action=change_members&limit=10").await?;
    // A second try had bert alone.
    let mut rows = report["items"].as_array().into_iter().flatten();
    let row = rows.find(|row| row["answer"].get("refused_members").is_some()).context("no such row")?;
    ensure!(row["state"] == "failed" && row["name"] == GROUP, "{row:#}");
    let refused = &row["answer"]["refused_members"];
    ensure!(refused.as_array().is_some_and(|all| all.len() == 1) && refused[0]["member"] == bert, "{row:#}");
    let why = refused[0]["message"].as_str().unwrap_or_default();
    ensure!(why.contains("right") && !why.contains(SUFFIX), "{row:#}");
    let message = row["answer"]["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("refused 1 of the members") && message.contains(why), "{row:#}");
    Ok(())
}

#[test]
fn a_member_that_the_directory_refuses_is_named_and_the_others_are_written() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let_bert_in(&site, true).await?;
        let group = site.api.post("/api/v1/groups", json!({ "display_name": GROUP })).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let settings = json!({
            "switches": { "create_users": true, "create_groups": true, "sync_members": true },
            "assignment": { "kind": "all" },
            "groups": [group],
        });
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        let pause = async |paused: bool| {
            site.api.put(&path, &json!({ "settings": settings, "paused": paused })).await.map(drop)
        };
        pause(false).await?;
        for name in ["anna", "bert", "carla", "dora"] {
            let id = user(&site, name).await?;
            ended(&site, &id, "create").await?;
        }
        let member = |name: &str| format!("/api/v1/groups/{group}/members/{name}");
        site.api.put(&member("dora"), &json!({})).await?;
        wait::until_true("dora is a member", wait::SOON, async || Ok(members_of(&site, GROUP).await? == ["dora"]))
            .await?;
        nothing_under_way(&site).await?;

        // Three join and one leaves, in one operation.
        let_bert_in(&site, false).await?;
        pause(true).await?;
        for name in ["anna", "bert", "carla"] {
            site.api.put(&member(name), &json!({})).await?;
        }
        site.api.delete(&member("dora")).await?;
        pause(false).await?;
        wait::until_true("the others are written", wait::SOON, async || {
            Ok(members_of(&site, GROUP).await? == ["anna", "carla"])
        })
        .await?;
        // New settings compare all once more, maybe while this is under way. Then it waits.
        let waits_for_long = async || {
            let waits = failing(&site).await?;
            let next = waits.first().and_then(|first| first["next_try_at"].as_str()?.parse::<jiff::Timestamp>().ok());
            Ok(next.is_some_and(|next| next > jiff::Timestamp::now()))
        };
        wait::until_true("the group waits", wait::SOON, waits_for_long).await?;
        nothing_under_way(&site).await?;
        the_report_names_bert(&site).await?;
        let waits = failing(&site).await?;
        ensure!(waits.len() == 1 && waits[0]["id"] == group.as_str(), "{waits:#?}");
        ensure!(waits[0]["problem"].as_str().is_some_and(|problem| problem.contains("right")), "{waits:#?}");

        // Once the site has mended it, only what is missing is sent.
        let_bert_in(&site, true).await?;
        site.api.post(&format!("{path}/compare"), json!({})).await?;
        wait::until_true("bert is a member, too", wait::SOON, async || {
            Ok(members_of(&site, GROUP).await? == ["anna", "bert", "carla"] && failing(&site).await?.is_empty())
        })
        .await?;
        let report = site.api.get("/api/v1/reports/provisioning?action=change_members&limit=1").await?;
        let row = &report["items"][0];
        ensure!(row["state"] == "succeeded" && row["answer"].get("refused_members").is_none(), "{row:#}");
        ensure!(!row["changes"].to_string().contains("anna"), "{row:#}");
        Ok(())
    })
}
