//! Who gets in by an enrollment token, and who does not: wrong, used, expired, revoked and foreign ones, and a wrong pin.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use postern_proto::enrollment_token::EnrollmentToken;
use postern_tests::agent::{Agent, DirectorySettings, Settings};
use postern_tests::api::Api;
use postern_tests::control_plane::{ControlPlane, Options};
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, scenario, slapd, wait};
use serde_json::json;

struct Ground {
    control_plane: ControlPlane,
    api: Api,
    agent: Agent,
}

async fn ground(stage: &Stage) -> Result<Ground> {
    let options = Options::for_tests()?;
    let agent = Agent::configured(stage, &options.binaries, &Settings::default())?;
    let control_plane = ControlPlane::start(stage, options).await?;
    let api = control_plane.organization("Corp").await?;
    Ok(Ground { control_plane, api, agent })
}

/// Enrolling must fail, leave no identity, and say what to do without repeating the secret.
/// What the control plane itself says: a gateway that cannot be reached has other words.
const NOT_ACCEPTED: &str = "does not accept this token";

async fn refused(ground: &Ground, token: &str, said: &str) -> Result<()> {
    let agents = ground.api.agents().await?.len();
    let output = ground.agent.try_enroll(token).await?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(!output.status.success(), "was let in: {text}");
    ensure!(text.to_lowercase().contains(said), "does not say {said:?}: {text}");
    if let Ok(token) = token.parse::<EnrollmentToken>() {
        ensure!(!text.contains(&token.secret), "the secret is printed: {text}");
    }
    ensure!(!ground.agent.state_dir().join("identity.json").exists(), "an identity was left: {text}");
    ensure!(ground.api.agents().await?.len() == agents, "an agent was recorded");
    Ok(())
}

#[test]
fn only_the_right_unused_token_lets_an_agent_in() -> Result<()> {
    scenario(async |stage| {
        let ground = ground(stage).await?;
        refused(&ground, "postern1.nonsense", "damaged or incomplete").await?;

        let token = ground.api.enrollment_token().await?;
        let mut wrong: EnrollmentToken = token.parse().context("our own token")?;
        wrong.secret = wrong.secret.chars().rev().collect();
        refused(&ground, &wrong.to_string(), NOT_ACCEPTED).await?;

        let mut pinned: EnrollmentToken = token.parse()?;
        pinned.ca_sha256[0] ^= 1;
        refused(&ground, &pinned.to_string(), "pin").await?;

        let used = Agent::configured(stage, &Options::for_tests()?.binaries, &Settings::default())?;
        used.enroll(&token).await?;
        refused(&ground, &token, NOT_ACCEPTED).await
    })
}

#[test]
fn an_expired_and_a_revoked_token_let_nobody_in() -> Result<()> {
    scenario(async |stage| {
        let ground = ground(stage).await?;
        let end = Timestamp::now().checked_add(Duration::from_secs(1))?;
        let made = ground.api.post("/api/v1/enrollment-tokens", json!({ "expires_at": end })).await?;
        wait::until_true("the token expires", wait::SOON, || async { Ok(Timestamp::now() > end) }).await?;
        refused(&ground, made["token"].as_str().context("no token")?, NOT_ACCEPTED).await?;

        let made = ground.api.post("/api/v1/enrollment-tokens", json!({})).await?;
        let id = made["id"].as_str().context("no id")?;
        ground.api.delete(&format!("/api/v1/enrollment-tokens/{id}")).await?;
        refused(&ground, made["token"].as_str().context("no token")?, NOT_ACCEPTED).await
    })
}

#[test]
fn a_foreign_token_lets_nobody_in() -> Result<()> {
    scenario(async |stage| {
        let ground = ground(stage).await?;
        let other = ControlPlane::start(stage, Options::for_tests()?).await?;
        let foreign = other.organization("Elsewhere").await?.enrollment_token().await?;
        // Sent to our control plane: its authority is not the one that the token pins.
        let mut redirected: EnrollmentToken = foreign.parse()?;
        redirected.address = ground.control_plane.gateway_address().to_string();
        refused(&ground, &redirected.to_string(), "pin").await?;
        // With our pin forged into it, the secret is still unknown.
        redirected.ca_sha256 = ground.api.enrollment_token().await?.parse::<EnrollmentToken>()?.ca_sha256;
        refused(&ground, &redirected.to_string(), NOT_ACCEPTED).await
    })
}

#[test]
fn a_directory_that_the_token_does_not_name_is_refused_by_name_at_both_ends() -> Result<()> {
    scenario(async |stage| {
        let mut site = Site::without_agent(stage, slapd::Options::people(20), Options::for_tests()?).await?;
        let lab = DirectorySettings::slapd("lab", &site.slapd, stage.path())?;
        let corp_alone = site.settings.clone();
        site.settings.directories.push(lab);
        site.agent.configure(&site.settings)?;
        let made = site.api.post("/api/v1/enrollment-tokens", json!({ "directories": [DIRECTORY] })).await?;
        site.agent.enroll(made["token"].as_str().context("no token")?).await?;
        site.agent.start(stage)?;
        site.api.directory(DIRECTORY).await?;
        refusal_is_shown(&site, 1).await?;
        let log = site.control_plane.log();
        let told = log.lines().find(|line| line.contains("gateway.directories_refused"));
        ensure!(told.is_some_and(|line| line.contains("lab") && !line.contains("corp")), "{told:?}");

        // Removed from the configuration it is no longer reported, and restored it is reported again.
        for (settings, refusals) in [(corp_alone, 1), (site.settings.clone(), 2)] {
            let shown = settings.directories.len() > 1;
            site.agent.configure(&settings)?;
            site.agent.reload()?;
            // The log says when the control plane has heard of it; the status may follow the file before.
            wait::until_true("the status follows", wait::SOON, || async {
                let heard = if shown {
                    refusals_logged(&site) >= refusals
                } else {
                    site.agent.log().contains("directory.no_longer_refused")
                };
                Ok(heard && site.agent.status().await?.contains("refused by the control plane") == shown)
            })
            .await?;
            ensure!(refusals_logged(&site) == refusals, "{}", site.agent.log());
        }
        refusal_is_shown(&site, 2).await?;
        // A session more, and not a word more.
        let before = site.agent.status().await?;
        site.line.cut();
        wait::until_true("another session", wait::SOON, || async {
            Ok(site.agent.log().matches("session.established").count() == 2 && site.agent.status().await? != before)
        })
        .await?;
        refusal_is_shown(&site, 2).await?;
        site.api.import(DIRECTORY).await.map(drop)
    })
}

fn refusals_logged(site: &Site) -> usize {
    site.agent.log().lines().filter(|line| line.contains("directory.refused") && line.contains("lab")).count()
}

/// The agent shows the refused directory with what to do, and has said so as often in its log.
async fn refusal_is_shown(site: &Site, logged: usize) -> Result<()> {
    wait::until_true("the agent's log says so", wait::SOON, || async { Ok(refusals_logged(site) == logged) }).await?;
    ensure!(site.agent.log().contains("--directory lab"), "the log does not say what to do: {}", site.agent.log());
    let status = site.agent.status().await?;
    let refused = status.lines().skip_while(|line| !line.contains("lab")).nth(1).unwrap_or_default();
    ensure!(refused.contains("refused") && refused.contains("--directory lab"), "{status}");
    Ok(())
}

#[test]
fn a_second_enrollment_needs_force_and_the_key_is_private() -> Result<()> {
    scenario(async |stage| {
        let ground = ground(stage).await?;
        ground.agent.enroll(&ground.api.enrollment_token().await?).await?;
        let file = ground.agent.state_dir().join("identity.json");
        let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{mode:o}");
        let before = std::fs::read(&file)?;

        let token = ground.api.enrollment_token().await?;
        let output = ground.agent.try_enroll(&token).await?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && text.contains("--force"), "{text}");
        ensure!(std::fs::read(&file)? == before, "the identity was changed");

        ground.agent.command("enroll").args(["--token", &token, "--force"]).success().await?;
        ensure!(std::fs::read(&file)? != before, "the identity was not changed");
        ensure!(ground.api.agents().await?.len() == 2);
        Ok(())
    })
}
