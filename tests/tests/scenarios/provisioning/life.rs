//! The life of a user of the organization in a directory: made, changed, disabled, enabled, deleted.

use anyhow::{Context as _, Result, ensure};
use postern_tests::scenario;
use postern_tests::site::DIRECTORY;
use serde_json::json;

use crate::provisioning::common::{all, ended, provision, start};

#[test]
fn a_user_of_the_organization_lives_in_the_directory() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        provision(&site, all()).await?;
        let body =
            json!({"user_name": "anna", "given_name": "Anna", "family_name": "Bell", "email": "anna@corp.example"});
        let user = site.api.post("/api/v1/users", body).await?;
        let id = user["id"].as_str().context("no id")?;
        let made = ended(&site, id, "create").await?;
        ensure!(made["state"] == "succeeded" && made["answer"]["effect"] == "created", "{made:#}");
        ensure!(made["cause"] == "user.created" && made["actor"].is_string(), "{made:#}");
        let entry = site.slapd.entries("(uid=anna)").await?;
        ensure!(entry.len() == 1 && entry[0].text("mail") == "anna@corp.example", "{entry:?}");
        // The organization goes on saying what its user is.
        let changed = site.api.patch(&format!("/api/v1/users/{id}"), json!({"email": "bell@corp.example"})).await?;
        ensure!(changed["email"] == "bell@corp.example", "{changed:#}");
        let edited = ended(&site, id, "update").await?;
        ensure!(edited["changes"]["before"]["mail"] == json!(["anna@corp.example"]), "{edited:#}");
        ensure!(edited["changes"]["after"]["mail"] == json!(["bell@corp.example"]), "{edited:#}");
        ensure!(site.slapd.entries("(uid=anna)").await?[0].text("mail") == "bell@corp.example");
        // An import changes nothing about it, and nothing is sent again.
        site.api.import(DIRECTORY).await?;
        let after = site.api.get(&format!("/api/v1/users/{id}")).await?;
        ensure!(after["email"] == "bell@corp.example" && after["active"] == true, "{after:#}");
        site.api.delete(&format!("/api/v1/users/{id}")).await?;
        let gone = ended(&site, id, "delete").await?;
        ensure!(gone["state"] == "succeeded", "{gone:#}");
        ensure!(site.slapd.entries("(uid=anna)").await?.is_empty());
        let all = site.api.get(&format!("/api/v1/reports/provisioning?user={id}")).await?;
        let actions: Vec<&str> =
            all["items"].as_array().context("no report")?.iter().filter_map(|item| item["action"].as_str()).collect();
        ensure!(actions == ["delete", "update", "create"], "{all:#}");
        // Those who come from the directory stay as they are.
        ensure!(site.slapd.users().await?.len() == 3);
        Ok(())
    })
}

#[test]
fn an_imported_user_who_was_disabled_here_is_enabled_again() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        provision(&site, all()).await?;
        let users = site.api.get("/api/v1/users?limit=1").await?;
        let id = users["items"][0]["id"].as_str().context("no user")?.to_owned();
        let name = users["items"][0]["user_name"].as_str().context("no name")?;
        let state = async || {
            let found = site.slapd.entries(&format!("(uid={name})")).await?;
            Ok::<_, anyhow::Error>(found.first().context("no entry")?.text("employeeType"))
        };
        let before = state().await?;
        site.api.post(&format!("/api/v1/users/{id}/disable"), json!({})).await?;
        ended(&site, &id, "disable").await?;
        ensure!(state().await? == "disabled");
        // An import finds it disabled, and that is still the organization's decision.
        site.api.import(DIRECTORY).await?;
        site.api.post(&format!("/api/v1/users/{id}/enable"), json!({})).await?;
        let enabled = ended(&site, &id, "enable").await?;
        ensure!(enabled["state"] == "succeeded", "{enabled:#}");
        ensure!(state().await? != "disabled", "it was {before}");
        let user = site.api.get(&format!("/api/v1/users/{id}")).await?;
        ensure!(user["active"] == true, "{user:#}");
        Ok(())
    })
}
