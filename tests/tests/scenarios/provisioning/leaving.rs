//! Who loses the assignment: disabled, moved and out of the groups; and all of it undone for who comes back.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{ended, provision, start, user};
use crate::provisioning::plans::{path, plan};

/// Where anna's entry is, whether it is enabled, and whether the group has it as a member.
async fn anna(site: &Site) -> Result<(String, bool, bool)> {
    let entry = site.slapd.entries("(uid=anna)").await?.into_iter().next().context("anna has no entry")?;
    let group = site.slapd.entries("(cn=Pilots)").await?.into_iter().next().context("there is no group")?;
    let member = group.values("member").iter().any(|dn| String::from_utf8_lossy(dn).starts_with("uid=anna,"));
    Ok((entry.dn.clone(), entry.text("employeeType") != "disabled", member))
}

async fn becomes(site: &Site, wanted: (&str, bool, bool)) -> Result<()> {
    let wanted = (format!("uid=anna,{}ou=people,{SUFFIX}", wanted.0), wanted.1, wanted.2);
    wait::until_true(&format!("anna is {wanted:?}"), wait::SOON, async || Ok(anna(site).await? == wanted)).await
}

fn settings(staff: &Value, pilots: &Value) -> Value {
    json!({
        "switches": { "create_users": true, "edit_users": true, "enable_disable_users": true, "delete_users": true,
            "create_groups": true, "sync_members": true },
        "assignment": { "kind": "groups", "groups": [staff] },
        "groups": [pilots],
        "leaving_then": { "move_to": "ou=Former", "remove_groups": true, "delete_after_days": 30 },
    })
}

#[test]
fn who_loses_the_assignment_is_disabled_moved_and_out_of_the_groups_until_it_is_given_back() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        site.slapd
            .apply(format!(
                "dn: ou=Former,ou=people,{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\nou: Former\n"
            ))
            .await?;
        let staff = site.api.post("/api/v1/groups", json!({"display_name": "Staff"})).await?["id"].clone();
        let pilots = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?["id"].clone();
        let id = user(&site, "anna").await?;
        let member = |group: &Value| format!("/api/v1/groups/{}/members/{id}", group.as_str().unwrap_or_default());
        site.api.put(&member(&staff), &json!({})).await?;
        site.api.put(&member(&pilots), &json!({})).await?;
        provision(&site, settings(&staff, &pilots)).await?;
        ended(&site, &id, "create").await?;
        becomes(&site, ("", true, true)).await?;

        let plan = json!({ "change": "remove_members", "group": staff, "members": ["anna"] });
        let said = &site.api.post("/api/v1/provisioning/consequences", plan).await?["directories"][0];
        let then = json!({ "move_to": "ou=Former", "remove_groups": true, "delete_after_days": 30 });
        ensure!(said["becomes"] == "disable" && said["then"] == then, "{said:#}");

        for _ in 0..2 {
            site.api.delete(&member(&staff)).await?;
            becomes(&site, ("ou=Former,", false, false)).await?;
            let explained = site.api.get(&format!("/api/v1/users/{id}/provision/explain?target={DIRECTORY}")).await?;
            ensure!(explained["account"]["left_at"].is_string(), "{explained:#}");
            ensure!(explained["account"]["deleted_at"].is_string(), "{explained:#}");
            site.api.put(&member(&staff), &json!({})).await?;
            becomes(&site, ("", true, true)).await?;
        }
        wait::until_true("nothing is left of it", wait::SOON, async || {
            let explained = site.api.get(&format!("/api/v1/users/{id}/provision/explain?target={DIRECTORY}")).await?;
            Ok(explained["account"]["left_at"].is_null() && explained["steps"] == json!([]))
        })
        .await
    })
}

#[test]
fn a_plan_shows_what_leaving_does_and_the_days_begin_once_it_is_applied() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        site.slapd
            .apply(format!(
                "dn: ou=Former,ou=people,{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\nou: Former\n"
            ))
            .await?;
        let staff = site.api.post("/api/v1/groups", json!({"display_name": "Staff"})).await?["id"].clone();
        let pilots = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?["id"].clone();
        let id = user(&site, "anna").await?;
        let member = format!("/api/v1/groups/{}/members/{id}", staff.as_str().unwrap_or_default());
        site.api.put(&member, &json!({})).await?;
        let mut settings = settings(&staff, &pilots);
        provision(&site, settings.clone()).await?;
        ended(&site, &id, "create").await?;
        settings["mode"] = json!("report");
        provision(&site, settings).await?;
        site.api.delete(&member).await?;
        let explain = format!("/api/v1/users/{id}/provision/explain?target={DIRECTORY}");
        let explained = site.api.get(&explain).await?;
        ensure!(explained["account"]["left_at"].is_null(), "nobody has done anything: {explained:#}");

        let shown = plan(&site.api, json!({ "users": ["anna"] })).await?;
        ensure!(shown["summary"]["actions"] == json!({ "disable": 1, "move": 1 }), "{shown:#}");
        site.api.post(&path(&shown, "/apply"), json!({})).await?;
        ended(&site, &id, "move").await?;
        let entry = site.slapd.entries("(uid=anna)").await?.into_iter().next().context("anna has no entry")?;
        ensure!(entry.dn == format!("uid=anna,ou=Former,ou=people,{SUFFIX}"), "{}", entry.dn);
        let explained = site.api.get(&explain).await?;
        ensure!(explained["account"]["deleted_at"].is_string(), "{explained:#}");
        Ok(())
    })
}
