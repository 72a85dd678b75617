//! Who has left, and groups that are gone.

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::User;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{control_plane, scenario};
use serde_json::json;

/// Two people and two groups: everybody is an admin, anna is in the other group too.
fn small() -> String {
    let person = |uid: &str| {
        format!("dn: uid={uid},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: x\n\n")
    };
    let group = |name: &str, members: &[&str]| {
        let members: Vec<String> =
            members.iter().map(|uid| format!("member: uid={uid},ou=people,{SUFFIX}\n")).collect();
        let members = members.concat();
        format!("dn: cn={name},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: {name}\n{members}\n")
    };
    [person("anna"), person("bert"), group("admins", &["anna", "bert"]), group("other", &["anna"])].concat()
}

async fn user(site: &Site, name: &str) -> Result<(User, Vec<String>)> {
    let users = site.api.users().await?;
    let user = users.into_iter().find(|user| user.user_name == name).context("no such user")?;
    let detail = site.api.get(&format!("/api/v1/users/{}", user.id)).await?;
    let groups = detail["groups"].as_array().into_iter().flatten();
    Ok((user, groups.filter_map(|group| Some(group["display_name"].as_str()?.to_owned())).collect()))
}

#[test]
fn a_user_who_left_is_inactive_and_a_deleted_group_has_no_members() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { extra_ldif: small(), ..slapd::Options::people(20) };
        let site = Site::start_with(stage, options, control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        site.slapd.delete(&format!("cn=admins,ou=groups,{SUFFIX}")).await?;
        site.slapd.delete(&format!("uid=bert,ou=people,{SUFFIX}")).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("missing") == 2 && job.count("deactivated") == 1, "{job:#?}");

        let (anna, groups) = user(&site, "anna").await?;
        ensure!(anna.active && anna.missing_since.is_none() && groups == ["other"], "{anna:?} {groups:?}");
        let (bert, groups) = user(&site, "bert").await?;
        ensure!(!bert.active && bert.missing_since.is_some() && groups.is_empty(), "{bert:?} {groups:?}");
        let admins = site.api.group("admins").await?;
        ensure!(admins.missing_since.is_some() && site.api.members(&admins).await?.is_empty(), "{admins:?}");
        ensure!(site.api.group("other").await?.missing_since.is_none());
        let missing: Vec<User> = site.api.list("/api/v1/users?missing=true").await?;
        ensure!(missing.len() == 1 && missing[0].user_name == "bert", "{missing:?}");
        let gone: Vec<postern_tests::api::Group> = site.api.list("/api/v1/groups?missing=true").await?;
        ensure!(gone.len() == 1 && gone[0].display_name == "admins", "{gone:?}");
        Ok(())
    })
}

#[test]
fn the_rule_of_the_organization_says_what_becomes_of_those_who_left() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { extra_ldif: small(), ..slapd::Options::people(20) };
        let site = Site::start_with(stage, options, control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        let rule = site.api.get("/api/v1/organization").await?;
        ensure!(rule["missing_users"] == "inactive" && rule["missing_user_days"] == 0, "{rule:#}");
        let rule = site.api.patch("/api/v1/organization", json!({ "missing_users": "keep" })).await?;
        ensure!(rule["missing_users"] == "keep", "{rule:#}");
        site.slapd.delete(&format!("uid=bert,ou=people,{SUFFIX}")).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("missing") == 1 && job.count("deactivated") == 0, "{job:#?}");
        let (bert, _) = user(&site, "bert").await?;
        ensure!(bert.active && bert.missing_since.is_some(), "{bert:?}");
        Ok(())
    })
}
