//! Somebody else who writes at the same moment: between our reading of an entry and our write.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use postern_directory::write::{BothChanged, Change, Effect, Failure, MemberChange, Move, Subject};
use postern_directory::{Error, Switch};
use postern_tests::scenario;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::{self, Site, apply_at_once, create, from_to, group, openldap, set, user};

use crate::writes_openldap::common::{PLACEHOLDER, created, dn, id, operate, start};

fn edit(name: &str, value: &str) -> String {
    format!("dn: {}\nchangetype: modify\nreplace: {name}\n{name}: {value}\n", dn("anna"))
}

#[test]
fn an_edit_of_another_attribute_is_not_lost_and_one_of_the_same_is_seen() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        operate(&directory, user(id(&anna), Change::Update(vec![set("title", &["Doctor"])]))).await?;
        let site = Site::default().meanwhile(apply_at_once(&slapd, edit("mail", "a@corp.example")));
        directory.operate(&user(id(&anna), Change::Update(vec![set("title", &["Professor"])])), &site).await?;
        let entry = &slapd.entries("(uid=anna)").await?[0];
        ensure!((entry.text("title"), entry.text("mail")) == ("Professor".into(), "a@corp.example".into()));

        // The same attribute, with each rule. Samba would ignore an assertion control: the old value is the guard.
        for (rule, expected) in
            [(BothChanged::SourceWins, "wanted"), (BothChanged::TargetWins, "theirs"), (BothChanged::Refuse, "theirs")]
        {
            operate(&directory, user(id(&anna), Change::Update(vec![set("title", &["known"])]))).await?;
            let site = Site::default().meanwhile(apply_at_once(&slapd, edit("title", "theirs")));
            let change = Change::Update(vec![from_to("title", &["known"], &["wanted"], rule)]);
            let answer = directory.operate(&user(id(&anna), change), &site).await;
            let asked = site.asked();
            ensure!(asked.len() == 2 && !asked[0].again && asked[1].again, "{asked:?}");
            match (rule, answer) {
                (BothChanged::SourceWins, Ok(done)) => {
                    ensure!(done.overwritten[0].found == Some(writing::values(&["theirs"])), "{done:?}");
                }
                (BothChanged::TargetWins, Ok(done)) => {
                    ensure!(done.kept[0].found == Some(writing::values(&["theirs"])), "{done:?}");
                    ensure!(done.effect == Effect::AlreadySo);
                }
                (BothChanged::Refuse, Err(Error::Write(Failure::BothChanged { .. }))) => {}
                (_, answer) => anyhow::bail!("{rule:?}: {answer:?}"),
            }
            ensure!(slapd.entries("(uid=anna)").await?[0].text("title") == expected, "{rule:?}");
        }
        Ok(())
    })
}

#[test]
fn an_entry_that_was_moved_or_deleted_meanwhile_is_found_or_proven_gone() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        slapd.apply(format!("dn: ou=Sales,ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: Sales\n")).await?;
        let anna = created(&directory, "anna").await?;
        let away = format!(
            "dn: {}\nchangetype: modrdn\nnewrdn: uid=bell\ndeleteoldrdn: 1\nnewsuperior: ou=Sales,ou=people,{SUFFIX}\n",
            dn("anna")
        );
        let site = Site::default().meanwhile(apply_at_once(&slapd, away));
        let change = Change::Move(Move { container: None, name: Some("anna.bell".to_owned()) });
        let moved = directory.operate(&user(id(&anna), change), &site).await?;
        ensure!(moved.entry.context("no entry")?.dn == format!("uid=anna.bell,ou=Sales,ou=people,{SUFFIX}"));

        let gone = format!("dn: uid=anna.bell,ou=Sales,ou=people,{SUFFIX}\nchangetype: delete\n");
        let site = Site::default().meanwhile(apply_at_once(&slapd, gone));
        let deleted = directory.operate(&user(id(&anna), Change::Delete), &site).await?;
        ensure!(deleted.effect == Effect::AlreadySo, "somebody else has deleted it: {deleted:?}");
        Ok(())
    })
}

#[test]
fn a_switch_that_was_turned_meanwhile_is_left_as_it_is_wanted() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "disable = 'ppolicy'").await?;
        let anna = created(&directory, "anna").await?;
        let site = Site::default().meanwhile(apply_at_once(&slapd, edit("pwdAccountLockedTime", "000001010000Z")));
        let off = directory.operate(&user(id(&anna), Change::Disable), &site).await?;
        ensure!(off.entry.context("no entry")?.switch == Switch::Off && off.effect == Effect::AlreadySo);
        Ok(())
    })
}

#[test]
fn a_member_who_came_meanwhile_does_not_stop_the_others() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, PLACEHOLDER).await?;
        let (anna, ben) = (created(&directory, "anna").await?, created(&directory, "ben").await?);
        let team = format!("cn=team,ou=groups,{SUFFIX}");
        slapd.apply(format!("dn: {team}\nobjectClass: groupOfNames\ncn: team\nmember: cn=nobody,{SUFFIX}\n")).await?;
        let add = format!("dn: {team}\nchangetype: modify\nadd: member\nmember: {}\n", dn("anna"));
        let site = Site::default().meanwhile(apply_at_once(&slapd, add));
        let change = Change::Members(MemberChange { add: vec![id(&anna), id(&ben)], remove: Vec::new() });
        let subject = Subject::dn(&team);
        let done = directory.operate(&group(subject, change), &site).await?;
        ensure!(done.members_added == 1 && done.refused_members.is_empty(), "{done:?}");
        ensure!(slapd.operational(&team).await?.values("member").len() == 2);
        Ok(())
    })
}

#[test]
fn a_membership_that_an_overlay_writes_meanwhile_is_no_reason_to_read_again() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, PLACEHOLDER).await?;
        let anna = created(&directory, "anna").await?;
        created(&directory, "ben").await?;
        let state = async |name: &str| {
            let entry = slapd.operational(name).await?;
            anyhow::Ok((entry.text("entryCSN"), entry.values("memberOf").len()))
        };
        let (before, _) = state(&dn("anna")).await?;
        // The overlay memberof writes the entry, and leaves its version as it is.
        let team = format!("cn=team,ou=groups,{SUFFIX}");
        let join =
            format!("dn: {team}\nobjectClass: groupOfNames\ncn: team\nmember: {}\nmember: {}\n", dn("anna"), dn("ben"));
        let site = Site::default().meanwhile(apply_at_once(&slapd, join));
        let change = Change::Update(vec![from_to("title", &[], &["Doctor"], BothChanged::Refuse)]);
        let done = directory.operate(&user(id(&anna), change), &site).await?;
        ensure!(done.effect == Effect::Changed && site.asked().len() == 1, "{:?}", site.asked());
        ensure!(slapd.entries("(uid=anna)").await?[0].text("title") == "Doctor");
        let (after, groups) = state(&dn("anna")).await?;
        ensure!(groups == 1 && after != before, "it is our change that gives it a new version");
        // The overlay refint writes the group when a member leaves, while another change of the group is under way.
        let (before, _) = state(&team).await?;
        let gone = format!("dn: {}\nchangetype: delete\n", dn("ben"));
        let site = Site::default().meanwhile(apply_at_once(&slapd, gone));
        let change = Change::Update(vec![from_to("description", &[], &["Ours"], BothChanged::Refuse)]);
        let subject = Subject::dn(&team);
        directory.operate(&group(subject, change), &site).await?;
        ensure!(site.asked().len() == 1, "{:?}", site.asked());
        let (after, _) = state(&team).await?;
        let entry = slapd.operational(&team).await?;
        ensure!(entry.values("member").len() == 1 && entry.text("description") == "Ours" && after != before);
        Ok(())
    })
}

#[test]
fn of_several_who_take_one_name_at_once_one_gets_it_and_the_others_hear_which() -> Result<()> {
    scenario(async |stage| {
        // The overlay keeps logins unique, and entries are named by something else.
        let options = slapd::Options {
            statements: true,
            database_lines: format!("overlay unique\nunique_uri ldap:///ou=people,{SUFFIX}?uid?sub\n"),
            ..slapd::Options::people(5)
        };
        let slapd = Slapd::start(stage, options).await?;
        let directory = openldap(stage, &slapd, "user_rdn_attribute = 'cn'").await?;
        for round in 0..5 {
            let uid = format!("login{round}");
            let operations: Vec<_> = (0..4)
                .map(|number| {
                    let name = format!("Login {round} {number}");
                    let new = create(&[("uid", &[&uid]), ("cn", &[&name]), ("sn", &["Bell"]), ("title", &["Doctor"])]);
                    user(Subject::default(), Change::Create(new))
                })
                .collect();
            let site = Site::default();
            let answers = join_all(operations.iter().map(|operation| directory.operate(operation, &site))).await;
            let made = answers.iter().filter(|answer| answer.is_ok()).count();
            let taken = answers
                .iter()
                .filter(|answer| matches!(answer, Err(Error::Write(Failure::Taken { what })) if what == "uid"))
                .count();
            ensure!((made, taken) == (1, 3), "{answers:?}");
            ensure!(slapd.entries(&format!("(uid={uid})")).await?.len() == 1);
        }
        // The server's own rule has decided, and nothing was tried again with fewer values.
        let log = slapd.process().context("slapd does not run")?.log();
        let refused = log.lines().filter(|line| line.contains("tag=105 err=19")).count();
        ensure!((1..=15).contains(&refused), "{refused} additions met the rule");
        Ok(())
    })
}
