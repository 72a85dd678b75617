//! A user whose login somebody else has in the directory stops nobody, and gets the entry once the cause is gone.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::DIRECTORY;
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use serde_json::json;

use crate::provisioning::common::{all, ended, equal, in_state, nothing_under_way, provision, rests, start, user};

#[test]
fn a_clash_of_one_user_stops_nobody_and_is_cured_later() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        // Made by hand since the last import: the organization does not know of it.
        let other = format!("uid=bert,ou=people,{SUFFIX}");
        let entry = format!("dn: {other}\nobjectClass: inetOrgPerson\nuid: bert\ncn: Somebody\nsn: Else\n");
        site.slapd.apply(entry).await?;
        provision(&site, all()).await?;
        let mut ids = Vec::new();
        for name in ["anna", "bert", "cora", "dora", "emil"] {
            ids.push(user(&site, name).await?);
        }
        for (name, id) in ["anna", "cora", "dora", "emil"].into_iter().zip([&ids[0], &ids[2], &ids[3], &ids[4]]) {
            ensure!(ended(&site, id, "create").await?["state"] == "succeeded", "{name}");
            ensure!(site.slapd.entries(&format!("(uid={name})")).await?.len() == 1, "{name}");
        }
        // It is visible, with what to do about it.
        let failed = ended(&site, &ids[1], "create").await?;
        let error = &failed["answer"]["error"];
        ensure!(failed["state"] == "failed" && error["code"] == "conflict", "{failed:#}");
        ensure!(
            error["message"].as_str().is_some_and(|text| text.contains("another entry has this uid")),
            "{failed:#}"
        );
        ensure!(error["cure"].as_str().is_some_and(|text| !text.is_empty()), "{failed:#}");
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning/failures");
        let failing = site.api.get(&path).await?;
        let names: Vec<_> = failing["items"].as_array().context("no list")?.iter().map(|it| &it["name"]).collect();
        ensure!(names == ["bert"], "{failing:#}");
        let found = site.slapd.entries("(uid=bert)").await?;
        ensure!(found.len() == 1 && found[0].text("cn") == "Somebody", "theirs is as it was");
        // Whoever comes later is not stopped either, and changes of the others arrive.
        let late = user(&site, "flora").await?;
        ensure!(ended(&site, &late, "create").await?["state"] == "succeeded");
        site.api.patch(&format!("/api/v1/users/{}", ids[0]), json!({ "email": "bell@corp.example" })).await?;
        ensure!(ended(&site, &ids[0], "update").await?["state"] == "succeeded");
        // The cause goes, and it is tried again on demand.
        site.slapd.delete(&other).await?;
        site.api.post(&format!("/api/v1/users/{}/provision", ids[1]), json!({ "target": DIRECTORY })).await?;
        wait::until_true("bert has an entry", wait::SOON, async || {
            let found = site.slapd.entries("(uid=bert)").await?;
            Ok(found.first().is_some_and(|entry| entry.text("mail") == "bert@corp.example"))
        })
        .await?;
        nothing_under_way(&site).await?;
        wait::until_true("nothing fails", wait::SOON, async || Ok(site.api.get(&path).await?["items"] == json!([])))
            .await?;
        let failed = in_state(&site, "failed").await?;
        ensure!(failed.iter().all(|row| row["name"] == "bert"), "{failed:#?}");
        rests(&site.api).await?;
        equal(&site).await
    })
}

#[test]
fn a_strangers_entry_that_looks_the_same_is_not_taken_over() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        provision(&site, all()).await?;
        // In every way what the rules would make.
        let entry = format!(
            "dn: uid=jane,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: jane\ncn: jane\nsn: jane\nmail: jane@corp.example\n"
        );
        site.slapd.apply(entry).await?;
        let jane = user(&site, "jane").await?;
        for _ in 0..2 {
            let refused = ended(&site, &jane, "create").await?;
            ensure!(refused["answer"]["error"]["code"] == "conflict", "{refused:#}");
            site.api.patch(&format!("/api/v1/users/{jane}"), json!({ "given_name": null })).await?;
        }
        let accounts = site.api.get(&format!("/api/v1/users/{jane}")).await?["accounts"].clone();
        ensure!(accounts == json!([]), "{accounts:#}");
        Ok(())
    })
}
