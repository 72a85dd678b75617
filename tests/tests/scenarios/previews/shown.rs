//! How previews are asked for and shown, and what they are of Active Directory and of a directory without changes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{Agent, DirectorySettings, Settings};
use postern_tests::control_plane::{self, ControlPlane};
use postern_tests::samba::Samba;
use postern_tests::scenario;
use postern_tests::site::{DIRECTORY, Site};
use serde_json::{Value, json};

use super::{change, compare_users, directory, known, names, preview};

#[test]
fn a_preview_of_an_unchanged_directory_is_empty() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start_with(stage, directory(), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        let (job, rows) = preview(&site.api).await?;
        ensure!(rows.is_empty() && job.result["rows"] == 0 && job.result["hold"].is_null(), "{job:#?}");
        let figures = ["created", "updated", "missing", "conflicts"];
        ensure!(figures.iter().all(|figure| job.result["import"][figure] == 0), "{job:#?}");
        Ok(())
    })
}

#[test]
fn a_preview_is_shown_as_a_table_as_json_and_as_csv_without_formulas() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start_with(stage, directory(), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        change(&site).await?;
        let postern = || site.control_plane.command_line(&site.api);
        let start = ["jobs", "start", "import", "--preview", "--directory", DIRECTORY, "--watch"];
        let said = postern().args(start).output().await?;
        let report = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success() && report.contains("Nothing was changed."), "{report}");
        let jobs: Vec<Value> = site.api.list("/api/v1/jobs?kind=import_preview").await?;
        let id = jobs.first().and_then(|job| job["id"].as_str()).context("no preview")?.to_owned();

        let table = postern().args(["jobs", "preview", &id, "--action", "created"]).success().await?;
        ensure!(table.contains("frida") && table.contains("new") && !table.contains("carl"), "{table}");
        let shown = postern().args(["--json", "jobs", "preview", &id, "--all"]).success().await?;
        let shown: Value = serde_json::from_str(&shown).context("not JSON")?;
        let rows: Vec<Value> = site.api.list(&format!("/api/v1/jobs/{id}/preview")).await?;
        ensure!(shown == json!(rows) || shown["items"] == json!(rows), "{shown:#}");

        let file = stage.path().join("preview.csv");
        let csv = || postern().args(["jobs", "preview", &id, "--csv"]).arg(&file);
        csv().success().await?;
        let text = std::fs::read_to_string(&file)?;
        let head = "kind,name,dn,container,actions,waits,attribute,before,after";
        ensure!(text.lines().next() == Some(head), "{text}");
        let has = |start: &str, part: &str| text.lines().any(|line| line.starts_with(start) && line.contains(part));
        ensure!(has("user,anna,", ",changed,no,email,,anna@example.org"), "{text}");
        ensure!(has("user,karl,", ",user_name,carl,karl"), "{text}");
        ensure!(has("group,admins,", "members added,,1: frida"), "{text}");
        ensure!(has("user,dora,", "'=cmd") && !has("user,dora,", ",=cmd"), "a spreadsheet would run it: {text}");
        let printed = postern().args(["jobs", "preview", &id, "--csv", "-"]).success().await?;
        ensure!(printed == text, "{printed}");
        let path = format!("/api/v1/jobs/{id}/preview");
        let named = site.api.get(&format!("{path}?format=ndjson&action=renamed")).await?;
        let named = named.as_str().context("no lines")?;
        ensure!(named.lines().count() == 2 && named.contains("\"karl\""), "{named}");
        ensure!(site.api.get(&format!("{path}?format=csv")).await?.as_str() == Some(text.as_str()));
        let again = csv().output().await?;
        ensure!(!again.status.success() && std::fs::read_to_string(&file)? == text, "a file was overwritten");
        Ok(())
    })
}

#[test]
fn a_preview_is_not_scheduled() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 3).await?;
        let nightly = json!({
            "name": "nightly", "kind": "import_preview", "directory": DIRECTORY,
            "timing": { "repeat": "daily", "at": "02:30" }
        });
        let (status, refused) = site.api.send(reqwest::Method::POST, "/api/v1/schedules", Some(&nightly)).await?;
        ensure!(status == 422 && refused["errors"][0]["field"] == "kind", "{status} {refused:#}");
        ensure!(refused.to_string().contains("it must be one of import, "), "{refused:#}");
        let schedules: Vec<Value> = site.api.list("/api/v1/schedules").await?;
        ensure!(schedules.is_empty(), "{schedules:#?}");
        Ok(())
    })
}

#[test]
fn a_preview_of_a_samba_domain_shows_who_is_switched_on_and_off() -> Result<()> {
    scenario(async |stage| {
        let samba = Samba::start(stage).await?;
        let options = control_plane::Options::for_tests()?;
        let binaries = options.binaries.clone();
        let control_plane = ControlPlane::start(stage, options).await?;
        let api = control_plane.organization("Corp").await?;
        let directories = vec![DirectorySettings::samba(DIRECTORY, &samba, stage.path())?];
        let mut agent = Agent::configured(stage, &binaries, &Settings { directories, ..Settings::default() })?;
        agent.enroll(&api.enrollment_token().await?).await?;
        agent.start(stage)?;
        api.directory(DIRECTORY).await?;
        api.import(DIRECTORY).await?;
        let (on, off) = (api.active().await?, api.inactive().await?);
        let person = |name: &str| format!("CN=Person {},{}", name.trim_start_matches('p'), Samba::staff_dn());
        let switched = |name: &str, control: u32| {
            format!(
                "dn: {}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {control}\n\n",
                person(name)
            )
        };
        let (leaves, comes) = (on.first().context("nobody is on")?, off.first().context("nobody is off")?);
        // 0x202: a normal account, disabled.
        samba.apply(switched(leaves, 514) + &switched(comes, 544)).await?;
        let before = known(&api, "users").await?;
        let (job, rows) = preview(&api).await?;
        ensure!(names(&rows, "user", "became_inactive") == BTreeSet::from([leaves.clone()]), "{rows:#?}");
        ensure!(names(&rows, "user", "became_active") == BTreeSet::from([comes.clone()]), "{rows:#?}");
        ensure!(known(&api, "users").await? == before, "the preview switched somebody");
        ensure!(job.result["rows"] == 2, "{job:#?}");
        api.import(DIRECTORY).await?;
        compare_users(&rows, &before, &known(&api, "users").await?)
    })
}
