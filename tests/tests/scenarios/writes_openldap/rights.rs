//! What the diagnosis says of the rights to write.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Create, MemberChange, Move, NewPassword, Subject};
use postern_directory::{Check, CheckState, Directory};
use postern_tests::scenario;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::writing::{create, group, set, user};

use crate::writes_openldap::common::{PLACEHOLDER, id, operate, start};

async fn writing_step(directory: &Directory) -> Result<Check> {
    directory.check().await.into_iter().find(|check| check.name == "writing").context("no such step")
}

#[test]
fn rights_that_lack_are_named_and_nothing_is_changed_to_find_out() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let before = slapd.entries("(objectClass=*)").await?;
        let all = writing_step(&directory).await?;
        ensure!(all.state == CheckState::Passed && all.detail.contains("create users"), "{all:?}");
        ensure!(all.detail.contains("write pwdAccountLockedTime") && all.detail.contains("rename users"), "{all:?}");

        // Mail only, and nothing else.
        let writer = Slapd::reader_dn();
        let mail = format!("to attrs=mail by dn.exact=\"{writer}\" write by users read");
        slapd
            .set_access(&[&mail, "to attrs=userPassword by anonymous auth by * none", "to * by users read by * none"])
            .await?;
        let some = writing_step(&directory).await?;
        ensure!(some.state == CheckState::Warned, "{some:?}");
        for lacking in ["create users", "rename users", "write title", "write pwdAccountLockedTime", "write groups"] {
            ensure!(some.detail.contains(lacking), "{lacking}: {some:?}");
        }
        ensure!(!some.detail.contains("write mail"), "{some:?}");
        let cure = some.cure.context("no cure")?;
        ensure!(cure.contains("access to") && !cure.contains(SUFFIX), "{cure}");
        ensure!(slapd.entries("(objectClass=*)").await? == before, "the diagnosis has changed something");
        Ok(())
    })
}

/// The rules of access in docs/operations.md: those for writing, then those for reading.
fn handbook() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md"))?;
    let block = |start: &str| {
        let block = text.split("```").find(|block| block.trim_start().starts_with(start));
        block.map(|block| block.replace("cn=writer,", "cn=reader,")).context("the handbook has no such rules")
    };
    let writing = block("access to dn.subtree=\"ou=people,dc=corp,dc=example\" attrs=userPassword")?;
    let reading = block("limits dn.exact")?;
    let (_, reading) = reading.trim_start().split_once('\n').context("a limit and no rules")?;
    let rules = writing + reading;
    let rules = rules.split("access ").skip(1).map(|rule| rule.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(rules.collect())
}

#[test]
fn the_handbooks_rules_for_writing_are_enough() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, &format!("disable = 'ppolicy'\n{PLACEHOLDER}")).await?;
        let rules = handbook()?;
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        slapd.set_access(&rules).await?;
        let password = || NewPassword { password: "first password".to_owned().into(), must_change: false };
        let new =
            Create { password: Some(password()), ..create(&[("uid", &["anna"]), ("cn", &["A"]), ("sn", &["B"])]) };
        let anna =
            operate(&directory, user(Subject::default(), Change::Create(new))).await?.entry.context("no entry")?;
        let team = Create { members: vec![id(&anna)], ..create(&[("cn", &["team"])]) };
        let team =
            operate(&directory, group(Subject::default(), Change::Create(team))).await?.entry.context("no group")?;
        let leave = MemberChange { add: Vec::new(), remove: vec![id(&anna)] };
        let rename = Move { container: None, name: Some("bell".to_owned()) };
        for change in [
            Change::Update(vec![set("title", &["Doctor"])]),
            Change::Disable,
            Change::SetPassword(password()),
            Change::Enable,
            Change::Move(rename),
        ] {
            let what = format!("{change:?}");
            operate(&directory, user(id(&anna), change)).await.context(what)?;
        }
        operate(&directory, group(id(&team), Change::Members(leave))).await?;
        operate(&directory, group(id(&team), Change::Delete)).await?;
        operate(&directory, user(id(&anna), Change::Delete)).await?;
        let step = writing_step(&directory).await?;
        ensure!(step.state == CheckState::Passed, "{step:?}");
        Ok(())
    })
}
