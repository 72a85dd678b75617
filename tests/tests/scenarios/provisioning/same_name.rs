//! A new person with the name of somebody who was deleted: nobody gets the old entry unasked, and it can be linked.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, provision, start, user};

#[test]
fn an_entry_of_a_deleted_person_is_only_linked_by_decision() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        for existing in ["conflict", "adopt"] {
            let mut settings = all();
            settings["existing"] = json!(existing);
            settings["leaving"] = json!("disable");
            provision(&site, settings).await?;
            let name = format!("anna.{existing}");
            let entry = async || {
                let found = site.slapd.entries(&format!("(uid={name})")).await?;
                found.into_iter().next().context("there is no entry")
            };
            let first = user(&site, &name).await?;
            ended(&site, &first, "create").await?;
            let (_, answer) = site.api.send(reqwest::Method::DELETE, &format!("/api/v1/users/{first}"), None).await?;
            let told = json!([{ "directory": DIRECTORY, "accounts": 1, "more": false, "becomes": "disable", "at_once": 1,
                "then": { "move_to": null, "remove_groups": false, "delete_after_days": null }, "has_group": false, "paused": false }]);
            ensure!(answer["directories"] == told, "{answer:#}");
            ended(&site, &first, "disable").await?;
            let second = user(&site, &name).await?;
            let refused = ended(&site, &second, "create").await?;
            let error = &refused["answer"]["error"];
            ensure!(refused["state"] == "failed" && error["code"] == "conflict", "{refused:#}");
            let cure = error["cure"].as_str().context("no cure")?;
            ensure!(cure.contains(&format!("postern provisioning link {name} --target {DIRECTORY}")), "{cure}");
            ensure!(entry().await?.text("employeeType") == "disabled", "the entry is as it was");
            // The administrator knows that it is the same person.
            let accounts = site.api.get(&format!("/api/v1/accounts?directory={DIRECTORY}&limit=1000")).await?;
            let of_name =
                |account: &&Value| account["dn"].as_str().is_some_and(|dn| dn.contains(&format!("uid={name},")));
            let account =
                accounts["items"].as_array().and_then(|items| items.iter().find(of_name)).context("no account")?;
            let link = json!({ "target": DIRECTORY, "account": account["id"] });
            site.api.post(&format!("/api/v1/users/{second}/link"), link.clone()).await?;
            let logged = site.api.audited("user.account_linked").await?;
            let of = (&logged["object_id"], &logged["after"]["account"]);
            ensure!(of == (&json!(second), &account["id"]), "{logged:#}");
            wait::until_true("the entry is enabled again", wait::SOON, async || {
                Ok(entry().await?.text("employeeType") != "disabled")
            })
            .await?;
            // Now it is somebody's, and nobody else gets it.
            let third = user(&site, &format!("bert.{existing}")).await?;
            ended(&site, &third, "create").await?;
            let path = format!("/api/v1/users/{third}/link");
            let (status, _) = site.api.send(reqwest::Method::POST, &path, Some(&link)).await?;
            ensure!(status == 409, "{status}");
        }
        Ok(())
    })
}
