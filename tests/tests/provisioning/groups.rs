//! Groups of the organization in a directory: made with their members, and then only what differs is sent.

use anyhow::{Context as _, Result, ensure};
use postern_tests::{scenario, wait};
use serde_json::json;

use crate::common::{ended, provision, start, user};

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
