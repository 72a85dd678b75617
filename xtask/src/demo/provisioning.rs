//! The second half of the demo: users of the organization in the directory, from the first day to the last.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use postern_tests::agent::{DirectorySettings, SitePolicySettings, WriteSettings};
use postern_tests::ldif::Entry;
use postern_tests::site::DIRECTORY;
use postern_tests::slapd::{Options, SUFFIX, Slapd};
use postern_tests::wait;
use serde_json::json;

use super::command::command;
use crate::line::Line;

/// A directory with two departments, whose bind account may write people and groups, and no more.
pub(super) fn directory(users: u32) -> Options {
    let writer = Slapd::reader_dn();
    let mut access_lines = format!(
        "access to dn.subtree=\"ou=people,{SUFFIX}\" attrs=userPassword by dn.exact=\"{writer}\" =w by anonymous auth\n"
    );
    let mut extra_ldif = String::new();
    for name in ["people", "groups"] {
        // Writing to a string cannot fail.
        let _ = writeln!(
            access_lines,
            "access to dn.subtree=\"ou={name},{SUFFIX}\" by dn.exact=\"{writer}\" write by * break"
        );
    }
    for name in ["Engineering", "Sales"] {
        let _ = writeln!(extra_ldif, "dn: ou={name},ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: {name}\n");
    }
    Options { password_policy: true, access_lines, extra_ldif, ..Options::people(users) }
}

/// What the site's administrator adds to the agent's file.
pub(super) fn allow(directory: &mut DirectorySettings) {
    directory.write = Some(WriteSettings {
        user_container: Some(format!("ou=people,{SUFFIX}")),
        group_container: Some(format!("ou=groups,{SUFFIX}")),
        disable: Some("ppolicy".to_owned()),
        placeholder_member: Some(Slapd::reader_dn()),
    });
    directory.policy = Some(SitePolicySettings { read_only: false, ..SitePolicySettings::default() });
}

/// Shows the whole of it, each step as an administrator types it, and checks in the directory that it happened.
pub(super) async fn show(line: &Line, slapd: &Slapd) -> Result<()> {
    println!("\nThe other way: users of the organization in the directory.");
    post(line, "groups create Newcomers")?;
    set_up(line)?;
    life(line, slapd).await?;
    planned(line, slapd).await?;
    held(line, slapd).await?;
    post(line, "users delete ada --yes")?;
    entry(slapd, "ada is gone", |found| found.is_none()).await?;
    ended(line).await?;
    post(line, &format!("provisioning report --target {DIRECTORY} --limit 20")).map(drop)
}

/// Who has an account, and what may be done.
fn set_up(line: &Line) -> Result<()> {
    let allowed = "create-users,edit-users,delete-users,enable-disable-users,sync-passwords";
    let set = [
        "provisioning",
        "set",
        DIRECTORY,
        "--assign-group",
        "Newcomers",
        "--allow",
        allowed,
        "--container",
        "'ou=' + attributes.department",
        "--leaving",
        "delete",
    ];
    run(line, &set).map(drop)
}

/// One user: made, changed, moved, given a password, disabled and enabled.
async fn life(line: &Line, slapd: &Slapd) -> Result<()> {
    let ada = "users create ada --given-name Ada --family-name Lovelace --email ada@corp.example";
    post(line, &format!("{ada} --attribute department=Engineering"))?;
    post(line, "groups add Newcomers ada")?;
    let dn = |found: &Entry, unit: &str| found.dn.to_lowercase().contains(&format!("ou={unit},"));
    entry(slapd, "ada is made", |found| found.is_some_and(|found| dn(found, "engineering"))).await?;
    post(line, "users change ada --email lovelace@corp.example")?;
    entry(slapd, "ada is changed", |found| found.is_some_and(|found| found.text("mail").starts_with("lovelace@")))
        .await?;
    post(line, "users change ada --attribute department=Sales")?;
    let moved = entry(slapd, "ada is moved", |found| found.is_some_and(|found| dn(found, "sales"))).await?;
    let dn = moved.context("no entry")?.dn;
    let password = post(line, &format!("users set-password ada --target {DIRECTORY} --generate"))?;
    let password = password.trim();
    binds(slapd, &dn, password, true).await?;
    post(line, "users disable ada --reason left --yes")?;
    binds(slapd, &dn, password, false).await?;
    post(line, "users enable ada")?;
    binds(slapd, &dn, password, true).await
}

/// Nothing is sent but what a plan has shown and somebody has applied.
async fn planned(line: &Line, slapd: &Slapd) -> Result<()> {
    post(line, &format!("provisioning set {DIRECTORY} --report-only"))?;
    post(line, "users create barbara --family-name Liskov --attribute department=Sales")?;
    post(line, "groups add Newcomers barbara")?;
    post(line, &format!("provisioning plan {DIRECTORY}"))?;
    let here = async || Ok(slapd.entries("(uid=barbara)").await?.len() == 1);
    ensure!(!here().await?, "barbara was made before the plan was applied");
    let plans = line.api.get(&format!("/api/v1/directories/{DIRECTORY}/provisioning/plans")).await?;
    let plan = plans["items"][0]["id"].as_str().context("no plan")?.to_owned();
    post(line, &format!("provisioning apply {DIRECTORY} {plan} --yes"))?;
    wait::until_true("barbara is made", wait::SOON, here).await?;
    ended(line).await?;
    post(line, &format!("provisioning plans {DIRECTORY} {plan}"))?;
    post(line, &format!("provisioning set {DIRECTORY} --carry-out")).map(drop)
}

/// More newcomers than the threshold allows wait for an administrator.
async fn held(line: &Line, slapd: &Slapd) -> Result<()> {
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
    let mut settings = line.api.get(&path).await?["settings"].clone();
    settings["thresholds"]["creates"] = json!({ "number": 1 });
    line.api.put(&path, &json!({ "settings": settings })).await?;
    println!("\n  (the API sets the threshold: one new account an hour)");
    for name in ["grace", "edsger"] {
        post(line, &format!("users create {name} --family-name {name} --attribute department=Engineering"))?;
    }
    post(line, "groups add Newcomers grace edsger")?;
    wait::until_true("two are held", wait::SOON, async || {
        let held = line.api.get("/api/v1/reports/provisioning?state=held").await?;
        Ok(held["items"].as_array().is_some_and(|items| items.len() == 2))
    })
    .await?;
    post(line, "provisioning report --state held")?;
    ensure!(slapd.entries("(|(uid=grace)(uid=edsger))").await?.is_empty(), "somebody was made before the approval");
    post(line, &format!("provisioning approve {DIRECTORY} --all"))?;
    wait::until_true("both are made", wait::SOON, async || {
        Ok(slapd.entries("(|(uid=grace)(uid=edsger))").await?.len() == 2)
    })
    .await
}

/// Waits until ada's entry, or its absence, is as wanted, and prints it.
async fn entry(slapd: &Slapd, what: &str, wanted: impl Fn(Option<&Entry>) -> bool) -> Result<Option<Entry>> {
    let found = wait::until(what, wait::SOON, async || {
        let found = slapd.entries("(uid=ada)").await?.into_iter().next();
        Ok(wanted(found.as_ref()).then_some(found))
    })
    .await?;
    match &found {
        Some(entry) => println!("  in the directory: {} · mail: {}", entry.dn, entry.text("mail")),
        None => println!("  in the directory: no such entry"),
    }
    Ok(found)
}

/// Waits until the user can, or cannot, bind with the password.
async fn binds(slapd: &Slapd, dn: &str, password: &str, wanted: bool) -> Result<()> {
    let what = if wanted { "ldapwhoami binds" } else { "ldapwhoami is refused" };
    wait::until_true(what, wait::SOON, async || Ok(slapd.binds(dn, password).await? == wanted)).await?;
    println!("  {what}: {dn}");
    Ok(())
}

/// Waits until nothing is under way.
async fn ended(line: &Line) -> Result<()> {
    wait::until_true("nothing is under way", wait::SOON, async || {
        let sent = line.api.get("/api/v1/reports/provisioning?state=sent").await?;
        Ok(sent["items"].as_array().is_some_and(Vec::is_empty))
    })
    .await
}

/// Runs a command of words without spaces.
fn post(line: &Line, words: &str) -> Result<String> {
    run(line, &words.split(' ').collect::<Vec<_>>())
}

/// Prints a command, runs it, and prints and returns what it prints.
fn run(line: &Line, words: &[&str]) -> Result<String> {
    let shown: Vec<String> =
        words.iter().map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() }).collect();
    println!("\n$ postern {}", shown.join(" "));
    let output = command(line).args(words).output().context("cannot start postern")?;
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{text}");
    ensure!(output.status.success(), "postern {words:?} ended with {}: {error}", output.status);
    Ok(text.into_owned())
}
