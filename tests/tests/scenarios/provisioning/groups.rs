//! Groups of the organization in a directory: made with their members, and then only what differs is sent.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, wait};
use serde_json::json;

use crate::provisioning::common::{ended, nothing_under_way, provision, rests, start, user};

#[test]
fn a_group_of_the_organization_has_its_members_in_the_directory() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        provision(
            &site,
            json!({
                "switches": { "create_users": true, "create_groups": true, "sync_members": true, "delete_groups": true },
                "assignment": { "kind": "groups", "groups": [group] },
                "groups": [group],
                "leaving": "delete",
            }),
        )
        .await?;
        let (anna, bert) = (user(&site, "anna").await?, user(&site, "bert").await?);
        ensure!(site.slapd.entries("(uid=anna)").await?.is_empty(), "nobody is assigned yet");
        let member = |id: &str| format!("/api/v1/groups/{group}/members/{id}");
        site.api.put(&member(&anna), &json!({})).await?;
        ended(&site, &anna, "create").await?;
        let members = async || {
            let found = site.slapd.entries("(cn=Pilots)").await?;
            let dns: Vec<String> = match found.first() {
                Some(entry) => {
                    entry.values("member").iter().map(|dn| String::from_utf8_lossy(dn).into_owned()).collect()
                }
                None => Vec::new(),
            };
            let name = |dn: &String| Some(dn.strip_prefix("uid=")?.split(',').next()?.to_owned());
            let mut names: Vec<String> = dns.iter().filter_map(name).collect();
            names.sort();
            anyhow::Ok(names)
        };
        wait::until_true("anna is a member", wait::SOON, async || Ok(members().await? == ["anna"])).await?;
        site.api.put(&member(&bert), &json!({})).await?;
        wait::until_true("both are members", wait::SOON, async || Ok(members().await? == ["anna", "bert"])).await?;
        site.api.delete(&member(&anna)).await?;
        wait::until_true("anna is no member", wait::SOON, async || Ok(members().await? == ["bert"])).await?;
        Ok(())
    })
}

/// The names of the members that a group has in the directory: of users and of groups.
pub(crate) async fn members_of(site: &Site, group: &str) -> Result<Vec<String>> {
    let found = site.slapd.entries(&format!("(cn={group})")).await?;
    let Some(entry) = found.first() else { return Ok(Vec::new()) };
    let dns = entry.values("member").iter().map(|dn| String::from_utf8_lossy(dn).into_owned());
    let mut names: Vec<String> = dns
        .filter_map(|dn| Some(dn.split(',').next()?.split_once('=')?.1.to_owned()))
        .filter(|it| it != "admin")
        .collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_group_is_renamed_and_described_and_keeps_its_id_and_members() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let switches =
            json!({ "create_users": true, "create_groups": true, "edit_groups": true, "sync_members": true });
        provision(&site, json!({ "switches": switches, "assignment": { "kind": "all" }, "groups": [group] })).await?;
        let anna = user(&site, "anna").await?;
        site.api.put(&format!("/api/v1/groups/{group}/members/{anna}"), &json!({})).await?;
        wait::until_true("anna is a member", wait::SOON, async || Ok(members_of(&site, "Pilots").await? == ["anna"]))
            .await?;
        nothing_under_way(&site).await?;
        let id = async |name: &str| {
            let found = site.slapd.entries(&format!("(cn={name})")).await?;
            let dn = found.first().context("there is no such group")?.dn.clone();
            anyhow::Ok(site.slapd.operational(&dn).await?.text("entryUUID"))
        };
        let before = id("Pilots").await?;
        let described = async |name: &str, text: &str| {
            let found = site.slapd.entries(&format!("(cn={name})")).await?;
            anyhow::Ok(found.first().is_some_and(|entry| entry.text("description") == text))
        };
        let path = format!("/api/v1/groups/{group}");
        site.api.patch(&path, json!({ "description": "Who flies" })).await?;
        wait::until_true("it is described", wait::SOON, async || described("Pilots", "Who flies").await).await?;
        // Both at once: an operation for the name, and one for the rest.
        site.api.patch(&path, json!({ "display_name": "Crew, all", "description": "Who flies, and others" })).await?;
        wait::until_true("it is renamed", wait::SOON, async || described("Crew, all", "Who flies, and others").await)
            .await?;
        nothing_under_way(&site).await?;
        ensure!(id("Crew, all").await? == before && site.slapd.entries("(cn=Pilots)").await?.is_empty());
        ensure!(members_of(&site, "Crew, all").await? == ["anna"]);
        let moved = site.api.get("/api/v1/reports/provisioning?action=move").await?;
        ensure!(moved["items"][0]["state"] == "succeeded" && moved["items"][0]["kind"] == "group", "{moved:#}");
        // Members follow the group under its new name.
        site.api.delete(&format!("{path}/members/{anna}")).await?;
        wait::until_true("nobody is a member", wait::SOON, async || {
            Ok(members_of(&site, "Crew, all").await?.is_empty())
        })
        .await?;
        site.api.patch(&path, json!({ "description": null })).await?;
        wait::until_true("it is described no more", wait::SOON, async || described("Crew, all", "").await).await?;
        nothing_under_way(&site).await?;
        rests(&site.api).await
    })
}

#[test]
fn a_group_within_a_group_is_a_member_or_its_users_are() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = async |name: &str| {
            let group = site.api.post("/api/v1/groups", json!({"display_name": name})).await?;
            anyhow::Ok(group["id"].as_str().context("no id")?.to_owned())
        };
        let (outer, known, unknown) = (group("Outer").await?, group("Known").await?, group("Unknown").await?);
        let member = |group: &str, id: &str| format!("/api/v1/groups/{group}/members/{id}");
        let (anna, bert) = (user(&site, "anna").await?, user(&site, "bert").await?);
        site.api.put(&member(&known, &anna), &json!({})).await?;
        site.api.put(&member(&unknown, &bert), &json!({})).await?;
        site.api.put(&member(&outer, &known), &json!({})).await?;
        provision(
            &site,
            json!({
                "switches": { "create_users": true, "create_groups": true, "sync_members": true, "enable_disable_users": true },
                "assignment": { "kind": "groups", "groups": [outer] },
                "groups": [outer, known],
            }),
        )
        .await?;
        let becomes = async |group: &str, names: &[&str]| {
            let what = format!("the members of {group} are {names:?}");
            wait::until_true(&what, wait::SOON, async || Ok(members_of(&site, group).await? == names)).await
        };
        becomes("Known", &["anna"]).await?;
        becomes("Outer", &["Known"]).await?;
        ensure!(site.slapd.entries("(uid=bert)").await?.is_empty(), "bert is in no assigned group yet");
        // A group that the directory does not have: its users get the assignment, and are members themselves.
        site.api.put(&member(&outer, &unknown), &json!({})).await?;
        becomes("Outer", &["Known", "bert"]).await?;
        let carla = user(&site, "carla").await?;
        site.api.put(&member(&unknown, &carla), &json!({})).await?;
        becomes("Outer", &["Known", "bert", "carla"]).await?;
        site.api.delete(&member(&unknown, &bert)).await?;
        becomes("Outer", &["Known", "carla"]).await?;
        // The group leaves: so does everybody in it.
        site.api.delete(&member(&outer, &unknown)).await?;
        becomes("Outer", &["Known"]).await?;
        ensure!(ended(&site, &carla, "disable").await?["state"] == "succeeded");
        Ok(())
    })
}

#[test]
fn whoever_was_renamed_and_then_removed_from_a_group_is_no_member_in_the_directory() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let switches = json!({ "create_users": true, "edit_users": true, "create_groups": true, "sync_members": true });
        provision(&site, json!({ "switches": switches, "assignment": { "kind": "all" }, "groups": [group] })).await?;
        let (anna, bert) = (user(&site, "anna").await?, user(&site, "bert").await?);
        for id in [&anna, &bert] {
            site.api.put(&format!("/api/v1/groups/{group}/members/{id}"), &json!({})).await?;
        }
        let named = async || {
            let found = site.slapd.entries("(cn=Pilots)").await?;
            let members = found.first().map(|entry| entry.values("member").to_vec()).unwrap_or_default();
            let mut names: Vec<String> =
                members.iter().map(|dn| String::from_utf8_lossy(dn).chars().take(8).collect()).collect();
            names.sort();
            anyhow::Ok(names)
        };
        wait::until_true("both are members", wait::SOON, async || Ok(named().await? == ["uid=anna", "uid=bert"]))
            .await?;
        site.api.patch(&format!("/api/v1/users/{bert}"), json!({"user_name": "carl"})).await?;
        // The server changes the member's name in the group by itself.
        wait::until_true("carl is a member", wait::SOON, async || Ok(named().await? == ["uid=anna", "uid=carl"]))
            .await?;
        site.api.delete(&format!("/api/v1/groups/{group}/members/{bert}")).await?;
        wait::until_true("carl is no member", wait::SOON, async || Ok(named().await? == ["uid=anna"])).await
    })
}

#[test]
fn whom_an_administrator_has_renamed_in_the_directory_is_removed_from_a_group_all_the_same() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let switches = json!({ "create_users": true, "create_groups": true, "sync_members": true });
        provision(&site, json!({ "switches": switches, "assignment": { "kind": "all" }, "groups": [group] })).await?;
        let (anna, bert) = (user(&site, "anna").await?, user(&site, "bert").await?);
        for id in [&anna, &bert] {
            site.api.put(&format!("/api/v1/groups/{group}/members/{id}"), &json!({})).await?;
        }
        wait::until_true("both are members", wait::SOON, async || Ok(members_of(&site, "Pilots").await?.len() == 2))
            .await?;
        nothing_under_way(&site).await?;
        // No import has seen it yet.
        let dn = format!("uid=anna,ou=people,{}", postern_tests::slapd::SUFFIX);
        site.slapd.apply(format!("dn: {dn}\nchangetype: modrdn\nnewrdn: uid=anne\ndeleteoldrdn: 1\n")).await?;
        ensure!(members_of(&site, "Pilots").await? == ["anne", "bert"]);
        site.api.delete(&format!("/api/v1/groups/{group}/members/{anna}")).await?;
        wait::until_true("she is no member", wait::SOON, async || Ok(members_of(&site, "Pilots").await? == ["bert"]))
            .await
    })
}

#[test]
fn whoever_is_renamed_stays_in_the_groups_that_come_from_the_directory() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let suffix = postern_tests::slapd::SUFFIX;
        // She has her account because of a group of the directory.
        let dn = |name: &str| format!("uid={name},ou=people,{suffix}");
        let crew =
            format!("dn: cn=crew,ou=groups,{suffix}\nobjectClass: groupOfNames\ncn: crew\nmember: {}\n", dn("anna"));
        let switches = json!({ "create_users": true, "edit_users": true, "enable_disable_users": true });
        let assigned = |assignment| json!({ "switches": switches, "assignment": assignment, "leaving": "disable" });
        provision(&site, assigned(json!({ "kind": "all" }))).await?;
        let anna = user(&site, "anna").await?;
        ended(&site, &anna, "create").await?;
        site.slapd.apply(crew).await?;
        site.api.import(DIRECTORY).await?;
        let crew = site.api.group("crew").await?;
        provision(&site, assigned(json!({ "kind": "groups", "groups": [crew.id] }))).await?;
        nothing_under_way(&site).await?;
        site.api.patch(&format!("/api/v1/users/{anna}"), json!({ "user_name": "anne" })).await?;
        ended(&site, &anna, "move").await?;
        nothing_under_way(&site).await?;
        let members = site.api.get(&format!("/api/v1/groups/{}/members", crew.id)).await?;
        let ids: Vec<_> = members["items"].as_array().context("no list")?.iter().map(|it| &it["id"]).collect();
        ensure!(ids == [&json!(anna)], "{members:#}");
        ensure!(members_of(&site, "crew").await? == ["anne"]);
        let disabled = site.api.get(&format!("/api/v1/reports/provisioning?user={anna}&action=disable")).await?;
        ensure!(disabled["items"] == json!([]), "{disabled:#}");
        ensure!(site.slapd.entries("(uid=anne)").await?[0].text("employeeType") != "disabled");
        rests(&site.api).await
    })
}

#[test]
fn groups_in_a_circle_keep_nobody_waiting() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let switches = json!({ "create_users": true });
        provision(&site, json!({ "switches": switches, "assignment": { "kind": "all" } })).await?;
        let mut groups = Vec::new();
        for number in 0..100 {
            let group = site.api.post("/api/v1/groups", json!({ "display_name": format!("g{number}") })).await?;
            groups.push(group["id"].as_str().context("no id")?.to_owned());
        }
        for (place, group) in groups.iter().enumerate() {
            let above = &groups[(place + 1) % groups.len()];
            site.api.put(&format!("/api/v1/groups/{above}/members/{group}"), &json!({})).await?;
        }
        let anna = user(&site, "anna").await?;
        let created = ended(&site, &anna, "create").await?;
        ensure!(created["state"] == "succeeded", "{created:#}");
        Ok(())
    })
}

#[test]
fn a_member_that_the_directory_has_lost_is_tried_later_and_not_without_end() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let switches = json!({ "create_users": true, "create_groups": true, "sync_members": true });
        provision(&site, json!({ "switches": switches, "assignment": { "kind": "all" }, "groups": [group] })).await?;
        let (anna, bert) = (user(&site, "anna").await?, user(&site, "bert").await?);
        ended(&site, &anna, "create").await?;
        ended(&site, &bert, "create").await?;
        // The hub does not know of it before the next import.
        let dn = site.slapd.entries("(uid=anna)").await?.first().context("no entry")?.dn.clone();
        site.slapd.delete(&dn).await?;
        site.api.put(&format!("/api/v1/groups/{group}/members/{anna}"), &json!({})).await?;
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning/failures");
        let failing = async || anyhow::Ok(site.api.get(&path).await?["items"].clone());
        wait::until_true("the group waits", wait::SOON, async || {
            let found = failing().await?;
            Ok(found.as_array().is_some_and(|all| all.iter().any(|it| it.to_string().contains("no entry"))))
        })
        .await?;
        // Another change is a reason to try at once. It comes by itself: one during the decision would be a reason to try again.
        site.api.put(&format!("/api/v1/groups/{group}/members/{bert}"), &json!({})).await?;
        wait::until_true("bert is a member", wait::SOON, async || Ok(members_of(&site, "Pilots").await? == ["bert"]))
            .await?;
        nothing_under_way(&site).await?;
        let sent = async || {
            let found = site.api.get("/api/v1/reports/provisioning?action=change_members").await?;
            anyhow::Ok(found["items"].as_array().map(Vec::len).unwrap_or_default())
        };
        let before = sent().await?;
        // Others go on, and the group is not sent again meanwhile.
        for name in ["carla", "dora"] {
            let other = user(&site, name).await?;
            ended(&site, &other, "create").await?;
        }
        ensure!(sent().await? == before, "it was sent again");
        // The import says that she is gone.
        site.api.import(DIRECTORY).await?;
        wait::until_true("nothing waits", wait::SOON, async || Ok(failing().await? == json!([]))).await
    })
}

#[test]
fn a_group_without_members_is_left_alone_by_imports() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let group = site.api.post("/api/v1/groups", json!({"display_name": "Pilots"})).await?;
        let group = group["id"].as_str().context("no id")?.to_owned();
        let switches = json!({ "create_users": true, "create_groups": true, "sync_members": true });
        provision(&site, json!({ "switches": switches, "assignment": { "kind": "all" }, "groups": [group] })).await?;
        let members = async || {
            let found = site.slapd.entries("(cn=Pilots)").await?;
            let values = found.first().map(|group| group.values("member").to_vec()).unwrap_or_default();
            anyhow::Ok(values.iter().map(|dn| String::from_utf8_lossy(dn).into_owned()).collect::<Vec<_>>())
        };
        let only_the_placeholder = [postern_tests::slapd::Slapd::admin_dn()];
        wait::until_true("the group is made", wait::SOON, async || Ok(members().await? == only_the_placeholder))
            .await?;
        nothing_under_way(&site).await?;
        // The placeholder is the site's own: the organization neither sees it nor takes it away.
        rests(&site.api).await?;
        ensure!(members().await? == only_the_placeholder);
        let anna = user(&site, "anna").await?;
        site.api.put(&format!("/api/v1/groups/{group}/members/{anna}"), &json!({})).await?;
        wait::until_true("anna is a member", wait::SOON, async || Ok(members_of(&site, "Pilots").await? == ["anna"]))
            .await?;
        nothing_under_way(&site).await?;
        rests(&site.api).await
    })
}
