//! A directory that hides something changes nobody without an approval; an import behind a held one says what it waits for.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::DirectorySettings;
use postern_tests::api::{Api, Job};
use postern_tests::ds389::{self, Ds389};
use postern_tests::line::Line;
use postern_tests::people::Person;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{compare, scenario, wait};
use serde_json::{Value, json};

const USERS: u32 = 60;

async fn started(stage: &postern_tests::stage::Stage) -> Result<(Ds389, Line)> {
    let server = Ds389::start(stage, ds389::Options::people(USERS)).await?;
    let line = Line::start(stage, vec![DirectorySettings::ds389("ds", &server, stage.path())?]).await?;
    line.api.import("ds").await?;
    Ok((server, line))
}

/// Takes the right to read an attribute from the reader.
async fn hide(server: &Ds389, attribute: &str) -> Result<()> {
    let all = Ds389::reading("*", "targetattr != \"userPassword || aci\"");
    server.set_acis(&[all, Ds389::hiding("one", &format!("targetattr = \"{attribute}\""))]).await
}

async fn show(server: &Ds389) -> Result<()> {
    server.set_acis(&[Ds389::reading("*", "targetattr != \"userPassword || aci\"")]).await
}

/// The names of all users, sorted.
async fn logins(api: &Api) -> Result<Vec<String>> {
    let mut names: Vec<String> = api.users().await?.into_iter().map(|user| user.user_name).collect();
    names.sort();
    Ok(names)
}

async fn held(api: &Api, directory: &str, because: &str) -> Result<Job> {
    let job = api.try_import(directory).await?.expect("held")?;
    let reason = job.hold["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains(because), "does not say {because}: {reason}");
    Ok(job)
}

#[test]
fn a_login_attribute_that_is_hidden_renames_nobody() -> Result<()> {
    scenario(async |stage| {
        let (server, line) = started(stage).await?;
        let before = logins(&line.api).await?;
        hide(&server, "uid").await?;
        let job = held(&line.api, "ds", "The login attribute is gone from 60 of 60").await?;
        ensure!(logins(&line.api).await? == before, "renamed before the decision");
        line.api.decide(&job.id, "reject").await?;
        ensure!(logins(&line.api).await? == before, "renamed by a rejection");
        ensure!(line.api.audited("job.rejected").await?["object_id"] == json!(job.id));
        show(&server).await?;
        line.api.import("ds").await?;
        ensure!(logins(&line.api).await? == before, "renamed");
        compare::ds389(&line.api, "ds", &server).await
    })
}

#[test]
fn members_that_are_hidden_stay_members_and_a_look_up_says_what_it_cannot_see() -> Result<()> {
    scenario(async |stage| {
        let (server, line) = started(stage).await?;
        let everyone = line.api.group("everyone").await?;
        hide(&server, "member").await?;
        let job = held(&line.api, "ds", "memberships of groups would be removed").await?;
        ensure!(line.api.members(&everyone).await?.len() == USERS as usize, "removed before the decision");
        line.api.decide(&job.id, "reject").await?;
        ensure!(line.api.members(&everyone).await?.len() == USERS as usize, "removed by a rejection");

        let person = Person::nth(3);
        let job = line.api.start_job("lookup_user", "ds", json!({ "unique_value": person.uid })).await?;
        let job = line.api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
        let unseen = job.result["unseen"]["groups"].as_array().context("it does not say what it cannot see")?;
        ensure!(unseen.contains(&json!("everyone")), "{unseen:?}");

        show(&server).await?;
        line.api.import("ds").await?;
        compare::ds389(&line.api, "ds", &server).await
    })
}

#[test]
fn an_import_behind_a_held_one_says_at_once_what_it_waits_for() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 40).await?;
        site.api.import(DIRECTORY).await?;
        for index in 0..20 {
            site.slapd.delete(&Person::nth(index).dn(SUFFIX)).await?;
        }
        let first = held(&site.api, DIRECTORY, "20 of").await?;
        let ends = format!("postern jobs reject {}", first.id);
        let behind = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        let message = behind.message.as_deref().unwrap_or_default();
        ensure!(message.contains(&ends) && message.contains("20 of"), "the job says only: {message}");

        // Both streams go into a file: no terminal.
        let watching = site.control_plane.command_line(&site.api).args(["jobs", "watch", behind.id.as_str()]);
        let mut watching = watching.start(stage)?;
        wait::until_true("the watcher says what it waits for", wait::SOON, || async {
            Ok(watching.log().contains(&ends))
        })
        .await?;
        site.api.decide(&first.id, "reject").await?;
        // The directory is as it was: it is held too, and the watching ends with that.
        ensure!(!watching.wait(wait::SOON).await?.success(), "a held job is no success");
        ensure!(watching.log().contains(&format!("postern jobs approve {}", behind.id)), "{}", watching.log());
        Ok(())
    })
}
