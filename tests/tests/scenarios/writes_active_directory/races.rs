//! Somebody else who writes to Active Directory at the same moment: between our reading of an entry and our write.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use postern_directory::write::{BothChanged, Change, Create, Effect, Failure, MemberChange, Subject};
use postern_directory::{Error, Switch};
use postern_tests::scenario;
use postern_tests::writing::{Site, apply_to_domain_at_once, create, from_to, group, set, user, values};

use crate::writes_active_directory::common::{created, id, operate, person, start, value};

fn edit(dn: &str, name: &str, text: &str) -> String {
    format!("dn: {dn}\nchangetype: modify\nreplace: {name}\n{name}: {text}\n")
}

#[test]
fn the_same_attribute_is_settled_by_the_rule_and_another_one_is_not_touched() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let update = |change| user(id(&anna), Change::Update(vec![change]));
        let site =
            Site::default().meanwhile(apply_to_domain_at_once(&samba, edit(&anna.dn, "description", "by somebody")));
        directory.operate(&update(set("title", &["Doctor"])), &site).await?;
        ensure!(site.asked().len() == 1, "another attribute is no reason to read again: {:?}", site.asked());
        ensure!(value(&samba, "anna", "description").await? == "by somebody");
        ensure!(value(&samba, "anna", "title").await? == "Doctor");
        for (rule, expected) in
            [(BothChanged::SourceWins, "wanted"), (BothChanged::TargetWins, "theirs"), (BothChanged::Refuse, "theirs")]
        {
            operate(&directory, update(set("title", &["known"]))).await?;
            let site = Site::default().meanwhile(apply_to_domain_at_once(&samba, edit(&anna.dn, "title", "theirs")));
            let answer = directory.operate(&update(from_to("title", &["known"], &["wanted"], rule)), &site).await;
            let asked = site.asked();
            ensure!(asked.len() == 2 && !asked[0].again && asked[1].again, "{rule:?}: {asked:?}");
            match (rule, answer) {
                (BothChanged::SourceWins, Ok(done)) => {
                    ensure!(done.overwritten[0].found == Some(values(&["theirs"])), "{done:?}");
                }
                (BothChanged::TargetWins, Ok(done)) => {
                    ensure!(done.kept[0].found == Some(values(&["theirs"])), "{done:?}");
                    ensure!(done.effect == Effect::AlreadySo);
                }
                (BothChanged::Refuse, Err(Error::Write(Failure::BothChanged { .. }))) => {}
                (_, answer) => anyhow::bail!("{rule:?}: {answer:?}"),
            }
            ensure!(value(&samba, "anna", "title").await? == expected, "{rule:?}");
        }
        Ok(())
    })
}

#[test]
fn a_bit_that_somebody_flips_meanwhile_stays_flipped() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        // The password never expires.
        let site =
            Site::default().meanwhile(apply_to_domain_at_once(&samba, edit(&anna.dn, "userAccountControl", "66048")));
        let off = directory.operate(&user(id(&anna), Change::Disable), &site).await?;
        ensure!(off.effect == Effect::Changed && off.entry.context("no entry")?.switch == Switch::Off);
        ensure!(site.asked().len() == 2, "{:?}", site.asked());
        ensure!(value(&samba, "anna", "userAccountControl").await? == "66050");
        // The one that is wanted: nothing is left to do.
        let site =
            Site::default().meanwhile(apply_to_domain_at_once(&samba, edit(&anna.dn, "userAccountControl", "512")));
        let on = directory.operate(&user(id(&anna), Change::Enable), &site).await?;
        ensure!(on.effect == Effect::AlreadySo && on.entry.context("no entry")?.switch == Switch::On);
        ensure!(value(&samba, "anna", "userAccountControl").await? == "512", "their other change is not undone");
        Ok(())
    })
}

#[test]
fn a_member_who_came_or_left_meanwhile_does_not_stop_the_others() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let mut people = Vec::new();
        for login in ["anna", "ben", "cora"] {
            people.push(created(&directory, login).await?);
        }
        let [anna, ben, cora] = [0, 1, 2].map(|place| id(&people[place]));
        let team = operate(&directory, group(Subject::default(), Change::Create(create(&[("cn", &["team"])])))).await?;
        let team = team.entry.context("no group")?;
        let by_somebody = |verb: &str| {
            let dn = &people[0].dn;
            apply_to_domain_at_once(
                &samba,
                format!("dn: {}\nchangetype: modify\n{verb}: member\nmember: {dn}\n", team.dn),
            )
        };
        let members = async || {
            let found = samba.entries("(cn=team)", &["member"]).await?;
            let mut names: Vec<String> =
                found[0].values("member").iter().map(|dn| String::from_utf8_lossy(dn).into_owned()).collect();
            names.sort();
            anyhow::Ok(names)
        };
        let change = |add: &[Subject], remove: &[Subject]| {
            let change = MemberChange { add: add.to_vec(), remove: remove.to_vec() };
            group(id(&team), Change::Members(change))
        };
        let site = Site::default().meanwhile(by_somebody("add"));
        let done = directory.operate(&change(&[anna.clone(), ben.clone()], &[]), &site).await?;
        ensure!(done.members_added == 1 && done.refused_members.is_empty(), "{done:?}");
        ensure!(members().await? == [people[0].dn.clone(), people[1].dn.clone()]);
        // One leaves while she is removed and somebody else joins.
        let site = Site::default().meanwhile(by_somebody("delete"));
        let done = directory.operate(&change(&[cora], &[anna.clone(), ben]), &site).await?;
        ensure!((done.members_added, done.members_removed) == (1, 1), "{done:?}");
        ensure!(done.refused_members.is_empty() && members().await? == [people[2].dn.clone()], "{done:?}");
        // The last one: Samba answers otherwise where the group has become empty.
        operate(&directory, change(std::slice::from_ref(&anna), &[id(&people[2])])).await?;
        let site = Site::default().meanwhile(by_somebody("delete"));
        let done = directory.operate(&change(&[], &[anna]), &site).await?;
        ensure!(done.members_removed == 0 && done.refused_members.is_empty(), "{done:?}");
        ensure!(members().await?.is_empty());
        Ok(())
    })
}

#[test]
fn of_several_who_take_one_name_at_once_one_gets_it_and_the_others_hear_which() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        // Each searches before any of them adds, so that the server's own rule decides.
        let all_at_once = async |of: &dyn Fn(usize) -> Create| {
            let operations: Vec<_> =
                (0..4).map(|number| user(Subject::default(), Change::Create(of(number)))).collect();
            let site = Site::default();
            join_all(operations.iter().map(|operation| directory.operate(operation, &site))).await
        };
        for round in 0..5 {
            let login = format!("login{round}");
            let same_login =
                |number: usize| create(&[("sAMAccountName", &[&login]), ("cn", &[&format!("Login {round} {number}")])]);
            let same_login = |number| Create { enabled: false, ..same_login(number) };
            only_one(&all_at_once(&same_login).await, "sAMAccountName")?;
            ensure!(samba.entries(&format!("(sAMAccountName={login})"), &["cn"]).await?.len() == 1);
            let principal = format!("principal{round}@corp.example");
            let same_principal = |number: usize| {
                let mut new = person(&format!("own{round}.{number}"));
                new.attributes.push(("userPrincipalName".to_owned(), vec![Bytes::from(principal.clone())]));
                new
            };
            only_one(&all_at_once(&same_principal).await, "userPrincipalName")?;
            ensure!(samba.entries(&format!("(userPrincipalName={principal})"), &["cn"]).await?.len() == 1);
        }
        Ok(())
    })
}

fn only_one(answers: &[Result<postern_directory::write::Done, Error>], attribute: &str) -> Result<()> {
    let made = answers.iter().filter(|answer| matches!(answer, Ok(done) if done.effect == Effect::Created)).count();
    let is_taken =
        |answer: &&Result<_, Error>| matches!(answer, Err(Error::Write(Failure::Taken { what })) if what == attribute);
    let taken = answers.iter().filter(is_taken).count();
    ensure!((made, taken) == (1, answers.len() - 1), "{attribute}: {answers:?}");
    Ok(())
}
