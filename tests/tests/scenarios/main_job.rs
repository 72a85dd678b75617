//! The main job: an administrator starts an import, and the control plane shows what the directory holds; then it
//! follows the directory through renames, departures and returns.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use postern_tests::people::{Person, Population, group_dn, team_name};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use serde_json::json;

#[test]
fn an_import_brings_everybody_once_and_then_only_what_changed() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 500).await?;
        let first = site.api.import(DIRECTORY).await?;
        ensure!(first.count("users") == 500, "{first:?}");
        ensure!(first.count("groups") == u64::from(Population::of(500).groups()), "{first:?}");
        ensure!(first.count("members_unresolved") == 0, "{first:?}");
        site.compare().await?;

        let again = site.api.import(DIRECTORY).await?;
        let written = again.count("created") + again.count("updated") + again.count("missing");
        ensure!(written == 0 && again.count("unchanged") > 500, "an unchanged directory was written: {again:?}");

        site.slapd.replace(&Person::nth(3).dn(SUFFIX), "title", &["Управляющий"]).await?;
        let changed = site.api.import(DIRECTORY).await?;
        ensure!(changed.count("updated") == 1 && changed.count("created") == 0, "{changed:?}");
        site.compare().await
    })
}

#[test]
fn a_renamed_or_moved_entry_stays_the_same_user() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 60).await?;
        site.api.import(DIRECTORY).await?;
        let (renamed, moved) = (Person::nth(5), Person::nth(7));
        let before = site.api.accounts(DIRECTORY, "user").await?;
        site.slapd
            .apply(format!("dn: ou=north,ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: north\n"))
            .await?;
        site.slapd.rename(&renamed.dn(SUFFIX), "uid=new.name", None).await?;
        site.slapd.rename(&moved.dn(SUFFIX), &moved.rdn(), Some(&format!("ou=north,ou=people,{SUFFIX}"))).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("created") == 0 && job.count("missing") == 0, "{job:?}");
        let after = site.api.accounts(DIRECTORY, "user").await?;
        for person in [&renamed, &moved] {
            let old = before.iter().find(|account| account.dn == person.dn(SUFFIX)).context("not imported")?;
            let new = after.iter().find(|account| account.external_id == old.external_id).context("lost")?;
            ensure!(new.dn != old.dn && new.id == old.id && new.user_id == old.user_id, "{old:?}\n{new:?}");
        }
        let ids = |accounts: &[postern_tests::api::Account]| -> BTreeSet<String> {
            accounts.iter().map(|account| account.id.clone()).collect()
        };
        ensure!(ids(&before) == ids(&after));
        Ok(())
    })
}

#[test]
fn who_left_is_marked_missing_and_who_returns_is_not() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 60).await?;
        site.api.import(DIRECTORY).await?;
        let leaver = Person::nth(9).dn(SUFFIX);
        let held = site.api.accounts(DIRECTORY, "user").await?;
        let account = held.iter().find(|account| account.dn == leaver).context("not imported")?.id.clone();
        site.slapd.delete(&leaver).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("missing") == 1, "{job:?}");
        let shown = site.api.get(&format!("/api/v1/accounts/{account}")).await?;
        ensure!(shown["missing_since"].is_string(), "not marked missing: {shown}");
        let since = shown["missing_since"].clone();

        site.api.import(DIRECTORY).await?;
        let shown = site.api.get(&format!("/api/v1/accounts/{account}")).await?;
        ensure!(shown["missing_since"] == since, "the date moved: {shown}");

        // OpenLDAP gives a new entry a new entryUUID; the administrator's backup restores the old one.
        let uuid = held.iter().find(|one| one.id == account).context("gone")?.external_id.clone();
        let mut ldif = Vec::new();
        Person::nth(9).write_ldif(SUFFIX, &mut ldif)?;
        let text = String::from_utf8(ldif)?.replace("\nuserPassword", &format!("\nentryUUID: {uuid}\nuserPassword"));
        site.slapd.restore(text).await?;
        site.api.import(DIRECTORY).await?;
        let shown = site.api.get(&format!("/api/v1/accounts/{account}")).await?;
        ensure!(shown["missing_since"].is_null(), "back and still missing: {shown}");
        site.compare().await
    })
}

#[test]
fn groups_have_their_members_and_nested_groups_stay_nested() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 100).await?;
        let outsider = format!("cn=reader,{SUFFIX}");
        let team = group_dn(&team_name(0), SUFFIX);
        site.slapd.apply(format!("dn: {team}\nchangetype: modify\nadd: member\nmember: {outsider}\n")).await?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("members_unresolved") == 1, "the outsider is not counted: {job:?}");

        let everyone = site.api.members(&site.api.group("everyone").await?).await?;
        ensure!(everyone.len() == 100 && everyone.iter().all(|member| member.kind == "user"));
        let all_teams = site.api.members(&site.api.group("all-teams").await?).await?;
        ensure!(all_teams.len() == 4 && all_teams.iter().all(|member| member.kind == "group"), "{all_teams:?}");
        let company = site.api.members(&site.api.group("company").await?).await?;
        ensure!(company.len() == 2 && company.iter().all(|member| member.kind == "group"), "{company:?}");
        let team0 = site.api.members(&site.api.group(&team_name(0)).await?).await?;
        let unresolved: Vec<_> = team0.iter().filter(|member| member.id.is_none()).collect();
        ensure!(unresolved.len() == 1 && unresolved[0].key.contains("cn=reader"), "{team0:?}");

        let gone = Person::nth(0).dn(SUFFIX);
        site.slapd
            .apply(format!("dn: {team}\nchangetype: modify\ndelete: member\nmember: {gone}\nmember: {outsider}\n"))
            .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn one_user_is_looked_up_with_all_attributes_and_groups() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 60).await?;
        let person = Person::nth(13);
        let job = site.api.start_job("lookup_user", DIRECTORY, json!({"unique_value": person.uid})).await?;
        let job = site.api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
        let user = &job.result["user"];
        let entries = site.slapd.entries(&format!("(uid={})", person.uid)).await?;
        ensure!(user["dn"] == entries[0].dn && user["external_id"] == entries[0].text("entryUUID"), "{user}");
        ensure!(user["attributes"]["mail"] == json!([person.mail()]), "{user}");
        let groups = job.result["groups"].as_array().context("no groups")?;
        ensure!(groups.len() == 2, "in a team and in everyone: {groups:?}");

        let job = site.api.start_job("lookup_user", DIRECTORY, json!({"unique_value": "nobody"})).await?;
        let job = site.api.finished(&job.id, wait::SOON).await?.expect("failed")?;
        ensure!(job.error_code() == "not_found", "{job:?}");
        Ok(())
    })
}

#[test]
fn a_connection_is_tested_without_telling_the_configuration() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 20).await?;
        let job = site.api.start_job("test_connection", DIRECTORY, json!({})).await?;
        let job = site.api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
        let checks = job.result["checks"].as_array().context("no checks")?;
        ensure!(checks.len() >= 5 && checks.iter().all(|check| check["state"] != "failed"), "{checks:?}");
        let said = job.result.to_string();
        for secret in ["cn=reader", "ldaps://", "ou=people", "reader secret", "objectClass=inetOrgPerson"] {
            ensure!(!said.contains(secret), "the configuration left the site: {secret} in {said}");
        }
        Ok(())
    })
}
