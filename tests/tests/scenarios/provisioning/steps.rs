//! The steps of one user: one that the directory refuses keeps the others from nothing.

use anyhow::{Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::{scenario, wait};
use serde_json::json;

use crate::provisioning::common::{all, ended, in_state, provision, start, user};

#[test]
fn a_refused_value_keeps_nobody_locked_out_and_nobody_in() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let rule = |target: &str, expression: &str| json!({"of": "users", "target": target, "expression": expression});
        let country = rule("destinationIndicator", "attributes.country");
        let rules = [rule("uid", "user_name"), rule("cn", "user_name"), rule("sn", "user_name"), country];
        site.api.put(&format!("/api/v1/directories/{DIRECTORY}/outbound-mapping"), &json!({ "rules": rules })).await?;
        provision(&site, all()).await?;
        let anna = user(&site, "anna").await?;
        ended(&site, &anna, "create").await?;
        let path = format!("/api/v1/users/{anna}");
        let off = async || {
            let found = site.slapd.entries("(uid=anna)").await?;
            anyhow::Ok(found.first().is_some_and(|entry| entry.text("employeeType") == "disabled"))
        };
        // A printable string (RFC 4517 §3.3.29) has no such characters.
        let country = async |name: &str| {
            site.api.patch(&path, json!({ "attributes": { "country": name } })).await?;
            let refused = ended(&site, &anna, "update").await?;
            ensure!(refused["changes"]["after"]["destinationIndicator"] == json!([name]), "{refused:#}");
            ensure!(refused["state"] == "failed", "{refused:#}");
            anyhow::Ok(())
        };
        country("Atlantis_!").await?;
        site.api.post(&format!("{path}/disable"), json!({})).await?;
        wait::until_true("anna is kept out", wait::SOON, off).await?;
        wait::until_true("the value is refused again", wait::SOON, async || {
            Ok(in_state(&site, "failed").await?.len() == 2)
        })
        .await?;
        site.api.post(&format!("{path}/enable"), json!({})).await?;
        wait::until_true("anna is let in", wait::SOON, async || Ok(!off().await?)).await?;
        // It is tried again, and the reason is shown.
        let failures = site.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/failures")).await?;
        ensure!(
            failures["items"][0]["problem"].as_str().is_some_and(|text| text.contains("destinationIndicator: ")),
            "{failures:#}"
        );
        site.api.patch(&path, json!({ "attributes": { "country": "FR" } })).await?;
        wait::until_true("the value is there", wait::SOON, async || {
            let found = site.slapd.entries("(uid=anna)").await?;
            Ok(found.first().is_some_and(|entry| entry.text("destinationIndicator") == "FR"))
        })
        .await?;
        Ok(())
    })
}
