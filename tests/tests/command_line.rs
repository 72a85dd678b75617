//! The main job as an administrator does it: with the command line alone.

use anyhow::{Context as _, Result, ensure};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{control_plane, scenario, slapd};
use serde_json::Value;

#[test]
fn an_administrator_gets_from_a_token_to_users_by_the_command_line_alone() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?;
        let mut site = Site::without_agent(stage, slapd::Options::people(80), options).await?;
        let postern = || site.control_plane.command_line(&site.api);
        let made = postern().args(["enrollment-tokens", "create", "--json"]).success().await?;
        let made: Value = serde_json::from_str(&made).context("not JSON")?;
        site.agent.enroll(made["token"].as_str().context("no token")?).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;

        let watched = postern().args(["jobs", "start", "import", "--directory", DIRECTORY, "--watch"]).output().await?;
        let said = format!("{}{}", String::from_utf8_lossy(&watched.stdout), String::from_utf8_lossy(&watched.stderr));
        ensure!(watched.status.success(), "{said}");
        let users = postern().args(["users", "list", "--json"]).success().await?;
        ensure!(users.contains("@corp.example"), "{users}");
        for table in [["agents", "list"], ["directories", "list"], ["jobs", "list"], ["groups", "list"]] {
            let text = postern().args(table).success().await.with_context(|| table.join(" "))?;
            ensure!(text.lines().count() >= 2, "{}: {text}", table.join(" "));
        }

        site.settings.directories[0].set_password("wrong")?;
        site.ldap_line.cut();
        let failed = site.control_plane.command_line(&site.api).args([
            "jobs",
            "start",
            "import",
            "--directory",
            DIRECTORY,
            "--watch",
        ]);
        let failed = failed.output().await?;
        ensure!(failed.status.code() == Some(1), "exit code {:?} for a failed job", failed.status.code());
        Ok(())
    })
}

#[test]
fn the_agents_own_diagnosis_names_what_is_wrong_and_the_cure() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 30).await?;
        let (passed, report) = site.agent.check().await?;
        ensure!(passed, "{report:#}");
        let clock = report.as_array().into_iter().flatten().find(|row| row["name"] == "clock");
        ensure!(clock.is_some_and(|row| row["state"] == "passed"), "{report:#}");
        let status = site.agent.status().await?;
        ensure!(status.contains(DIRECTORY), "{status}");

        site.settings.directories[0].set_password("wrong")?;
        let (passed, report) = site.agent.check().await?;
        ensure!(!passed && report.to_string().contains("cure"), "{report:#}");

        site.settings.directories[0].set_password(slapd::READER_PASSWORD)?;
        site.slapd.kill().await?;
        let (passed, report) = site.agent.check().await?;
        ensure!(!passed, "{report:#}");
        Ok(())
    })
}
