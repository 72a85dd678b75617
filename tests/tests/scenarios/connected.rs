//! What an administrator sees of agents and directories without asking for a job: how they stand, in the command line, the
//! metrics and the logs.

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::Agent;
use postern_tests::binaries::Binaries;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{control_plane, scenario, slapd, wait};
use serde_json::Value;

#[test]
fn agents_that_are_configured_otherwise_are_shown_and_logged_before_any_import() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 40).await?;
        let first = site.api.only_agent().await?;
        let mut settings = site.settings.clone();
        settings.directories[0].users.filter = "(&(objectClass=inetOrgPerson)(!(title=out)))".to_owned();
        let mut second = Agent::configured(stage, &Binaries::beside_this_program()?, &settings)?;
        second.enroll(&site.api.enrollment_token_for(&[DIRECTORY]).await?).await?;
        second.start(stage)?;
        let postern = || site.control_plane.command_line(&site.api);
        let shown = wait::until("the difference is shown", wait::SOON, || async {
            let shown = postern().args(["directories", "show", DIRECTORY]).success().await?;
            Ok(Some(shown).filter(|shown| shown.contains("for users differ")))
        })
        .await?;
        ensure!(shown.contains(&format!("those of agent {first}")) && shown.contains("never"), "{shown}");
        let directory = site.api.directory(DIRECTORY).await?;
        let problem = &directory["problems"][0];
        ensure!(problem["kind"] == "configuration", "{directory}");
        let other = problem["agent"].as_str().context("of which agent?")?;
        let agent = postern().args(["agents", "show", other]).success().await?;
        ensure!(agent.contains("for users differ"), "{agent}");
        let log = site.control_plane.log();
        let line = log.lines().find(|line| line.contains("gateway.other_configuration")).context("not logged")?;
        ensure!(line.contains(other) && line.contains("users"), "{line}");
        ensure!(!log.contains("title=out") && !shown.contains("title=out"), "the filter itself has left the site");
        ensure!(site.api.list::<Value>("/api/v1/jobs").await?.is_empty(), "a job was needed to find that");

        // Made equal, it is a problem no more.
        second.configure(&site.settings)?;
        second.reloaded().await?;
        wait::until_true("nothing is shown any more", wait::SOON, || async {
            Ok(site.api.directory(DIRECTORY).await?["problems"].as_array().is_some_and(Vec::is_empty))
        })
        .await
    })
}

/// A command that is watched, not at a terminal: what it says beside its output, and the output.
fn said(output: &std::process::Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stderr), text(&output.stdout))
}

#[test]
fn a_watched_import_names_its_job_at_once_and_ends_with_a_sentence() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start(stage, 40).await?;
        let postern = || site.control_plane.command_line(&site.api);
        let import = ["jobs", "start", "import", "--directory", DIRECTORY, "--watch"];
        let output = postern().args(import).output().await?;
        let (beside, printed) = said(&output);
        ensure!(output.status.success(), "{beside}{printed}");
        let job: Value = site.api.list("/api/v1/jobs").await?.remove(0);
        let id = job["id"].as_str().context("no id")?;
        ensure!(
            beside.lines().next().is_some_and(|line| line.contains("started job") && line.contains(id)),
            "{beside}"
        );
        ensure!(
            printed.lines().last().is_some_and(|line| line.starts_with("The import of corp succeeded")),
            "{printed}"
        );

        // For scripts: nothing but JSON in the output.
        let output = postern().args(import).arg("--json").output().await?;
        let (beside, printed) = said(&output);
        ensure!(serde_json::from_str::<Value>(&printed)?["state"] == "succeeded", "{printed}");
        ensure!(beside.contains("started job"), "{beside}");

        let listed = postern().args(["directories", "list"]).success().await?;
        ensure!(listed.contains(" s ago)"), "{listed}");
        let metrics = site.control_plane.metrics()?.get("/metrics").await?;
        let metrics = metrics.as_str().context("no text")?;
        let seconds = metrics
            .lines()
            .find_map(|line| {
                line.strip_prefix(
                    r#"postern_directory_last_import_timestamp_seconds{organization="Corp",directory="corp"} "#,
                )
            })
            .context("no last import")?;
        ensure!(seconds.parse::<i64>()? > 1_700_000_000, "{seconds}");
        for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().context("no name")?;
            ensure!(metrics.contains(&format!("# HELP {name} ")), "{name} has no HELP");
        }
        Ok(())
    })
}

/// Fails unless each line is a JSON object that says each thing once.
fn all_json(log: &str) -> Result<()> {
    ensure!(!log.trim().is_empty(), "nothing was logged");
    for line in log.lines() {
        let read: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        ensure!(read["message"].is_string() && read["level"].is_string(), "{line}");
        ensure!(line.matches("\"message\":").count() == 1, "two messages: {line}");
    }
    Ok(())
}

#[test]
fn json_logs_are_json_from_the_first_line_to_the_last() -> Result<()> {
    scenario(async |stage| {
        let options = control_plane::Options::for_tests()?.set("log_format", "json");
        let mut site = Site::without_agent(stage, slapd::Options::people(20), options).await?;
        site.agent.set_env("POSTERN_AGENT__LOG__FORMAT", "json");
        let unenrolled = site.agent.command("run").output().await?;
        ensure!(!unenrolled.status.success(), "it runs without an identity");
        all_json(&said(&unenrolled).0)?;
        site.agent.enroll(&site.api.enrollment_token().await?).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        site.api.import(DIRECTORY).await?;
        // A second process on the same data is refused; so is a configuration that cannot be.
        let second = site.control_plane.launch().output().await?;
        ensure!(!second.status.success(), "two processes serve one database");
        all_json(&said(&second).0)?;
        let wrong = site.control_plane.launch().env("POSTERN__LEASE_SECS", "0").output().await?;
        ensure!(!wrong.status.success(), "a lease of nothing");
        all_json(&said(&wrong).0)?;
        all_json(&site.agent.log())?;
        all_json(&site.control_plane.log())
    })
}

#[test]
fn a_reload_says_what_it_does_not_take_up() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 10).await?;
        site.agent.reloaded().await?;
        ensure!(!site.agent.log().contains("config.reload_ignored"), "nothing was changed");
        site.settings.control_plane.proxy = Some("http://reader:hidden@127.0.0.1:9".to_owned());
        site.agent.configure(&site.settings)?;
        site.agent.reloaded().await?;
        let line = wait::until("the agent says what it ignores", wait::SOON, || async {
            Ok(site.agent.log().lines().find(|line| line.contains("config.reload_ignored")).map(str::to_owned))
        })
        .await?;
        ensure!(line.contains("control_plane.proxy") && line.contains("restart"), "{line}");
        ensure!(!site.agent.log().contains("hidden"), "the password is in the log");
        Ok(())
    })
}

/// The only agent as the interface shows it.
async fn the_agent(site: &Site) -> Result<Value> {
    site.api.agents().await?.into_iter().next().context("no agent")
}

/// Waits until the agent is shown as connected, or not.
async fn connected(site: &Site, wanted: bool) -> Result<Value> {
    wait::until("the agent's state is shown", wait::SOON, || async {
        Ok(Some(the_agent(site).await?).filter(|agent| agent["connected"] == wanted))
    })
    .await
}

/// A time of the interface.
fn time(agent: &Value, name: &str) -> Result<jiff::Timestamp> {
    Ok(agent[name].as_str().with_context(|| format!("no {name}: {agent}"))?.parse()?)
}

#[test]
fn an_agent_is_shown_connected_only_while_it_is_and_why_it_left() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::start(stage, 10).await?;
        let agent = connected(&site, true).await?;
        let since = time(&agent, "connected_since")?;
        ensure!(agent["last_error"].is_null() && since <= jiff::Timestamp::now(), "{agent}");
        let listed = site.control_plane.command_line(&site.api).args(["directories", "list"]).success().await?;
        ensure!(listed.contains("1 of 1"), "{listed}");

        // It leaves in good order: that is no error.
        site.agent.terminate().await?;
        let left = jiff::Timestamp::now();
        let agent = connected(&site, false).await?;
        ensure!(agent["last_error"].is_null() && agent["connected_since"].is_null(), "{agent}");
        let seen = time(&agent, "last_seen_at")?;
        ensure!(left.duration_since(seen).abs() < jiff::SignedDuration::from_secs(2), "seen {seen}, left {left}");
        let listed = site.control_plane.command_line(&site.api).args(["directories", "list"]).success().await?;
        ensure!(listed.contains("0 of 1"), "{listed}");

        // After a restart of the control plane that is still known, to the second.
        site.control_plane.restart(stage).await?;
        ensure!(time(&the_agent(&site).await?, "last_seen_at")? == seen, "{}", the_agent(&site).await?);

        // It dies: the line breaks.
        site.agent.start(stage)?;
        connected(&site, true).await?;
        site.agent.kill().await?;
        let agent = connected(&site, false).await?;
        ensure!(agent["last_error"].as_str().is_some_and(|error| error.contains("connection")), "{agent}");
        let listed = site.control_plane.command_line(&site.api).args(["agents", "list"]).success().await?;
        ensure!(listed.contains("not connected") && listed.contains("the connection"), "{listed}");

        // The control plane dies: nobody is shown as connected for what the dead one knew.
        site.agent.start(stage)?;
        connected(&site, true).await?;
        site.control_plane.kill().await?;
        site.agent.kill().await?;
        site.control_plane.run(stage).await?;
        connected(&site, false).await.map(drop)
    })
}
