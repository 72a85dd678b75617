//! What somebody has changed in the directory by hand: a comparison of all repairs it, or shows it in a plan.

use anyhow::{Context as _, Result, ensure};
use postern_tests::effects::Effects;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, in_state, nothing_under_way, provision, rests, start, user};

/// The users that a directory gets, each with an entry, and one whose deletion an administrator has rejected.
async fn people(site: &Site, settings: &Value) -> Result<()> {
    let mut settings = settings.clone();
    settings["thresholds"] = json!({ "deletes": { "number": 0 } });
    provision(site, settings).await?;
    for name in ["anna", "bert", "cora"] {
        let id = user(site, name).await?;
        ended(site, &id, "create").await?;
    }
    site.api.delete("/api/v1/users/cora").await?;
    wait::until_true("the deletion is held", wait::SOON, async || Ok(in_state(site, "held").await?.len() == 1)).await?;
    site.api.post(&format!("/api/v1/directories/{DIRECTORY}/provisioning/reject"), json!({})).await?;
    nothing_under_way(site).await
}

/// Imports, and then compares all users and groups as asked for. The id of the job.
async fn reconcile(site: &Site, what: &str) -> Result<String> {
    let job = site.api.start_job("import", DIRECTORY, json!({ "reconcile": what })).await?;
    site.api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
    Ok(job.id)
}

async fn entry(site: &Site, name: &str) -> Result<postern_tests::ldif::Entry> {
    site.slapd.entries(&format!("(uid={name})")).await?.into_iter().next().context("there is no entry")
}

/// What a deleted user is called in the report: by the entry.
fn cora() -> String {
    format!("uid=cora,ou=people,{SUFFIX}")
}

async fn change_by_hand(site: &Site) -> Result<()> {
    let (anna, bert) = (entry(site, "anna").await?.dn, entry(site, "bert").await?.dn);
    site.slapd.replace(&anna, "mail", &["by.hand@corp.example"]).await?;
    site.slapd.replace(&bert, "employeeType", &["disabled"]).await
}

#[test]
fn what_was_changed_by_hand_is_repaired() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        people(&site, &all()).await?;
        change_by_hand(&site).await?;
        reconcile(&site, "enforce").await?;
        wait::until_true("it is repaired", wait::SOON, async || {
            let (anna, bert) = (entry(&site, "anna").await?, entry(&site, "bert").await?);
            Ok(anna.text("mail") == "anna@corp.example" && bert.text("employeeType") != "disabled")
        })
        .await?;
        // Nothing has changed about her since it was rejected: only a comparison of all finds her.
        wait::until_true("the deletion is held again", wait::SOON, async || {
            Ok(in_state(&site, "held").await?.iter().filter(|held| held["name"] == cora()).count() == 1)
        })
        .await?;
        site.api.post(&format!("/api/v1/directories/{DIRECTORY}/provisioning/approve"), json!({})).await?;
        wait::until_true("cora is gone", wait::SOON, async || Ok(site.slapd.entries("(uid=cora)").await?.is_empty()))
            .await?;
        nothing_under_way(&site).await?;
        rests(&site.api).await
    })
}

#[test]
fn a_plan_with_the_id_of_the_job_shows_what_was_changed_by_hand_and_nothing_is_written() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        people(&site, &all()).await?;
        let mut settings = all();
        settings["mode"] = json!("report");
        provision(&site, settings).await?;
        change_by_hand(&site).await?;
        // Where only plans are carried out, to enforce is to plan.
        for what in ["report", "enforce"] {
            let mut effects = Effects::since_now(&site.slapd)?;
            let job = reconcile(&site, what).await?;
            let path = format!("/api/v1/directories/{DIRECTORY}/provisioning/plans/{job}");
            let plan = wait::until("the plan is made", wait::SOON, async || {
                let plan = site.api.get(&path).await?;
                Ok(Some(plan).filter(|plan| plan["state"] != "making"))
            })
            .await?;
            ensure!(plan["state"] == "ready" && plan["id"] == job.as_str(), "{plan:#}");
            let operations = site.api.get(&format!("{path}/operations")).await?;
            let rows = operations["items"].as_array().context("no operations")?;
            let of = |name: &str| rows.iter().find(|row| row["name"] == name).cloned().unwrap_or_default();
            let anna = of("anna");
            ensure!(anna["action"] == "update", "{operations:#}");
            ensure!(anna["before"]["mail"] == json!(["by.hand@corp.example"]), "{anna:#}");
            ensure!(anna["after"]["mail"] == json!(["anna@corp.example"]), "{anna:#}");
            ensure!(of("bert")["action"] == "enable" && of(&cora())["action"] == "delete", "{operations:#}");
            ensure!(rows.len() == 3, "{operations:#}");
            nothing_under_way(&site).await?;
            effects.look(&site.slapd)?;
            ensure!(effects.counts().is_empty(), "something was written: {effects:#?}");
        }
        ensure!(entry(&site, "anna").await?.text("mail") == "by.hand@corp.example");
        Ok(())
    })
}
