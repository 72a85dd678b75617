//! Changes go out while imports come in, and while two administrators work on one user: no change is lost, and none is
//! written twice.

use anyhow::{Context as _, Result, ensure};
use postern_tests::people::Person;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{scenario, wait};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::provisioning::common::{all, ended, equal, nothing_under_way, provision, rests, start, user};

const USERS: usize = 10;
const ROUNDS: usize = 8;

/// Everything in the report, by action.
async fn actions(site: &Site, action: &str) -> Result<usize> {
    let report = site.api.get(&format!("/api/v1/reports/provisioning?action={action}&limit=1000")).await?;
    Ok(report["items"].as_array().context("no report")?.len())
}

/// Users with an account each.
async fn busy_users(site: &Site) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..USERS {
        let id = user(site, &format!("busy{number}")).await?;
        ended(site, &id, "create").await?;
        ids.push(id);
    }
    Ok(ids)
}

#[test]
fn an_import_loses_no_change_that_is_made_meanwhile_and_writes_none_again() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let mut settings = all();
        settings["switches"]["write_through"] = json!(true);
        provision(&site, settings).await?;
        let ids = busy_users(&site).await?;
        // One who comes from the directory is changed there first.
        let theirs = site.api.get(&format!("/api/v1/users/{}", Person::nth(0).uid)).await?;
        let theirs = theirs["id"].as_str().context("no id")?.to_owned();
        let changes = async {
            for round in 0..ROUNDS {
                for (number, id) in ids.iter().chain([&theirs]).enumerate() {
                    let email = format!("{round}.{number}@corp.example");
                    site.api.patch(&format!("/api/v1/users/{id}"), json!({ "email": email })).await?;
                    let sent = async || {
                        let found = site.slapd.entries(&format!("(mail={email})")).await?;
                        Ok(found.len() == 1)
                    };
                    wait::until_true("it is there", wait::SOON, sent).await?;
                }
            }
            anyhow::Ok(())
        };
        let (over, is_over) = tokio::sync::watch::channel(false);
        let imports = async {
            let mut count = 0;
            while !*is_over.borrow() {
                site.api.import(DIRECTORY).await?;
                count += 1;
            }
            anyhow::Ok(count)
        };
        let changes = async {
            let outcome = changes.await;
            over.send_replace(true);
            outcome
        };
        let (outcome, imported) = tokio::join!(changes, imports);
        outcome?;
        ensure!(imported? >= ROUNDS, "the imports were too few to meet the changes");
        nothing_under_way(&site).await?;
        // Each change was written once, and what an import had read before sets nothing back.
        let log = site.slapd.process().context("slapd does not run")?.log();
        let written = log.lines().filter(|line| line.contains(" MOD dn=") && line.contains("ou=people")).count();
        ensure!(written == ROUNDS * (USERS + 1), "{written} changes in the directory");
        let report = site.api.get("/api/v1/reports/provisioning?action=update&limit=1000").await?;
        let rows = report["items"].as_array().context("no report")?;
        ensure!(rows.len() == ROUNDS * (USERS + 1), "{report:#}");
        site.api.import(DIRECTORY).await?;
        for (number, id) in ids.iter().chain([&theirs]).enumerate() {
            let user = site.api.get(&format!("/api/v1/users/{id}")).await?;
            ensure!(user["email"] == format!("{}.{number}@corp.example", ROUNDS - 1), "{user:#}");
        }
        rests(&site.api).await?;
        equal(&site).await
    })
}

#[test]
fn of_two_administrators_the_later_one_is_told_and_both_changes_arrive() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        provision(&site, all()).await?;
        let anna = user(&site, "anna").await?;
        ended(&site, &anna, "create").await?;
        let path = format!("/api/v1/users/{anna}");
        let made = site.api.post("/api/v1/tokens", json!({"name": "other", "role": "operator"})).await?;
        let other = site.api.with_token(made["token"].as_str().context("no token")?);
        // Both have read the same.
        let version = site.api.version(&path).await?;
        let (name, title) = (json!({"given_name": "Anna"}), json!({"attributes": {"title": "Doctor"}}));
        let (first, second) =
            tokio::join!(site.api.patch_version(&path, &version, &name), other.patch_version(&path, &version, &title),);
        let (first, second) = (first?, second?);
        let mut answers = [first.0, second.0];
        answers.sort();
        ensure!(answers == [StatusCode::OK, StatusCode::PRECONDITION_FAILED], "{first:?} {second:?}");
        let (late, change): (_, &Value) = if first.0 == StatusCode::OK { (&other, &title) } else { (&site.api, &name) };
        let version = late.version(&path).await?;
        let (status, answer) = late.patch_version(&path, &version, change).await?;
        ensure!(status == StatusCode::OK, "{answer:#}");
        wait::until_true("both are there", wait::SOON, async || {
            let found = site.slapd.entries("(uid=anna)").await?;
            Ok(found.len() == 1 && found[0].text("givenName") == "Anna" && found[0].text("title") == "Doctor")
        })
        .await?;
        nothing_under_way(&site).await?;
        ensure!(actions(&site, "update").await? <= 2);
        rests(&site.api).await
    })
}
