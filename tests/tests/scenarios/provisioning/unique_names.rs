//! Logins that `unique` makes: people of the same name get different ones, which stay when the name changes.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, nothing_under_way, provision, rests, start};
use crate::provisioning::faults::PATIENCE;

const LOGIN: &str = "unique(lower(substring(given_name, 0, 1) + family_name), 2)";

#[test]
fn people_of_the_same_name_get_different_logins_that_stay() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        let rule =
            |target: &str, expression: &str| json!({ "of": "users", "target": target, "expression": expression });
        let rules = json!({ "rules": [
            rule("uid", LOGIN),
            rule("mail", &format!("{LOGIN} + '@corp.example'")),
            rule("cn", "display_name"),
            rule("sn", "family_name"),
        ] });
        site.api.put(&format!("/api/v1/directories/{DIRECTORY}/outbound-mapping"), &rules).await?;
        // The imported people have no name of this form.
        let mut settings = all();
        settings["assignment"] =
            json!({ "kind": "condition", "expression": "family_name == 'Doe' || family_name == 'Roe'" });
        provision(&site, settings).await?;
        let people = ["p1", "p2", "p3"];
        let mut ids = Vec::new();
        for name in people {
            let body =
                json!({ "user_name": name, "given_name": "John", "family_name": "Doe", "display_name": "John Doe" });
            let user = site.api.post("/api/v1/users", body).await?;
            ids.push(user["id"].as_str().unwrap_or_default().to_owned());
        }
        let mut logins = Vec::new();
        for id in &ids {
            let operation = ended(&site, id, "create").await?;
            ensure!(operation["state"] == "succeeded", "{operation:#}");
            let login = operation["answer"]["named"]["uid"][0].as_str().context("no login")?.to_owned();
            let entry = &site.slapd.entries(&format!("(uid={login})")).await?[0];
            ensure!(entry.text("mail") == format!("{login}@corp.example"));
            logins.push(login);
        }
        let second = logins[1].clone();
        logins.sort();
        ensure!(logins == ["jdoe", "jdoe2", "jdoe3"], "{logins:?}");
        rests(&site.api).await?;
        // She marries: the name changes, and the login stays.
        let path = format!("/api/v1/users/{}", ids[1]);
        site.api.patch(&path, json!({ "family_name": "Roe", "display_name": "Jane Roe" })).await?;
        let update = ended(&site, &ids[1], "update").await?;
        ensure!(update["state"] == "succeeded", "{update:#}");
        nothing_under_way(&site).await?;
        let entry = &site.slapd.entries(&format!("(uid={second})")).await?[0];
        ensure!(entry.text("sn") == "Roe" && entry.text("mail") == format!("{second}@corp.example"), "{}", entry.dn);
        let explained: Value = site.api.get(&format!("{path}/provision/explain?target={DIRECTORY}")).await?;
        ensure!(explained["rules"][0]["skipped"] == true && explained["rules"][3]["skipped"] == false, "{explained:#}");
        rests(&site.api).await?;
        made_once(stage, &mut site).await?;
        rests(&site.api).await
    })
}

/// The agent dies around the request that makes an entry that looks like another one: it is found again, and no second is made.
async fn made_once(stage: &Stage, site: &mut Site) -> Result<()> {
    let file = stage.folder("point")?.join("point");
    site.agent.set_env("POSTERN_FAIL_AT", &file);
    site.agent.restart(stage).await?;
    for (number, point) in ["directory.answered", "directory.sending", "operation.ended"].into_iter().enumerate() {
        let before = site.slapd.entries("(uid=jdoe*)").await?.len();
        std::fs::write(&file, point)?;
        let body = json!({ "user_name": format!("late{number}"), "given_name": "John", "family_name": "Doe", "display_name": "John Doe" });
        let id = site.api.post("/api/v1/users", body).await?["id"].as_str().unwrap_or_default().to_owned();
        site.agent.process()?.wait(PATIENCE).await.context("the point was not reached")?;
        site.agent.start(stage)?;
        let operation = ended(site, &id, "create").await?;
        ensure!(operation["state"] == "succeeded", "{point}: {operation:#}");
        ensure!(site.slapd.entries("(uid=jdoe*)").await?.len() == before + 1, "{point}");
        let accounts = site.api.get(&format!("/api/v1/users/{id}")).await?["accounts"].clone();
        ensure!(
            accounts[0]["dn"].as_str().is_some_and(|dn| dn.starts_with(&format!("uid=jdoe{},", number + 4))),
            "{point}: {accounts:#}"
        );
    }
    Ok(())
}
