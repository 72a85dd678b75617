//! A site that lets the agent write, and questions to the report.

use anyhow::{Result, ensure};
use postern_tests::agent::{SitePolicySettings, WriteSettings};
use postern_tests::api::Api;
use postern_tests::people::USER_ATTRIBUTES;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, compare, control_plane, wait};
use serde_json::{Value, json};

use crate::provisioning::plans::plan;

/// A site that lets the agent write, and a directory that gets all users.
pub(crate) async fn start(stage: &Stage) -> Result<Site> {
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
        // The administrator may write. If the file cannot be written, the import below fails.
        drop(directory.set_password(slapd::ADMIN_PASSWORD));
    })
    .await?;
    site.api.import(DIRECTORY).await?;
    Ok(site)
}

/// Sets what the directory gets.
pub(crate) async fn provision(site: &Site, settings: Value) -> Result<()> {
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
    site.api.put(&path, &json!({ "settings": settings })).await.map(|_| ())
}

/// Everything about users is allowed, and all have an account.
pub(crate) fn all() -> Value {
    json!({
        "switches": { "create_users": true, "edit_users": true, "delete_users": true, "enable_disable_users": true },
        "assignment": { "kind": "all" },
        "leaving": "delete",
    })
}

/// Waits until an operation of a user has ended, and returns it.
pub(crate) async fn ended(site: &Site, user: &str, action: &str) -> Result<Value> {
    let path = format!("/api/v1/reports/provisioning?user={user}&action={action}");
    wait::until("the operation has ended", wait::SOON, async || {
        let report = site.api.get(&path).await?;
        let found = report["items"].as_array().and_then(|items| items.first()).cloned();
        Ok(found.filter(|found| !found["ended_at"].is_null()))
    })
    .await
}

/// Makes a user of the organization, and returns the id.
pub(crate) async fn user(site: &Site, name: &str) -> Result<String> {
    let body = json!({"user_name": name, "family_name": name, "email": format!("{name}@corp.example")});
    let user = site.api.post("/api/v1/users", body).await?;
    Ok(user["id"].as_str().unwrap_or_default().to_owned())
}

/// The operations in a state, the latest first.
pub(crate) async fn in_state(site: &Site, state: &str) -> Result<Vec<Value>> {
    let report = site.api.get(&format!("/api/v1/reports/provisioning?state={state}")).await?;
    Ok(report["items"].as_array().cloned().unwrap_or_default())
}

/// Fails if an import and a comparison of all find something to do, or to report.
pub(crate) async fn rests(api: &Api) -> Result<()> {
    let reported = async || {
        let report = api.get("/api/v1/reports/provisioning?limit=1000").await?;
        anyhow::Ok(report["items"].as_array().cloned().unwrap_or_default())
    };
    let before = reported().await?;
    api.import(DIRECTORY).await?;
    let plan = plan(api, json!({})).await?;
    let path = format!(
        "/api/v1/directories/{DIRECTORY}/provisioning/plans/{}/operations",
        plan["id"].as_str().unwrap_or_default()
    );
    let differs = api.get(&path).await?;
    ensure!(plan["state"] == "ready" && differs["items"] == json!([]), "{plan:#}\n{differs:#}");
    let after = reported().await?;
    ensure!(after.len() == before.len(), "reported beyond what was asked for: {after:#?}");
    Ok(())
}

/// Fails unless the accounts of users are what the directory holds.
pub(crate) async fn equal(site: &Site) -> Result<()> {
    let accounts = site.api.accounts(DIRECTORY, "user").await?;
    compare::same_accounts(&site.slapd.users().await?, &accounts, "entryUUID", &USER_ATTRIBUTES)
}

/// Waits until no operation is open.
pub(crate) async fn nothing_under_way(site: &Site) -> Result<()> {
    wait::until_true("nothing is under way", wait::SOON, async || {
        Ok(in_state(site, "sent").await?.is_empty() && in_state(site, "waiting").await?.is_empty())
    })
    .await
}
