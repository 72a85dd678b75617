//! What an administrator is told beforehand, with the entries as the directory has them.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use postern_agent::policy::explain::{self, Decision};
use postern_tests::agent::DirectorySettings;
use postern_tests::binaries::Binaries;
use postern_tests::certificates::write_private;
use postern_tests::process::Launch;
use postern_tests::scenario;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::{configured, writer_access, written};
use serde_json::{Value, json};

use crate::site_policy::tree::{policy, tree};

#[test]
fn what_would_be_decided_is_known_beforehand_and_nothing_is_written() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { overlays: true, statements: true, ..slapd::Options::people(3) };
        let server = Slapd::start(stage, options).await?;
        let rules = writer_access();
        server.set_access(&[&rules[0], &rules[1]]).await?;
        server.apply(tree()).await?;
        let settings = DirectorySettings::slapd("corp", &server, stage.path())?;
        let directory = configured(&(toml::to_string(&settings)? + &policy()))?;
        let before = written(&server).len();
        let entry = |dn: &str| json!({ "dn": format!("{dn},ou=people,{SUFFIX}") });
        let mail = json!({ "update": { "mail": ["a@corp.example"] } });
        let user = |dn: &str, change: &Value| json!({ "entry_kind": "user", "entry": entry(dn), "change": change });
        let team = json!({ "dn": format!("cn=team,ou=groups,{SUFFIX}") });
        let joins = |dn: &str| {
            let change = json!({ "members": { "add": [entry(dn)] } });
            json!({ "entry_kind": "group", "entry": team, "change": change })
        };
        for (operation, decision, rule) in [
            (user("uid=anna,ou=staff", &mail), Decision::Allowed, None),
            (user("uid=nested,ou=staff", &mail), Decision::Denied, Some("protected_groups")),
            (user("uid=outside", &mail), Decision::Denied, Some("writable_containers")),
            (user("uid=anna,ou=staff", &json!("unlock")), Decision::Denied, Some("operations")),
            (user("uid=nobody,ou=staff", &mail), Decision::Unknown, None),
            (joins("uid=bert,ou=staff"), Decision::Allowed, None),
            (joins("uid=nested,ou=staff"), Decision::Denied, Some("protected_groups")),
        ] {
            let asked = serde_json::from_value(operation.clone())?;
            let found = explain::online(directory.config(), &directory, &asked).await;
            ensure!((found.decision, found.rule.as_deref()) == (decision, rule), "{operation}: {found:?}");
        }
        ensure!(written(&server).len() == before, "something was written");
        Ok(())
    })
}

/// What the site allows, in the agent's own file. Nothing listens there, and nobody looks.
const CONFIGURATION: &str = r#"
[[directory]]
name = "corp"
urls = ["ldaps://localhost:1"]
bind_dn = "cn=writer,dc=corp,dc=example"
bind_password = "secret"
[directory.users]
base_dns = ["ou=people,dc=corp,dc=example"]
unique_attribute = "uid"
attributes = ["uid", "mail"]
[directory.write]
[directory.policy]
read_only = false
operations = ["update", "delete"]
writable_containers = ["ou=people,dc=corp,dc=example"]
writable_attributes = ["mail"]
"#;

#[test]
fn the_program_reads_a_file_or_its_input_and_says_by_its_exit_code_what_was_decided() -> Result<()> {
    scenario(async |stage| {
        let configuration = stage.path().join("agent.toml");
        write_private(&configuration, CONFIGURATION.as_bytes())?;
        let program = Binaries::beside_this_program()?.agent;
        let explain = |operation: &str| {
            let launch = Launch::new("explain", &program).args(["policy", "explain", operation, "--config"]);
            launch.arg(&configuration).arg("--state-dir").arg(stage.path())
        };
        let dn = "uid=anna,ou=people,dc=corp,dc=example";
        let asked =
            |change: Value| json!({ "entry_kind": "user", "entry": { "dn": dn }, "change": change }).to_string();
        let mail = asked(json!({ "update": { "mail": ["a@corp.example"] } }));
        let said = |output: Output| {
            let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            (output.status.code(), text.concat())
        };

        // From a file.
        let file = stage.path().join("operation.json");
        let name = file.to_str().context("no text")?;
        std::fs::write(&file, &mail)?;
        let (code, text) = said(explain(name).output().await?);
        ensure!(code == Some(0) && text.starts_with("allowed: "), "{code:?} {text}");
        ensure!(text.contains(&format!("entry: {dn}")), "{text}");
        // From its input.
        let (code, text) = said(explain("-").input(mail.clone()).output().await?);
        ensure!(code == Some(0) && text.starts_with("allowed: "), "{code:?} {text}");
        for (change, rule) in
            [(json!({ "update": { "sn": ["Bell"] } }), "writable_attributes"), (json!("disable"), "operations")]
        {
            let (code, text) = said(explain("-").input(asked(change.clone())).output().await?);
            ensure!(code == Some(1) && text.starts_with(&format!("denied by {rule}: ")), "{change}: {code:?} {text}");
            let (code, text) = said(explain("-").arg("--json").input(asked(change)).output().await?);
            let found: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
            ensure!(code == Some(1) && found["decision"] == "denied" && found["rule"] == rule, "{found:#}");
        }
        // It cannot be read, means nothing here, or cannot be looked at.
        let unknown = json!({ "directory": "other", "entry_kind": "user", "change": "delete" }).to_string();
        for (input, says) in [("{", "this is not an operation"), (unknown.as_str(), "no directory named \"other\"")] {
            let (code, text) = said(explain("-").input(input).output().await?);
            ensure!(code != Some(0) && text.contains(says), "{code:?} {text}");
        }
        let missing = stage.path().join("missing.json");
        let (code, text) = said(explain(missing.to_str().context("no text")?).output().await?);
        ensure!(code != Some(0) && text.contains("cannot read") && text.contains("missing.json"), "{code:?} {text}");
        let (code, text) = said(explain("-").arg("--online").input(mail).output().await?);
        ensure!(code == Some(1) && text.starts_with("unknown"), "nobody listens there: {code:?} {text}");
        Ok(())
    })
}
