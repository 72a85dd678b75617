//! A password is sealed where it is typed, and opened where it is set. Nothing in between has it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_proto::sealed::{self, Binding, PublicKey};
use postern_tests::agent::{SitePolicySettings, WriteSettings};
use postern_tests::process::Launch;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::{Stage, control_plane, scenario, wait, writing};
use serde_json::{Value, json};

const PASSWORD: &str = "Sealed-Marmot-4711";
const SECOND: &str = "Sealed-Heron-0815";

async fn start(stage: &Stage) -> Result<Site> {
    let options = slapd::Options { overlays: true, statements: true, ..slapd::Options::people(3) };
    start_with(stage, options, SitePolicySettings::default()).await
}

async fn start_with(stage: &Stage, options: slapd::Options, policy: SitePolicySettings) -> Result<Site> {
    // OpenLDAP's administrator is above the rules for passwords.
    let administrator = !options.password_policy;
    let site = Site::start_configured(stage, options, control_plane::Options::for_tests()?, |directory| {
        directory.write = Some(WriteSettings {
            user_container: Some(format!("ou=people,{SUFFIX}")),
            group_container: Some(format!("ou=groups,{SUFFIX}")),
            disable: Some("employeeType=disabled".to_owned()),
            placeholder_member: Some(Slapd::admin_dn()),
        });
        directory.policy = Some(policy);
        if administrator {
            directory.bind_dn = Some(Slapd::admin_dn());
            // If the file cannot be written, the import below fails.
            drop(directory.set_password(slapd::ADMIN_PASSWORD));
        }
    })
    .await?;
    if !administrator {
        let [passwords, others] = writing::writer_access();
        site.slapd.set_access(&[&passwords, &others]).await?;
    }
    site.api.import(DIRECTORY).await?;
    Ok(site)
}

async fn allow(site: &Site, on: bool) -> Result<()> {
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
    let switches = json!({ "create_users": true, "edit_users": true, "sync_passwords": on });
    let settings = json!({ "switches": switches, "assignment": { "kind": "all" } });
    site.api.put(&path, &json!({ "settings": settings })).await.map(|_| ())
}

/// A user of the organization, once the directory has it.
async fn anna(site: &Site) -> Result<String> {
    let body = json!({"user_name": "anna", "given_name": "Anna", "family_name": "Bell", "email": "anna@corp.example"});
    let id = site.api.post("/api/v1/users", body).await?["id"].as_str().context("no id")?.to_owned();
    wait::until("the account is known", wait::SOON, async || {
        let user = site.api.get(&format!("/api/v1/users/{id}")).await?;
        Ok(user["accounts"].as_array().is_some_and(|accounts| !accounts.is_empty()).then_some(()))
    })
    .await?;
    Ok(id)
}

fn set_password(site: &Site, user: &str, token: &str) -> Launch {
    let api = site.api.with_token(token);
    site.control_plane.command_line(&api).args(["users", "set-password", user, "--target", DIRECTORY])
}

async fn binds(site: &Site, user: &str, password: &str) -> Result<bool> {
    let dn = format!("uid={user},ou=people,{SUFFIX}");
    let url = site.slapd.ldap_url();
    let asked = Launch::new("ldapwhoami", "ldapwhoami").args(["-x", "-H", &url, "-D", &dn, "-w", password]);
    Ok(asked.output().await?.status.success())
}

/// All that both programs have written, and the report.
async fn written(site: &Site) -> Result<Vec<(String, String)>> {
    let mut all = vec![
        ("the control plane's log".to_owned(), site.control_plane.log()),
        ("the agent's log".to_owned(), site.agent.log()),
        ("the report".to_owned(), site.api.get("/api/v1/reports/provisioning").await?.to_string()),
        ("the audit log".to_owned(), site.api.get("/api/v1/audit").await?.to_string()),
    ];
    for folder in [site.control_plane.data_dir(), &site.agent.state_dir()] {
        files(folder, &mut all)?;
    }
    Ok(all)
}

fn files(folder: &Path, all: &mut Vec<(String, String)>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, all)?;
        } else if path.is_file() {
            all.push((path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path)?).into_owned()));
        }
    }
    Ok(())
}

/// As UTF-8, and as UTF-16 as Active Directory takes it.
fn holds(place: &str, text: &str) -> bool {
    let wide: String = text.chars().flat_map(|letter| [letter, '\0']).collect();
    place.contains(text) || place.contains(&wide)
}

/// What a process has in its memory.
fn memory(pid: u32) -> Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-')).context("no range")?;
        let (from, to) = (u64::from_str_radix(range.0, 16)?, u64::from_str_radix(range.1, 16)?);
        memory.seek(SeekFrom::Start(from))?;
        // A region may have gone meanwhile.
        let _ = (&mut memory).take(to - from).read_to_end(&mut all);
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn a_password_is_set_and_stands_nowhere() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        allow(&site, true).await?;
        let id = anna(&site).await?;
        let made = site.api.post("/api/v1/tokens", json!({"name": "desk", "role": "helpdesk"})).await?;
        let helpdesk = made["token"].as_str().context("no token")?.to_owned();
        set_password(&site, "anna", &helpdesk).input(format!("{PASSWORD}\n")).success().await?;
        ensure!(binds(&site, "anna", PASSWORD).await?, "the password is not the one that was typed");
        ensure!(!binds(&site, "anna", SECOND).await?, "any password would do");
        // One who comes from the directory.
        let user = site.api.get("/api/v1/users?source=corp&limit=1").await?["items"][0]["user_name"].clone();
        let user = user.as_str().context("no user")?.to_owned();
        set_password(&site, &user, &helpdesk).input(format!("{SECOND}\n")).success().await?;
        ensure!(binds(&site, &user, SECOND).await?);
        let generated = set_password(&site, "anna", &helpdesk).args(["--generate"]).success().await?;
        let generated = generated.trim();
        ensure!(binds(&site, "anna", generated).await? && !binds(&site, "anna", PASSWORD).await?);
        let report = site.api.get(&format!("/api/v1/reports/provisioning?user={id}&action=set_password")).await?;
        let row = &report["items"][0];
        ensure!(
            row["state"] == "succeeded" && row["actor"] == "desk" && row["cause"] == "user.password_set",
            "{row:#}"
        );
        let mut written = written(&site).await?;
        written.push(("the control plane's memory".to_owned(), memory(site.control_plane.process()?.pid())?));
        for secret in [PASSWORD, SECOND, generated] {
            let found = written.iter().find(|(_, bytes)| holds(bytes, secret));
            ensure!(found.is_none(), "a password is in {:?}", found.map(|(place, _)| place));
        }
        // The search finds what is there.
        for (place, marker) in [
            ("the control plane's log", "user.password_set"),
            ("the agent's log", "passwords.new_key"),
            ("the report", "set_password"),
            ("the audit log", "user.password_set"),
            ("postern.db", "anna@corp.example"),
            ("the control plane's memory", "user.password_set"),
        ] {
            let found = written.iter().any(|(name, bytes)| name.contains(place) && holds(bytes, marker));
            ensure!(found, "{marker} is not found in {place}");
        }
        Ok(())
    })
}

/// Seals as a client does.
pub(crate) async fn seal(site: &Site, user: &str, password: &str) -> Result<Value> {
    let keys = site.api.get(&format!("/api/v1/directories/{DIRECTORY}/password-keys")).await?;
    let account = site.api.get(&format!("/api/v1/users/{user}")).await?["accounts"][0].clone();
    let binding = Binding {
        directory: keys["directory"].as_str().context("no name")?,
        external_id: account["external_id"].as_str().context("no account")?,
        must_change: false,
    };
    let expires: jiff::Timestamp = keys["expires_at"].as_str().context("no expiry")?.parse()?;
    let key = STANDARD.decode(keys["keys"][0]["public_key"].as_str().context("no key")?)?;
    let key = PublicKey::from_bytes(&key)?;
    let sealed = sealed::seal(password, &key, &binding, u64::try_from(expires.as_millisecond())?)?;
    Ok(json!({ "target": DIRECTORY, "sealed": [STANDARD.encode(sealed)] }))
}

/// Has a sealed password set.
pub(crate) async fn ask(site: &Site, user: &str, request: &Value) -> Result<String> {
    let asked = site.api.post(&format!("/api/v1/users/{user}/password"), request.clone()).await?;
    Ok(asked["id"].as_str().context("no id")?.to_owned())
}

async fn ended(site: &Site, id: &str) -> Result<Value> {
    wait::until("the operation has ended", wait::SOON, async || {
        let found = site.api.get(&format!("/api/v1/password-changes/{id}")).await?;
        Ok((!found["ended_at"].is_null()).then_some(found))
    })
    .await
}

#[test]
fn a_password_waits_for_its_agent_over_a_restart_and_is_good_for_one_change_and_one_key() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        allow(&site, true).await?;
        let id = anna(&site).await?;
        let (first, second) = (seal(&site, &id, PASSWORD).await?, seal(&site, &id, SECOND).await?);
        site.agent.terminate().await?;
        let waiting = ask(&site, &id, &first).await?;
        site.control_plane.kill().await?;
        site.control_plane.restart(stage).await?;
        site.agent.start(stage)?;
        let set = ended(&site, &waiting).await?;
        ensure!(set["state"] == "succeeded" && binds(&site, "anna", PASSWORD).await?, "{set:#}");
        // The same once more, after the agent has started again.
        site.agent.terminate().await?;
        site.agent.start(stage)?;
        let again = ended(&site, &ask(&site, &id, &first).await?).await?;
        let message = again["answer"]["error"]["message"].as_str().unwrap_or_default();
        ensure!(again["state"] == "failed" && message.contains("used before"), "{again:#}");
        // One that waits while its agent gets a new key.
        site.agent.terminate().await?;
        let late = ask(&site, &id, &second).await?;
        std::fs::remove_file(site.agent.state_dir().join("password-key.json"))?;
        site.agent.start(stage)?;
        let late = ended(&site, &late).await?;
        let message = late["answer"]["error"]["message"].as_str().unwrap_or_default();
        ensure!(late["state"] == "failed" && message.contains("another key"), "{late:#}");
        ensure!(binds(&site, "anna", PASSWORD).await? && !binds(&site, "anna", SECOND).await?);
        // The client that reads the keys again succeeds.
        let new = seal(&site, &id, SECOND).await?;
        let set = ended(&site, &ask(&site, &id, &new).await?).await?;
        ensure!(set["state"] == "succeeded" && binds(&site, "anna", SECOND).await?, "{set:#}");
        Ok(())
    })
}

#[test]
fn nothing_is_sent_while_the_switch_is_off() -> Result<()> {
    scenario(async |stage| {
        let site = start(stage).await?;
        allow(&site, false).await?;
        anna(&site).await?;
        let token = site.api.token().to_owned();
        let refused = set_password(&site, "anna", &token).input(format!("{PASSWORD}\n")).output().await?;
        let text = String::from_utf8_lossy(&refused.stderr);
        ensure!(!refused.status.success() && text.contains("sync-passwords"), "{text}");
        ensure!(!binds(&site, "anna", PASSWORD).await?);
        let report: Value = site.api.get("/api/v1/reports/provisioning?action=set_password").await?;
        ensure!(report["items"] == json!([]), "{report:#}");
        Ok(())
    })
}

#[test]
fn the_rule_that_a_password_breaks_is_named() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { overlays: true, password_policy: true, ..slapd::Options::people(3) };
        let site = start_with(stage, options, SitePolicySettings::default()).await?;
        for (name, value) in [("pwdCheckQuality", "2"), ("pwdMinLength", "8")] {
            site.slapd.replace(&format!("cn=policy,{SUFFIX}"), name, &[value]).await?;
        }
        allow(&site, true).await?;
        anna(&site).await?;
        let token = site.api.token().to_owned();
        let short = set_password(&site, "anna", &token).input("short\n").output().await?;
        let text = String::from_utf8_lossy(&short.stderr);
        ensure!(!short.status.success() && text.contains("too short"), "{text}");
        set_password(&site, "anna", &token).input(format!("{PASSWORD}\n")).success().await?;
        ensure!(binds(&site, "anna", PASSWORD).await?);
        Ok(())
    })
}

#[test]
fn a_password_waits_for_the_account_that_is_being_made() -> Result<()> {
    scenario(async |stage| {
        let mut site = start(stage).await?;
        allow(&site, true).await?;
        site.agent.terminate().await?;
        let body = json!({"user_name": "anna", "family_name": "Bell", "email": "anna@corp.example"});
        site.api.post("/api/v1/users", body).await?;
        let token = site.api.token().to_owned();
        let waits = set_password(&site, "anna", &token).input(format!("{PASSWORD}\n")).success();
        let (set, started) = tokio::join!(waits, async { site.agent.start(stage) });
        started?;
        set?;
        ensure!(binds(&site, "anna", PASSWORD).await?);
        // Nobody waits for an account that nobody makes.
        provision_nobody(&site).await?;
        site.api.post("/api/v1/users", json!({"user_name": "bert", "family_name": "Cole"})).await?;
        let refused = set_password(&site, "bert", &token).input(format!("{PASSWORD}\n")).output().await?;
        let text = String::from_utf8_lossy(&refused.stderr);
        ensure!(!refused.status.success() && text.contains("has no account"), "{text}");
        Ok(())
    })
}

async fn provision_nobody(site: &Site) -> Result<()> {
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
    let settings = json!({ "switches": { "sync_passwords": true } });
    site.api.put(&path, &json!({ "settings": settings })).await.map(|_| ())
}
