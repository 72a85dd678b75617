//! The directory fails or changes under the import: a partial view of it never harms anybody.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::Job;
use postern_tests::people::Person;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{READER_PASSWORD, SUFFIX};
use postern_tests::{scenario, wait};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(1);

/// Fails if anybody at all is marked missing.
async fn nobody_is_missing(site: &Site) -> Result<()> {
    for kind in ["user", "group"] {
        let accounts = site.api.accounts(DIRECTORY, kind).await?;
        let missing = accounts.iter().filter(|account| account.missing_since.is_some()).count();
        ensure!(missing == 0, "{missing} of {} {kind} accounts are marked missing", accounts.len());
    }
    Ok(())
}

#[test]
fn slapd_killed_mid_page_marks_nobody_missing() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 600).await?;
        site.api.import(DIRECTORY).await?;
        // Half of the directory has been read when the server dies.
        site.ldap_line.plan([(150_000, Fault::Hold)]);
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        site.ldap_line.struck().await?;
        site.slapd.kill().await?;
        site.ldap_line.resume();
        nobody_is_missing(&site).await?;
        site.slapd.restart(stage).await?;
        // Either it gave up, which is said, or it was tried again and is complete.
        let job = site.api.finished(&job.id, PATIENCE).await?;
        ensure!(job.state == "succeeded" || job.error_code() == "unreachable", "{job:?}");
        nobody_is_missing(&site).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_size_limit_is_an_error_that_says_how_far_it_got() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 400).await?;
        site.api.import(DIRECTORY).await?;
        site.slapd.set_size_limit(Some(150)).await?;
        let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
        ensure!(job.error_code() == "directory", "{job:?}");
        let message = job.error["message"].as_str().unwrap_or_default();
        ensure!(message.contains("after 150 users"), "does not say how far it got: {message}");
        ensure!(job.error["cure"].is_string(), "no cure: {job:?}");
        nobody_is_missing(&site).await?;
        site.slapd.set_size_limit(None).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_password_changed_under_way_fails_the_import_and_a_rotated_file_mends_it() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 200).await?;
        site.api.import(DIRECTORY).await?;
        site.slapd.set_reader_password("rotated").await?;
        // Connections that are already bound may live on; a cut forces a new bind.
        site.ldap_line.cut();
        let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
        ensure!(job.error_code() == "credentials", "{job:?}");
        ensure!(!job.error.to_string().contains(READER_PASSWORD), "the password left the site: {job:?}");
        nobody_is_missing(&site).await?;
        site.settings.directories[0].set_password("rotated")?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

/// A directory of which half has been read when its reader gets another password.
async fn rotated_between_pages(site: &Site) -> Result<Job> {
    site.api.import(DIRECTORY).await?;
    site.ldap_line.plan([(150_000, Fault::Hold)]);
    let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
    site.ldap_line.struck().await?;
    site.slapd.set_reader_password("rotated").await?;
    Ok(job)
}

#[test]
fn a_password_changed_between_two_pages_leaves_the_connection_that_is_bound_alone() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 600).await?;
        let job = rotated_between_pages(&site).await?;
        site.ldap_line.resume();
        let job = site.api.finished(&job.id, PATIENCE).await?.expect("succeeded")?;
        ensure!(job.count("users") == 600 && job.count("missing") == 0, "{job:?}");

        // The next import binds anew.
        let job = site.api.try_import(DIRECTORY).await?.expect("failed")?;
        ensure!(job.error_code() == "credentials" && job.error["cure"].is_string(), "{job:?}");
        nobody_is_missing(&site).await?;
        let process = site.agent.process()?.pid();
        site.settings.directories[0].set_password("rotated")?;
        site.api.import(DIRECTORY).await?;
        ensure!(site.agent.process()?.pid() == process, "the agent was started anew");
        site.compare().await
    })
}

#[test]
fn a_password_changed_between_two_pages_fails_the_import_until_the_file_is_corrected() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 600).await?;
        let job = rotated_between_pages(&site).await?;
        // What was read so far is only the half, and the other half cannot be had with this password.
        site.ldap_line.cut();
        site.ldap_line.resume();
        let job = site.api.finished(&job.id, PATIENCE).await?.expect("failed")?;
        ensure!(job.error_code() == "credentials" && job.error["cure"].is_string(), "{job:?}");
        ensure!(!job.error.to_string().contains(READER_PASSWORD), "the password left the site: {job:?}");
        nobody_is_missing(&site).await?;
        let process = site.agent.process()?.pid();
        site.settings.directories[0].set_password("rotated")?;
        let job = site.api.import(DIRECTORY).await?;
        ensure!(job.count("missing") == 0 && site.agent.process()?.pid() == process, "{job:?}");
        site.compare().await
    })
}

#[test]
fn a_filter_that_suddenly_matches_nothing_is_held_for_approval() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 200).await?;
        site.api.import(DIRECTORY).await?;
        let right = site.settings.clone();
        site.settings.directories[0].users.filter = "(objectClass=account)".to_owned();
        site.agent.configure(&site.settings)?;
        site.agent.reload()?;
        wait::until_true("the agent reloads", wait::SOON, || async { Ok(site.agent.log().contains("reload")) }).await?;
        let job = site.api.try_import(DIRECTORY).await?.expect("held")?;
        ensure!(job.hold["missing"].as_u64() == Some(200), "{job:?}");
        nobody_is_missing(&site).await?;
        site.api.decide(&job.id, "reject").await?;
        nobody_is_missing(&site).await?;
        site.settings = right;
        site.agent.configure(&site.settings)?;
        let reloads = site.agent.log().matches("reload").count();
        site.agent.reload()?;
        wait::until_true("the agent reloads", wait::SOON, || async {
            Ok(site.agent.log().matches("reload").count() > reloads)
        })
        .await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_whole_kind_that_vanishes_is_held_however_small_it_is() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 5).await?;
        site.api.import(DIRECTORY).await?;
        site.settings.directories[0].users.filter = "(objectClass=account)".to_owned();
        site.agent.configure(&site.settings)?;
        site.agent.reload()?;
        wait::until_true("the agent reloads", wait::SOON, || async { Ok(site.agent.log().contains("reload")) }).await?;
        let job = site.api.try_import(DIRECTORY).await?.expect("held")?;
        ensure!(job.hold["reason"].as_str().is_some_and(|reason| reason.contains("no user at all")), "{job:?}");
        nobody_is_missing(&site).await
    })
}

#[test]
fn an_approved_hold_marks_them_missing() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 100).await?;
        site.api.import(DIRECTORY).await?;
        for index in 0..30 {
            site.slapd.delete(&Person::nth(index).dn(SUFFIX)).await?;
        }
        let job = site.api.try_import(DIRECTORY).await?.expect("held")?;
        nobody_is_missing(&site).await?;
        site.api.decide(&job.id, "approve").await?;
        let job = wait::until("the approved import ends", PATIENCE, || async {
            let job = site.api.job(&job.id).await?;
            Ok((job.state == "succeeded" || job.state == "failed").then_some(job))
        })
        .await?
        .expect("succeeded")?;
        ensure!(job.count("missing") == 30, "{job:?}");
        let accounts = site.api.accounts(DIRECTORY, "user").await?;
        ensure!(accounts.iter().filter(|account| account.missing_since.is_some()).count() == 30);
        Ok(())
    })
}

#[test]
fn a_renamed_base_dn_is_an_error_and_marks_nobody_missing() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 100).await?;
        site.api.import(DIRECTORY).await?;
        site.slapd.rename(&format!("ou=people,{SUFFIX}"), "ou=staff", None).await?;
        let job = site.api.try_import(DIRECTORY).await?;
        let job = job.expect("failed")?;
        ensure!(job.error_code() == "directory" && job.error["cure"].is_string(), "{job:?}");
        nobody_is_missing(&site).await?;
        site.slapd.rename(&format!("ou=staff,{SUFFIX}"), "ou=people", None).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await
    })
}

#[test]
fn a_hung_directory_is_given_up_and_canceled_on_request() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 300).await?;
        site.ldap_line.plan([(60_000, Fault::Hold)]);
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        site.ldap_line.struck().await?;
        site.api.decide(&job.id, "cancel").await?;
        site.api.finished(&job.id, wait::SOON).await?.expect("canceled")?;
        site.ldap_line.resume();
        site.api.import(DIRECTORY).await.context("after the hang")?;
        site.compare().await
    })
}

#[test]
fn who_came_without_a_readable_external_id_is_not_missing() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        site.settings.directories[0].external_id_attribute = Some("employeeNumber".to_owned());
        site.agent.configure(&site.settings)?;
        site.agent.restart(stage).await?;
        let first = site.api.import(DIRECTORY).await?;
        ensure!(first.count("users") == 30, "{first:?}");
        // They are still in the directory; only the attribute that names them for ever can no longer be read.
        for number in [4, 5] {
            site.slapd.replace(&Person::nth(number).dn(SUFFIX), "employeeNumber", &[]).await?;
        }
        let second = site.api.import(DIRECTORY).await?;
        ensure!(second.count("users") == 28 && second.count("missing") == 0, "{second:?}");
        ensure!(second.count("missing_spared") == 2, "{second:?}");
        nobody_is_missing(&site).await
    })
}
