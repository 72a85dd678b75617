//! What a deletion does is said before it is done, and a group that decides about accounts is not deleted unasked.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::{scenario, wait};
use reqwest::Method;
use serde_json::json;

use crate::provisioning::common::{ended, in_state, provision, start, user};

#[test]
fn the_group_that_gives_accounts_is_only_deleted_knowingly_and_then_the_threshold_holds() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Staff"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let mut ids = Vec::new();
        for name in ["anna", "bert", "cora"] {
            let id = user(&site, name).await?;
            site.api.put(&format!("/api/v1/groups/{group}/members/{id}"), &json!({})).await?;
            ids.push(id);
        }
        provision(
            &site,
            json!({
                "switches": { "create_users": true, "enable_disable_users": true },
                "assignment": { "kind": "groups", "groups": [group] },
                "thresholds": { "disables": { "number": 1 } },
            }),
        )
        .await?;
        for id in &ids {
            ended(&site, id, "create").await?;
        }
        let asked = async |change: serde_json::Value| {
            site.api
                .post("/api/v1/provisioning/consequences", change)
                .await
                .map(|found| found["directories"][0].clone())
        };
        let of_group = asked(json!({ "change": "delete_group", "group": group })).await?;
        ensure!((&of_group["accounts"], &of_group["at_once"]) == (&json!(3), &json!(1)), "{of_group:#}");
        ensure!(of_group["directory"] == DIRECTORY && of_group["becomes"] == "disable", "{of_group:#}");
        let one = asked(json!({ "change": "remove_members", "group": "Staff", "members": ["anna"] })).await?;
        ensure!(one["accounts"] == 1, "{one:#}");
        let nobody = site.api.post("/api/v1/groups", json!({"display_name": "Others"})).await?;
        let none = asked(json!({ "change": "delete_group", "group": nobody["id"] })).await?;
        ensure!(none.is_null(), "{none:#}");
        let path = format!("/api/v1/groups/{group}");
        let (status, problem) = site.api.send(Method::DELETE, &path, None).await?;
        ensure!(status == 409 && problem.to_string().contains(DIRECTORY), "{status} {problem:#}");
        let (status, _) = site.api.send(Method::DELETE, &format!("{path}?provisioned=true"), None).await?;
        ensure!(status == 204, "{status}");
        wait::until_true("two are held", wait::SOON, async || Ok(in_state(&site, "held").await?.len() == 2)).await?;
        let off = site.slapd.entries("(employeeType=disabled)").await?;
        ensure!(off.len() == 1, "{off:?}");
        // The settings still name the group, and can be changed.
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        let view = site.api.get(&path).await?;
        ensure!(view["accounts"] == 3 && view["agent_connected"] == true, "{view:#}");
        site.api.put(&path, &json!({ "settings": view["settings"], "paused": true })).await?;
        Ok(())
    })
}
