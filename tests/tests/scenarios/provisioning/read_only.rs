//! A site that has said how to write, and not that anything may be written.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::WriteSettings;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::written;
use postern_tests::{control_plane, scenario, wait};
use serde_json::json;

#[test]
fn nothing_is_written_until_the_site_says_so_and_the_report_names_the_rule() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { overlays: true, statements: true, ..slapd::Options::people(3) };
        let site = Site::start_configured(stage, options, control_plane::Options::for_tests()?, |directory| {
            directory.bind_dn = Some(Slapd::admin_dn());
            let user_container = Some(format!("ou=people,{SUFFIX}"));
            directory.write = Some(WriteSettings { user_container, ..WriteSettings::default() });
            directory.set_password(slapd::ADMIN_PASSWORD).expect("the password file");
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        let before = written(&site.slapd).len();
        let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
        let settings = json!({ "switches": { "create_users": true }, "assignment": { "kind": "all" } });
        site.api.put(&path, &json!({ "settings": settings })).await?;
        let body = json!({"user_name": "anna", "given_name": "Anna", "family_name": "Bell"});
        let user = site.api.post("/api/v1/users", body).await?;
        let path = format!("/api/v1/reports/provisioning?user={}&action=create", user["id"].as_str().context("no id")?);
        let refused = wait::until("the operation has ended", wait::SOON, async || {
            let report = site.api.get(&path).await?;
            let found = report["items"].as_array().and_then(|items| items.first()).cloned();
            Ok(found.filter(|found| !found["ended_at"].is_null()))
        })
        .await?;
        let error = &refused["answer"]["error"];
        ensure!(refused["state"] == "refused" && error["code"] == "denied_by_site_policy", "{refused:#}");
        ensure!(error["message"] == "the site's policy does not allow this: read_only", "{refused:#}");
        ensure!(written(&site.slapd).len() == before, "{:#?}", written(&site.slapd));
        ensure!(site.slapd.entries("(uid=anna)").await?.is_empty());
        Ok(())
    })
}
