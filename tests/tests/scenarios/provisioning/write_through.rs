//! An edit of what comes from the directory goes to the directory first: it is pending until the directory has it, and it
//! comes back once.

use anyhow::{Context as _, Result, ensure};
use postern_tests::people::Person;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::SUFFIX;
use postern_tests::{scenario, wait};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::provisioning::common::{ended, provision, start, user};

/// The first person of the directory: the path of the user, and the id.
async fn person(site: &Site) -> Result<(String, String)> {
    let user = site.api.get(&format!("/api/v1/users/{}", Person::nth(0).uid)).await?;
    let id = user["id"].as_str().context("no id")?.to_owned();
    Ok((format!("/api/v1/users/{id}"), id))
}

fn through() -> Value {
    json!({ "switches": { "write_through": true } })
}

/// How often the server was asked to change an entry.
fn changes(site: &Site, dn: &str) -> usize {
    let log = site.slapd.process().map(postern_tests::process::Process::log).unwrap_or_default();
    log.lines().filter(|line| line.contains(&format!("MOD dn=\"{dn}\""))).count()
}

async fn settled(site: &Site, path: &str) -> Result<Value> {
    wait::until("nothing is on its way", wait::SOON, async || {
        let found = site.api.get(path).await?;
        let waits = found["pending"].as_array().is_some_and(|all| all.iter().any(|it| it["refused"].is_null()));
        Ok((!waits).then_some(found))
    })
    .await
}

#[test]
fn an_edit_is_pending_until_the_directory_has_it_and_comes_back_once() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        let (path, id) = person(&site).await?;
        let dn = Person::nth(0).dn(SUFFIX);
        // Off: the answer names the owner, and what would allow it.
        let email = json!({"email": "new@corp.example"});
        let (status, refused) = site.api.send(Method::PATCH, &path, Some(&email)).await?;
        let text = refused.to_string();
        ensure!(status == StatusCode::CONFLICT && text.contains(DIRECTORY) && text.contains("write-through"), "{text}");
        provision(&site, through()).await?;
        site.agent.terminate().await?;
        let asked = site.api.patch(&path, json!({"email": "new@corp.example", "given_name": "Nova"})).await?;
        ensure!(asked["email"] == Person::nth(0).mail(), "the user keeps the directory's value: {asked:#}");
        let pending = site.api.get(&path).await?["pending"].clone();
        let email = &pending[0];
        ensure!(email["field"] == "email" && email["wanted"] == "new@corp.example", "{pending:#}");
        ensure!(email["asked_by"].is_string() && email["refused"].is_null() && pending[1]["field"] == "given_name");
        let shown = site.control_plane.command_line(&site.api).args(["users", "show", &id]).success().await?;
        ensure!(shown.contains("pending") && shown.contains("email = new@corp.example"), "{shown}");
        site.agent.start(stage)?;
        let user = settled(&site, &path).await?;
        ensure!(user["pending"] == json!([]) && user["email"] == "new@corp.example", "{user:#}");
        ensure!(user["given_name"] == "Nova" && user["sources"]["email"] == DIRECTORY, "{user:#}");
        let entry = site.slapd.entries("(mail=new@corp.example)").await?;
        ensure!(entry.len() == 1 && entry[0].text("givenName") == "Nova", "{entry:?}");
        let row = ended(&site, &id, "update").await?;
        ensure!(row["state"] == "succeeded" && row["cause"] == "user.written_through", "{row:#}");
        a_field_without_a_value(&site, &path, &dn).await?;
        // What came back changes nothing any more, nor does an import.
        site.api.import(DIRECTORY).await?;
        site.api.post(&format!("{path}/provision"), json!({"target": DIRECTORY})).await?;
        wait::until_true("it was compared", wait::SOON, async || {
            let marks = site.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/failures")).await?;
            Ok(marks["items"] == json!([]))
        })
        .await?;
        let report = site.api.get(&format!("/api/v1/reports/provisioning?user={id}")).await?;
        ensure!(report["items"].as_array().map(Vec::len) == Some(2) && changes(&site, &dn) == 3, "{report:#}");
        Ok(())
    })
}

/// A field that the directory would say goes there where it has no value yet, too.
async fn a_field_without_a_value(site: &Site, path: &str, dn: &str) -> Result<()> {
    site.slapd.replace(dn, "telephoneNumber", &[]).await?;
    site.api.import(DIRECTORY).await?;
    let before = site.api.get(path).await?;
    ensure!(before["attributes"]["phone_number"].is_null(), "{before:#}");
    site.api.patch(path, json!({"attributes": {"phone_number": "+49 170 4711"}})).await?;
    let user = settled(site, path).await?;
    ensure!(user["attributes"]["phone_number"] == "+49 170 4711", "{user:#}");
    ensure!(user["sources"]["attributes.phone_number"] == DIRECTORY, "{user:#}");
    let entry = site.slapd.entries("(telephoneNumber=+49 170 4711)").await?;
    ensure!(entry.len() == 1 && entry[0].dn == dn, "{entry:?}");
    Ok(())
}

#[test]
fn what_the_directory_refuses_is_dropped_and_the_reason_is_shown() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        provision(&site, through()).await?;
        let (path, id) = person(&site).await?;
        let before = site.api.get(&path).await?;
        // The syntax of telephoneNumber has no such letters.
        site.api.patch(&path, json!({"attributes": {"phone_number": "+49 ☎"}})).await?;
        let row = ended(&site, &id, "update").await?;
        ensure!(row["state"] != "succeeded" || !row["answer"]["refused"].is_null(), "{row:#}");
        let user = settled(&site, &path).await?;
        let pending = &user["pending"][0];
        ensure!(pending["field"] == "attributes.phone_number" && pending["refused"].is_string(), "{user:#}");
        ensure!(user["attributes"] == before["attributes"], "{user:#}");
        // The next edit takes its place.
        site.api.patch(&path, json!({"attributes": {"phone_number": "+49 30 4711"}})).await?;
        let user = settled(&site, &path).await?;
        ensure!(user["pending"] == json!([]) && user["attributes"]["phone_number"] == "+49 30 4711", "{user:#}");
        // Fields that no rule writes as they are.
        for (change, part) in [
            (json!({"family_name": "Bell"}), "outbound rule"),
            (json!({"attributes": {"department": "Sales"}}), "outbound rule"),
            (json!({"user_name": "bell"}), "cannot be written"),
        ] {
            let (status, refused) = site.api.send(Method::PATCH, &path, Some(&change)).await?;
            let text = refused.to_string();
            ensure!(status == StatusCode::CONFLICT && text.contains(part) && text.contains(DIRECTORY), "{text}");
        }
        Ok(())
    })
}

#[test]
fn members_of_a_group_of_the_directory_change_there_first() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        let anna = Person::nth(0);
        let group = site.api.get("/api/v1/groups/everyone").await?;
        let path = format!("/api/v1/groups/{}", group["id"].as_str().context("no id")?);
        let member = format!("{path}/members/{}", anna.uid);
        let (status, _) = site.api.send(Method::DELETE, &member, None).await?;
        ensure!(status == StatusCode::CONFLICT);
        provision(&site, through()).await?;
        let members = async || {
            let entry = site.slapd.entries("(cn=everyone)").await?;
            anyhow::Ok(
                entry[0].values("member").iter().map(|dn| String::from_utf8_lossy(dn).into_owned()).collect::<Vec<_>>(),
            )
        };
        let count = async || {
            let found = site.api.get(&format!("{path}/members")).await?;
            anyhow::Ok(found["items"].as_array().map(Vec::len))
        };
        let (status, _) = site.api.send(Method::DELETE, &member, None).await?;
        ensure!(status == StatusCode::ACCEPTED, "{status}");
        settled(&site, &path).await?;
        ensure!(!members().await?.contains(&anna.dn(SUFFIX)) && count().await? == Some(2));
        let (status, _) = site.api.send(Method::PUT, &member, Some(&json!({}))).await?;
        ensure!(status == StatusCode::ACCEPTED, "{status}");
        settled(&site, &path).await?;
        ensure!(members().await?.contains(&anna.dn(SUFFIX)) && count().await? == Some(3));
        // Somebody without an account there.
        let stranger = user(&site, "stranger").await?;
        let (status, refused) =
            site.api.send(Method::PUT, &format!("{path}/members/{stranger}"), Some(&json!({}))).await?;
        ensure!(status == StatusCode::CONFLICT && refused.to_string().contains("no account"), "{refused:#}");
        // An import finds nothing to change.
        site.api.import(DIRECTORY).await?;
        ensure!(count().await? == Some(3));
        Ok(())
    })
}
