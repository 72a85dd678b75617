//! What is switched off is never sent: by the server's own log.

use anyhow::{Context as _, Result, ensure};
use postern_tests::effects::{Effects, Kind};
use postern_tests::site::Site;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{ended, nothing_under_way, provision, start, user};
use crate::provisioning::groups::members_of;

const ALL: [&str; 8] = [
    "create_users",
    "edit_users",
    "delete_users",
    "enable_disable_users",
    "create_groups",
    "edit_groups",
    "delete_groups",
    "sync_members",
];

fn only(on: impl Fn(&str) -> bool, groups: &[&str]) -> Value {
    let switches: serde_json::Map<String, Value> =
        ALL.map(|name| (name.to_owned(), json!(on(name)))).into_iter().collect();
    json!({ "switches": switches, "assignment": { "kind": "all" }, "groups": groups, "leaving": "delete" })
}

async fn group(site: &Site, name: &str) -> Result<String> {
    let group = site.api.post("/api/v1/groups", json!({ "display_name": name })).await?;
    Ok(group["id"].as_str().context("no id")?.to_owned())
}

async fn mail(site: &Site, mail: &str) -> Result<()> {
    let filter = format!("(mail={mail})");
    wait::until_true("the address is there", wait::SOON, async || Ok(!site.slapd.entries(&filter).await?.is_empty()))
        .await
}

#[test]
fn what_is_switched_off_is_never_sent() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let (team, former) = (group(&site, "Team").await?, group(&site, "Former").await?);
        let groups = [team.as_str(), former.as_str()];
        provision(&site, only(|_| true, &groups)).await?;
        for name in ["anna", "bert", "cora"] {
            let id = user(&site, name).await?;
            ended(&site, &id, "create").await?;
        }
        site.api.put(&format!("/api/v1/groups/{team}/members/anna"), &json!({})).await?;
        wait::until_true("anna is a member", wait::SOON, async || Ok(members_of(&site, "Team").await? == ["anna"]))
            .await?;
        nothing_under_way(&site).await?;

        // Everything is changed, and only new users are allowed.
        provision(&site, only(|name| name == "create_users", &groups)).await?;
        let mut effects = Effects::since_now(&site.slapd)?;
        site.api.patch("/api/v1/users/anna", json!({ "email": "bell@corp.example" })).await?;
        site.api.post("/api/v1/users/bert/disable", json!({})).await?;
        site.api.delete("/api/v1/users/cora").await?;
        site.api.put(&format!("/api/v1/groups/{team}/members/bert"), &json!({})).await?;
        site.api.delete(&format!("/api/v1/groups/{team}/members/anna")).await?;
        site.api.patch(&format!("/api/v1/groups/{team}"), json!({ "display_name": "Crew" })).await?;
        site.api.delete(&format!("/api/v1/groups/{former}?provisioned=true")).await?;
        // Who comes last is decided about last.
        let dora = user(&site, "dora").await?;
        ended(&site, &dora, "create").await?;
        nothing_under_way(&site).await?;
        effects.look(&site.slapd)?;
        ensure!(*effects.counts() == [(("dora".to_owned(), Kind::Add), 1)].into(), "{effects:#?}");

        // Everything but new users and groups.
        let late = group(&site, "Late").await?;
        let mut effects = Effects::since_now(&site.slapd)?;
        provision(&site, only(|name| !name.starts_with("create_"), &[&team, &late])).await?;
        user(&site, "emil").await?;
        mail(&site, "bell@corp.example").await?;
        site.api.patch("/api/v1/users/anna", json!({ "email": "anna@corp.example" })).await?;
        mail(&site, "anna@corp.example").await?;
        nothing_under_way(&site).await?;
        effects.look(&site.slapd)?;
        let added = effects.counts().keys().find(|(_, kind)| *kind == Kind::Add);
        ensure!(added.is_none() && effects.counts().contains_key(&("cora".to_owned(), Kind::Delete)), "{effects:#?}");
        Ok(())
    })
}
