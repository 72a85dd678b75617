//! What is set holds at once: settings, outbound rules and what is sensitive; and nobody takes what is somebody else's.

use anyhow::{Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, provision, start, user};

/// Outbound rules with one more.
fn rules(further: &[(&str, &str)]) -> Value {
    let base = [("uid", "user_name"), ("cn", "user_name"), ("sn", "any_of(family_name, user_name)")];
    let rule = |(target, expression): &(&str, &str)| json!({"of": "users", "target": target, "expression": expression});
    json!({ "rules": base.iter().chain(further).map(rule).collect::<Vec<_>>() })
}

#[test]
fn settings_and_rules_hold_from_their_answer_on() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let nobody =
            json!({ "switches": all()["switches"], "assignment": { "kind": "condition", "expression": "false" } });
        provision(&site, nobody).await?;
        let anna = user(&site, "anna").await?;
        provision(&site, all()).await?;
        ended(&site, &anna, "create").await?;
        // New rules reach those who have an account, without anything else.
        let outbound = format!("/api/v1/directories/{DIRECTORY}/outbound-mapping");
        let title = async || Ok::<_, anyhow::Error>(site.slapd.entries("(uid=anna)").await?[0].text("title"));
        site.api.put(&outbound, &rules(&[("title", "'Pilot'")])).await?;
        wait::until_true("the rule holds", wait::SOON, async || Ok(title().await? == "Pilot")).await?;
        // What is declared sensitive is masked in the next row.
        site.api.put(&outbound, &rules(&[("title", "attributes.pin")])).await?;
        site.api.post("/api/v1/attributes", json!({"name": "pin", "type": "string", "sensitive": true})).await?;
        let path = format!("/api/v1/users/{anna}");
        site.api.patch(&path, json!({"attributes": {"pin": "PIN-1234"}})).await?;
        wait::until_true("it is there", wait::SOON, async || Ok(title().await? == "PIN-1234")).await?;
        let report = site.api.get(&format!("/api/v1/reports/provisioning?user={anna}")).await?;
        ensure!(!report.to_string().contains("PIN-1234"), "{report:#}");
        Ok(())
    })
}

#[test]
fn an_entry_that_is_somebody_elses_account_is_not_adopted() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let mut settings = all();
        settings["existing"] = json!("adopt");
        provision(&site, settings).await?;
        let anna = user(&site, "anna").await?;
        ended(&site, &anna, "create").await?;
        let outbound = format!("/api/v1/directories/{DIRECTORY}/outbound-mapping");
        let mut stealing = rules(&[]);
        stealing["rules"][0]["expression"] = json!("user_name == 'thief' ? 'anna' : user_name");
        site.api.put(&outbound, &stealing).await?;
        let thief = user(&site, "thief").await?;
        let refused = ended(&site, &thief, "create").await?;
        ensure!(refused["state"] == "failed", "{refused:#}");
        ensure!(refused["answer"]["error"]["code"] == "conflict", "{refused:#}");
        ensure!(site.slapd.entries("(cn=anna)").await?.len() == 1, "the entry is anna's");
        Ok(())
    })
}

#[test]
fn an_adopted_entry_gets_what_it_lacked() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let mut settings = all();
        settings["existing"] = json!("adopt");
        provision(&site, settings).await?;
        let entry = "objectClass: inetOrgPerson\nuid: hugo\ncn: Hugo\nsn: Hugo\n";
        let ldif = format!("dn: uid=hugo,ou=people,{SUFFIX}\nchangetype: add\n{entry}");
        site.slapd.apply(ldif).await?;
        let hugo = user(&site, "hugo").await?;
        let adopted = ended(&site, &hugo, "create").await?;
        ensure!(adopted["answer"]["effect"] == "adopted", "{adopted:#}");
        wait::until_true("the entry has what it lacked", wait::SOON, async || {
            let found = site.slapd.entries("(uid=hugo)").await?;
            Ok(found.len() == 1 && found[0].text("mail") == "hugo@corp.example")
        })
        .await
    })
}
