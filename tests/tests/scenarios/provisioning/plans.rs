//! Plans on a real directory: what a plan shows is not sent, applying sends exactly that, and what has changed meanwhile is
//! refused and planned again. What was sent is read from the server's own log.

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::Api;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use reqwest::Method;
use serde_json::{Value, json};

use crate::provisioning::common::{all, in_state, nothing_under_way, provision, start, user};
use crate::provisioning::groups::members_of;

/// Plans, and waits until the plan is made.
pub(crate) async fn plan(api: &Api, asked: Value) -> Result<Value> {
    let plans = format!("/api/v1/directories/{DIRECTORY}/provisioning/plans");
    let asked = api.post(&plans, asked).await?;
    let id = asked["id"].as_str().context("no id")?.to_owned();
    wait::until("the plan is made", wait::SOON, async || {
        let plan = api.get(&format!("{plans}/{id}")).await?;
        Ok(Some(plan).filter(|plan| plan["state"] != "making"))
    })
    .await
}

/// The path of a plan, or of something of it.
pub(crate) fn path(plan: &Value, what: &str) -> String {
    let id = plan["id"].as_str().unwrap_or_default();
    format!("/api/v1/directories/{DIRECTORY}/provisioning/plans/{id}{what}")
}

async fn operations(site: &Site, plan: &Value) -> Result<Vec<Value>> {
    let found = site.api.get(&path(plan, "/operations")).await?;
    Ok(found["items"].as_array().cloned().unwrap_or_default())
}

/// The names in the operations of a plan, with the action and what became of it.
async fn outcomes(site: &Site, plan: &Value) -> Result<Vec<(String, String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut found: Vec<_> = operations(site, plan)
        .await?
        .iter()
        .map(|operation| (text(&operation["name"]), text(&operation["action"]), text(&operation["state"])))
        .collect();
    found.sort();
    Ok(found)
}

/// How many requests the server has logged that add, change, rename or delete an entry of a user that this site has made.
fn writes(site: &Site) -> usize {
    let log = site.slapd.process().map(postern_tests::process::Process::log).unwrap_or_default();
    let written = |line: &&str| ["ADD dn=", "MOD dn=", "MODRDN dn=", "DEL dn="].iter().any(|word| line.contains(word));
    log.lines().filter(written).filter(|line| line.contains("uid=plan-")).count()
}

async fn status(site: &Site, plan: &Value, what: &str) -> Result<(u16, String)> {
    let (status, body) = site.api.send(Method::POST, &path(plan, what), Some(&json!({}))).await?;
    let status = status.as_u16();
    Ok((status, body.to_string()))
}

fn row(name: &str, action: &str, state: &str) -> (String, String, String) {
    (format!("plan-{name}"), action.to_owned(), state.to_owned())
}

/// Waits until all operations of a plan have ended.
async fn over(site: &Site, plan: &Value) -> Result<()> {
    wait::until_true("it is over", wait::SOON, async || {
        let outcomes = outcomes(site, plan).await?;
        Ok(outcomes.iter().all(|(_, _, state)| !["-", "waiting", "sent"].contains(&state.as_str())))
    })
    .await
}

#[test]
fn a_plan_is_carried_out_exactly_and_what_has_changed_is_refused_and_planned_again() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let mut settings = all();
        settings["mode"] = json!("report");
        settings["thresholds"] = json!({ "creates": { "number": 2 } });
        provision(&site, settings.clone()).await?;
        let mut ids = Vec::new();
        for name in ["plan-anna", "plan-bert", "plan-cora"] {
            ids.push(user(&site, name).await?);
        }
        let shown = plan(&site.api, json!({})).await?;
        ensure!(shown["state"] == "ready", "{shown:#}");
        ensure!(shown["summary"]["actions"] == json!({ "create": 3 }), "{shown:#}");
        ensure!(shown["summary"]["safeguards"][0]["planned"] == 3, "{shown:#}");
        let created = operations(&site, &shown).await?;
        ensure!(created[0]["after"]["mail"] == json!(["plan-anna@corp.example"]), "{created:#?}");
        // Only one, by name; and neither has sent anything.
        let one = plan(&site.api, json!({ "users": ["plan-anna"] })).await?;
        ensure!(outcomes(&site, &one).await? == [row("anna", "create", "-")], "{one:#}");
        ensure!(writes(&site) == 0 && in_state(&site, "held").await?.is_empty(), "nothing is sent by a plan");
        // One of them changes meanwhile.
        let other = json!({ "email": "other@corp.example" });
        site.api.patch(&format!("/api/v1/users/{}", ids[1]), other).await?;
        site.api.post(&path(&shown, "/apply"), json!({})).await?;
        over(&site, &shown).await?;
        let became = outcomes(&site, &shown).await?;
        let wanted =
            [row("anna", "create", "succeeded"), row("bert", "create", "refused"), row("cora", "create", "succeeded")];
        ensure!(became == wanted, "{became:#?}");
        ensure!(writes(&site) == 2, "exactly two were sent: {}", writes(&site));
        let refused = operations(&site, &shown).await?;
        let refused = refused.iter().find(|it| it["state"] == "refused").context("none is refused")?;
        ensure!(refused["answer"]["error"]["code"] == "changed_since_plan", "{refused:#}");
        let report = site.api.get("/api/v1/reports/provisioning?user=plan-anna").await?;
        let made = &report["items"][0];
        ensure!(made["cause"] == "plan.applied" && made["plan_id"] == shown["id"], "{made:#}");
        // Applying is once; what was made under other settings, or discarded, is refused.
        let (code, text) = status(&site, &shown, "/apply").await?;
        ensure!(code == 409 && text.contains("already applied"), "{code} {text}");
        let again = plan(&site.api, json!({ "again": shown["id"] })).await?;
        ensure!(outcomes(&site, &again).await? == [row("bert", "create", "-")], "{again:#}");
        settings["leaving"] = json!("keep");
        provision(&site, settings).await?;
        let (code, text) = status(&site, &again, "/apply").await?;
        ensure!(code == 409 && text.contains("settings or rules"), "{code} {text}");
        let again = plan(&site.api, json!({ "again": again["id"] })).await?;
        site.api.delete(&path(&one, "")).await?;
        let (code, text) = status(&site, &one, "/apply").await?;
        ensure!(code == 409 && text.contains("discarded"), "{code} {text}");
        // Two at once apply it once.
        let (first, second) = tokio::join!(status(&site, &again, "/apply"), status(&site, &again, "/apply"));
        let mut codes = [first?.0, second?.0];
        codes.sort_unstable();
        ensure!(codes == [200, 409], "{codes:?}");
        wait::until_true("bert is made", wait::SOON, async || {
            Ok(outcomes(&site, &again).await? == [row("bert", "create", "succeeded")])
        })
        .await?;
        ensure!(writes(&site) == 3 && site.slapd.entries("(mail=other@corp.example)").await?.len() == 1);
        Ok(())
    })
}

#[test]
fn a_plan_shows_before_and_after_of_values_names_and_members() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({ "display_name": "Pilots" })).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let mut settings = all();
        for switch in ["create_groups", "sync_members"] {
            settings["switches"][switch] = json!(true);
        }
        settings["groups"] = json!([group]);
        provision(&site, settings.clone()).await?;
        let (anna, bert) = (user(&site, "plan-anna").await?, user(&site, "plan-bert").await?);
        let cora = user(&site, "plan-cora").await?;
        let member = |id: &str| format!("/api/v1/groups/{group}/members/{id}");
        site.api.put(&member(&anna), &json!({})).await?;
        wait::until_true("she is a member", wait::SOON, async || {
            Ok(members_of(&site, "Pilots").await? == ["plan-anna"])
        })
        .await?;
        nothing_under_way(&site).await?;
        settings["mode"] = json!("report");
        provision(&site, settings).await?;
        let before = writes(&site);
        let change = json!({ "email": "bell@corp.example", "user_name": "plan-bell" });
        site.api.patch(&format!("/api/v1/users/{cora}"), change).await?;
        site.api.put(&member(&bert), &json!({})).await?;
        site.api.delete(&member(&anna)).await?;
        let shown = plan(&site.api, json!({})).await?;
        let actions = json!({ "update": 1, "move": 1, "change_members": 1 });
        ensure!(shown["summary"]["actions"] == actions, "{shown:#}");
        let rows = operations(&site, &shown).await?;
        let of = |action: &str| rows.iter().find(|row| row["action"] == action).cloned().unwrap_or_default();
        let update = of("update");
        ensure!(update["before"]["mail"] == json!(["plan-cora@corp.example"]), "{update:#}");
        ensure!(update["after"]["mail"] == json!(["bell@corp.example"]), "{update:#}");
        let renamed = of("move");
        ensure!(renamed["before"] == json!({ "container": null, "name": "plan-cora" }), "{renamed:#}");
        ensure!(renamed["after"] == json!({ "container": null, "name": "plan-bell" }), "{renamed:#}");
        let dn = |name: &str| format!("uid={name},ou=people,{SUFFIX}");
        let members = of("change_members");
        ensure!(members["kind"] == "group" && members["name"] == "Pilots", "{members:#}");
        ensure!(members["before"] == json!({ "members": [dn("plan-anna")] }), "{members:#}");
        ensure!(members["after"] == json!({ "members": [dn("plan-bert")] }), "{members:#}");
        ensure!(writes(&site) == before, "nothing is sent by a plan");
        site.api.post(&path(&shown, "/apply"), json!({})).await?;
        over(&site, &shown).await?;
        ensure!(members_of(&site, "Pilots").await? == ["plan-bert"]);
        ensure!(site.slapd.entries("(&(uid=plan-bell)(mail=bell@corp.example))").await?.len() == 1);
        Ok(())
    })
}

#[test]
fn a_member_that_the_same_plan_renames_and_removes_is_renamed_and_removed() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({ "display_name": "Pilots" })).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let mut settings = all();
        for switch in ["create_groups", "sync_members"] {
            settings["switches"][switch] = json!(true);
        }
        settings["groups"] = json!([group]);
        provision(&site, settings.clone()).await?;
        let member = |id: &str| format!("/api/v1/groups/{group}/members/{id}");
        let mut ids = Vec::new();
        for name in ["plan-anna", "plan-bert", "plan-cora"] {
            let id = user(&site, name).await?;
            site.api.put(&member(&id), &json!({})).await?;
            ids.push(id);
        }
        wait::until_true("all are members", wait::SOON, async || Ok(members_of(&site, "Pilots").await?.len() == 3))
            .await?;
        nothing_under_way(&site).await?;
        settings["mode"] = json!("report");
        provision(&site, settings).await?;
        for (id, name) in ids.iter().zip(["plan-anne", "plan-berta"]) {
            site.api.patch(&format!("/api/v1/users/{id}"), json!({ "user_name": name })).await?;
            site.api.delete(&member(id)).await?;
        }
        let shown = plan(&site.api, json!({})).await?;
        let actions = json!({ "update": 2, "move": 2, "change_members": 1 });
        ensure!(shown["summary"]["actions"] == actions, "{shown:#}");
        site.api.post(&path(&shown, "/apply"), json!({})).await?;
        over(&site, &shown).await?;
        let became = outcomes(&site, &shown).await?;
        ensure!(became.iter().all(|(_, _, state)| state == "succeeded"), "{became:#?}");
        ensure!(members_of(&site, "Pilots").await? == ["plan-cora"], "{:?}", members_of(&site, "Pilots").await?);
        let again = plan(&site.api, json!({})).await?;
        ensure!(again["summary"]["operations"] == 0, "{again:#}");
        Ok(())
    })
}

#[test]
fn a_paused_directory_is_planned_and_gets_nothing() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let path_of_settings = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        site.api.put(&path_of_settings, &json!({ "settings": all(), "paused": true })).await?;
        user(&site, "plan-anna").await?;
        let shown = plan(&site.api, json!({})).await?;
        ensure!(shown["summary"]["operations"] == 1, "{shown:#}");
        let (code, text) = status(&site, &shown, "/apply").await?;
        ensure!(code == 409 && text.contains("paused"), "{code} {text}");
        ensure!(writes(&site) == 0);
        Ok(())
    })
}
