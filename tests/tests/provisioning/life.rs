//! The life of a user of the organization in a directory: made, changed, disabled, enabled, deleted.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{SitePolicySettings, WriteSettings};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, control_plane, scenario, wait};
use serde_json::{Value, json};

/// A site that lets the agent write, and a directory that gets all users.
async fn start(stage: &Stage) -> Result<Site> {
    let options = slapd::Options { overlays: true, statements: true, ..slapd::Options::people(3) };
    let site = Site::start_configured(stage, options, control_plane::Options::for_tests()?, |directory| {
        directory.bind_dn = Some(Slapd::admin_dn());
        directory.write = Some(WriteSettings {
            user_container: Some(format!("ou=people,{SUFFIX}")),
            group_container: Some(format!("ou=groups,{SUFFIX}")),
            disable: Some("employeeType=disabled".to_owned()),
            placeholder_member: Some(Slapd::admin_dn()),
        });
        directory.policy = Some(SitePolicySettings::default());
        // The administrator may write.
        directory.set_password(slapd::ADMIN_PASSWORD).expect("the password file");
    })
    .await?;
    site.api.import(DIRECTORY).await?;
    Ok(site)
}

async fn provision(site: &Site, settings: Value) -> Result<()> {
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
    site.api.put(&path, &json!({ "settings": settings })).await.map(|_| ())
}

fn all() -> Value {
    json!({
        "switches": { "create_users": true, "edit_users": true, "delete_users": true, "enable_disable_users": true },
        "assignment": { "kind": "all" },
        "leaving": "delete",
    })
}

/// Waits until an operation of a user has ended, and returns it.
async fn ended(site: &Site, user: &str, action: &str) -> Result<Value> {
    let path = format!("/api/v1/reports/provisioning?user={user}&action={action}");
    wait::until("the operation has ended", wait::SOON, async || {
        let report = site.api.get(&path).await?;
        let found = report["items"].as_array().and_then(|items| items.first()).cloned();
        Ok(found.filter(|found| !found["ended_at"].is_null()))
    })
    .await
}

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
