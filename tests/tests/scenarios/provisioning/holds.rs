//! Too many changes within an hour wait for an administrator, who decides about all or some.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, in_state, provision, start, user};

#[test]
fn deletions_beyond_the_threshold_wait_and_only_what_is_approved_is_sent() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let mut settings = all();
        settings["thresholds"] = json!({ "deletes": { "number": 1 } });
        provision(&site, settings).await?;
        let mut ids = Vec::new();
        for name in ["anna", "bert", "cora", "dora"] {
            let id = user(&site, name).await?;
            ended(&site, &id, "create").await?;
            ids.push(id);
        }
        for id in &ids {
            site.api.delete(&format!("/api/v1/users/{id}")).await?;
        }
        let held = wait::until("three are held", wait::SOON, async || {
            Ok(Some(in_state(&site, "held").await?).filter(|held| held.len() == 3))
        })
        .await?;
        ensure!(site.slapd.users().await?.len() == 3 + 3, "one was deleted, and no more");
        ensure!(held[0]["answer"]["held"] == "more than 1 objects deleted within an hour", "{:#}", held[0]);
        // One is approved; of another one the user comes back meanwhile; the third is rejected.
        let path = |what: &str| format!("/api/v1/directories/{DIRECTORY}/provisioning/{what}");
        let only = |operation: &Value| json!({ "operations": [operation["id"]] });
        site.api.post(&path("approve"), only(&held[0])).await?;
        let entry = site.api.audited("operations.approved").await?;
        ensure!(entry["object"] == DIRECTORY, "{entry:#}");
        let approved = held[0]["identity_id"].as_str().context("no id")?;
        let gone = ended(&site, approved, "delete").await?;
        ensure!(gone["state"] == "succeeded", "{gone:#}");
        let back = held[1]["identity_id"].as_str().context("no id")?;
        site.api.post(&format!("/api/v1/users/{back}/restore"), json!({})).await?;
        wait::until_true("the deletion is dropped", wait::SOON, async || Ok(in_state(&site, "held").await?.len() == 1))
            .await?;
        site.api.post(&path("reject"), only(&held[2])).await?;
        let entry = site.api.audited("operations.rejected").await?;
        ensure!(entry["object"] == DIRECTORY, "{entry:#}");
        ensure!(in_state(&site, "held").await?.is_empty());
        ensure!(site.slapd.users().await?.len() == 3 + 2, "only the approved one was deleted");
        // A comparison of all finds the rejected one again.
        site.api.post(&path("compare"), json!({})).await?;
        wait::until_true("it is held again", wait::SOON, async || Ok(in_state(&site, "held").await?.len() == 1))
            .await?;
        let (status, _) = site.api.send(reqwest::Method::POST, &path("approve"), Some(&only(&held[0]))).await?;
        ensure!(status == 409, "what is not held cannot be approved: {status}");
        Ok(())
    })
}

#[test]
fn all_that_are_held_are_rejected_or_approved_at_once() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let mut settings = all();
        settings["thresholds"] = json!({ "deletes": { "number": 0 } });
        provision(&site, settings).await?;
        let mut ids = Vec::new();
        for name in ["anna", "bert", "cora"] {
            let id = user(&site, name).await?;
            ended(&site, &id, "create").await?;
            ids.push(id);
        }
        for id in &ids {
            site.api.delete(&format!("/api/v1/users/{id}")).await?;
        }
        let all_held = async || {
            wait::until_true("all are held", wait::SOON, async || Ok(in_state(&site, "held").await?.len() == 3)).await
        };
        let path = |what: &str| format!("/api/v1/directories/{DIRECTORY}/provisioning/{what}");
        all_held().await?;
        let rejected = site.api.post(&path("reject"), json!({})).await?;
        ensure!(rejected["decided"] == 3 && in_state(&site, "held").await?.is_empty(), "{rejected:#}");
        ensure!(site.slapd.users().await?.len() == 3 + 3, "nobody was deleted");
        site.api.post(&path("compare"), json!({})).await?;
        all_held().await?;
        let approved = site.api.post(&path("approve"), json!({})).await?;
        ensure!(approved["decided"] == 3, "{approved:#}");
        for id in &ids {
            let gone = ended(&site, id, "delete").await?;
            ensure!(gone["state"] == "succeeded" && gone["approved_by"].is_string(), "{gone:#}");
        }
        ensure!(site.slapd.users().await?.len() == 3 && in_state(&site, "held").await?.is_empty());
        let (status, _) = site.api.send(reqwest::Method::POST, &path("approve"), Some(&json!({}))).await?;
        ensure!(status == 409, "nothing is left to approve: {status}");
        // The report finds a deleted user by the name, too.
        let report = site.api.get("/api/v1/reports/provisioning?user=anna&action=delete&state=succeeded").await?;
        ensure!(report["items"][0]["identity_id"] == ids[0].as_str(), "{report:#}");
        let (status, refused) =
            site.api.send(reqwest::Method::GET, "/api/v1/reports/provisioning?user=zoe", None).await?;
        ensure!(status == 404, "{status} {refused:#}");
        Ok(())
    })
}
