//! What an administrator is told beforehand, with the entries as the directory has them.

use anyhow::{Result, ensure};
use postern_agent::policy::explain::{self, Decision};
use postern_tests::agent::DirectorySettings;
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
