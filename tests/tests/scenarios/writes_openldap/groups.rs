//! Groups and their members.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Create, Effect, Failure, MemberChange, Subject};
use postern_directory::{Directory, Entry};
use postern_tests::scenario;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::writing::{self, Site, create, group, user};

use crate::writes_openldap::common::{PLACEHOLDER, created, dn, fails, id, operate, start};

fn change(add: &[Subject], remove: &[Subject]) -> Change {
    Change::Members(MemberChange { add: add.to_vec(), remove: remove.to_vec() })
}

async fn team(directory: &Directory, members: &[Subject]) -> Result<Entry> {
    let new = Create { members: members.to_vec(), ..create(&[("cn", &["team"])]) };
    operate(directory, group(Subject::default(), Change::Create(new))).await?.entry.context("no group")
}

async fn members(slapd: &Slapd) -> Result<Vec<String>> {
    let entry = slapd.operational(&format!("cn=team,ou=groups,{SUFFIX}")).await?;
    let mut members: Vec<String> =
        entry.values("member").iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    members.sort();
    Ok(members)
}

#[test]
fn members_come_and_go_as_differences_and_the_group_is_never_empty() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, PLACEHOLDER).await?;
        let nobody = format!("cn=nobody,{SUFFIX}");
        let (anna, ben) = (created(&directory, "anna").await?, created(&directory, "ben").await?);
        let team = team(&directory, &[]).await?;
        ensure!(members(&slapd).await? == std::slice::from_ref(&nobody));
        let site = Site::default();
        // Twice in two spellings: it is sent once.
        let odd = Subject::dn(dn("anna").to_uppercase());
        let added = directory.operate(&group(id(&team), change(&[id(&anna), odd, id(&ben)], &[])), &site).await?;
        ensure!(added.members_added == 2 && added.effect == Effect::Changed, "{added:?}");
        ensure!(members(&slapd).await? == [dn("anna"), dn("ben")], "the placeholder goes when somebody comes");
        let asked = site.last().context("not asked")?;
        ensure!(asked.groups == [team.dn.clone()] && asked.members == [dn("anna"), dn("ben")], "{asked:?}");

        let sent = writing::written(&slapd).len();
        let again = operate(&directory, group(id(&team), change(&[id(&anna), id(&ben)], &[]))).await?;
        ensure!(again.effect == Effect::AlreadySo && writing::written(&slapd).len() == sent);
        let removed = operate(&directory, group(id(&team), change(&[], &[id(&anna), id(&ben)]))).await?;
        ensure!(removed.members_removed == 2 && members(&slapd).await? == [nobody], "{removed:?}");
        let nobody_is_removed = operate(&directory, group(id(&team), change(&[], &[id(&anna)]))).await?;
        ensure!(nobody_is_removed.effect == Effect::AlreadySo);
        let stranger = operate(&directory, group(id(&team), change(&[Subject::id("no-such"), id(&anna)], &[]))).await?;
        ensure!(stranger.unknown_members == ["no-such"] && members(&slapd).await? == [dn("anna")], "{stranger:?}");
        Ok(())
    })
}

#[test]
fn the_last_member_stays_where_no_placeholder_is_configured() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        let none = fails(&directory, group(Subject::default(), Change::Create(create(&[("cn", &["team"])])))).await?;
        ensure!(matches!(none, Failure::Setting { key: "placeholder_member", .. }), "{none:?}");
        let team = team(&directory, &[id(&anna)]).await?;
        let last = fails(&directory, group(id(&team), change(&[], &[id(&anna)]))).await?;
        ensure!(matches!(last, Failure::Setting { key: "placeholder_member", .. }), "{last:?}");
        let deleted = fails(&directory, user(id(&anna), Change::Delete)).await?;
        ensure!(matches!(deleted, Failure::Setting { key: "placeholder_member", .. }), "{deleted:?}");
        ensure!(members(&slapd).await? == [dn("anna")] && slapd.entries("(uid=anna)").await?.len() == 1);
        Ok(())
    })
}

#[test]
fn a_deleted_user_leaves_no_name_behind_in_any_group() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, PLACEHOLDER).await?;
        let (anna, ben) = (created(&directory, "anna").await?, created(&directory, "ben").await?);
        team(&directory, &[id(&anna)]).await?;
        let big = Create { members: vec![id(&anna), id(&ben)], ..create(&[("cn", &["big"])]) };
        operate(&directory, group(Subject::default(), Change::Create(big))).await?;
        slapd
            .apply(format!("dn: cn=unix,ou=groups,{SUFFIX}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 5\nmemberUid: anna\nmemberUid: ben\n"))
            .await?;
        let site = Site::default();
        directory.operate(&user(id(&anna), Change::Delete), &site).await?;
        let mut asked = site.last().context("not asked")?.groups;
        asked.sort();
        ensure!(asked == ["big", "team", "unix"].map(|name| format!("cn={name},ou=groups,{SUFFIX}")), "{asked:?}");
        ensure!(members(&slapd).await? == [format!("cn=nobody,{SUFFIX}")]);
        ensure!(slapd.entries(&format!("(member={})", dn("anna"))).await?.is_empty());
        ensure!(slapd.entries("(memberUid=anna)").await?.is_empty());
        Ok(())
    })
}

#[test]
fn unix_groups_list_logins() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "group_object_classes = ['posixGroup']").await?;
        let anna = created(&directory, "anna").await?;
        let new = create(&[("cn", &["unix"]), ("gidNumber", &["0500"])]);
        let unix = operate(&directory, group(Subject::default(), Change::Create(new))).await;
        // An import of this configuration reads groups of names only, so that the entry is not in scope.
        let unix = unix?;
        ensure!(!unix.in_scope, "{unix:?}");
        let unix = Subject::dn(format!("cn=unix,ou=groups,{SUFFIX}"));
        let added = operate(&directory, group(unix.clone(), change(&[id(&anna)], &[]))).await?;
        ensure!(added.members_added == 1);
        let entry = slapd.operational(&format!("cn=unix,ou=groups,{SUFFIX}")).await?;
        ensure!((entry.text("memberUid"), entry.text("gidNumber")) == ("anna".into(), "500".into()), "{entry:?}");
        operate(&directory, group(unix, change(&[], &[id(&anna)]))).await?;
        ensure!(slapd.entries("(memberUid=anna)").await?.is_empty(), "a unix group may be empty");
        Ok(())
    })
}

#[test]
fn thousands_of_members_go_in_several_requests_and_can_be_repeated() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, PLACEHOLDER).await?;
        let person = |number: u32| {
            format!(
                "dn: uid=p{number},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: p{number}\ncn: p\nsn: p\n\n"
            )
        };
        let people: Vec<String> = (0..1_200).map(person).collect();
        let people = people.concat();
        slapd.apply(people).await?;
        let team = team(&directory, &[]).await?;
        let all: Vec<Subject> = (0..1_200).map(|number| Subject::dn(dn(&format!("p{number}")))).collect();
        operate(&directory, group(id(&team), change(&all[..100], &[]))).await?;
        let before = writing::written(&slapd).len();
        let added = operate(&directory, group(id(&team), change(&all, &[]))).await?;
        ensure!(added.members_added == 1_100 && members(&slapd).await?.len() == 1_200, "{added:?}");
        let requests = writing::written(&slapd).iter().skip(before).filter(|line| line.contains("MOD dn=")).count();
        ensure!(requests == 3, "{requests} requests");
        let gone = operate(&directory, group(id(&team), change(&[], &all))).await?;
        ensure!(gone.members_removed == 1_200 && members(&slapd).await? == [format!("cn=nobody,{SUFFIX}")], "{gone:?}");
        Ok(())
    })
}

#[test]
fn membership_through_other_groups_is_found_for_the_site() -> Result<()> {
    scenario(async |stage| {
        let (_slapd, directory) = start(stage, PLACEHOLDER).await?;
        let anna = created(&directory, "anna").await?;
        let inner = team(&directory, &[id(&anna)]).await?;
        let outer = Create { members: vec![id(&inner)], ..create(&[("cn", &["admins"])]) };
        operate(&directory, group(Subject::default(), Change::Create(outer))).await?;
        let admins = format!("CN=Admins, ou=groups,{SUFFIX}");
        let site = Site::protecting(&admins)?;
        for operation in [user(id(&anna), Change::Unlock), group(id(&inner), change(&[id(&anna)], &[]))] {
            directory.operate(&operation, &site).await?;
            let found = site.last().and_then(|asked| asked.facts.protected_group).context("not found")?;
            ensure!(found.to_string().to_lowercase().contains("admins"));
        }
        let stranger = created(&directory, "ben").await?;
        directory.operate(&user(id(&stranger), Change::Unlock), &site).await?;
        ensure!(site.last().context("not asked")?.facts.protected_group.is_none());
        // Members of another group are looked up too, by whom they are and not by how many they are.
        let other = Create { members: vec![id(&stranger)], ..create(&[("cn", &["other"])]) };
        let other =
            operate(&directory, group(Subject::default(), Change::Create(other))).await?.entry.context("none")?;
        for (members, protected) in [(vec![id(&stranger)], false), (vec![id(&stranger), id(&anna)], true)] {
            directory.operate(&group(id(&other), change(&members, &[])), &site).await?;
            ensure!(site.last().context("not asked")?.members_group.is_some() == protected, "{members:?}");
        }
        let leaves = group(id(&other), change(&[], &[id(&anna)]));
        directory.operate(&leaves, &site).await?;
        ensure!(site.last().context("not asked")?.members_group.is_some(), "who leaves counts too");
        Ok(())
    })
}

#[test]
fn two_members_whose_names_rfc_4518_compares_as_equal_are_two() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, PLACEHOLDER).await?;
        let (one, other) = (created(&directory, "strasse").await?, created(&directory, "stra\u{df}e").await?);
        let team = team(&directory, &[]).await?;
        let added = operate(&directory, group(id(&team), change(&[id(&one), id(&other)], &[]))).await?;
        ensure!(added.members_added == 2 && members(&slapd).await?.len() == 2, "{added:?}");
        Ok(())
    })
}

#[test]
fn a_member_whom_somebody_has_renamed_leaves_by_either_name() -> Result<()> {
    scenario(async |stage| {
        // Without the overlays the group keeps the old name; an administrator may have added the new one.
        let options = postern_tests::slapd::Options { statements: true, ..postern_tests::slapd::Options::people(5) };
        let slapd = Slapd::start(stage, options).await?;
        let directory = writing::openldap(stage, &slapd, PLACEHOLDER).await?;
        let (anna, ben) = (created(&directory, "anna").await?, created(&directory, "ben").await?);
        let team = team(&directory, &[id(&anna), id(&ben)]).await?;
        let rename = |from: &str, to: &str| {
            let before = dn(from);
            slapd.apply(format!("dn: {before}\nchangetype: modrdn\nnewrdn: uid={to}\ndeleteoldrdn: 1\n"))
        };
        rename("anna", "anne").await?;
        operate(&directory, group(id(&team), change(&[id(&anna)], &[]))).await?;
        ensure!(members(&slapd).await? == [dn("anna"), dn("anne"), dn("ben")]);
        let known =
            |entry: &Entry| Subject { external_id: Some(entry.external_id.clone()), dn: Some(entry.dn.clone()) };
        let removed = operate(&directory, group(id(&team), change(&[], &[known(&anna)]))).await?;
        ensure!(removed.members_removed == 2 && members(&slapd).await? == [dn("ben")], "{removed:?}");
        // Somebody else has the old name by now: that one stays.
        rename("ben", "bert").await?;
        let other = created(&directory, "ben").await?;
        operate(&directory, group(id(&team), change(&[id(&other), id(&ben)], &[]))).await?;
        ensure!(members(&slapd).await? == [dn("ben"), dn("bert")]);
        operate(&directory, group(id(&team), change(&[], &[known(&ben)]))).await?;
        ensure!(members(&slapd).await? == [dn("ben")], "a new person lost a membership");
        Ok(())
    })
}

#[test]
fn a_deletion_that_stopped_halfway_is_finished_but_not_for_who_has_the_name_now() -> Result<()> {
    scenario(async |stage| {
        // Without the overlays nobody but us follows a deletion.
        let options = postern_tests::slapd::Options { statements: true, ..postern_tests::slapd::Options::people(5) };
        let slapd = Slapd::start(stage, options).await?;
        let directory = writing::openldap(stage, &slapd, PLACEHOLDER).await?;
        let anna = created(&directory, "anna").await?;
        team(&directory, &[id(&anna)]).await?;
        slapd.delete(&dn("anna")).await?;
        ensure!(members(&slapd).await? == [dn("anna")], "the name of nobody");
        let subject = || Subject { external_id: Some(anna.external_id.clone()), dn: Some(anna.dn.clone()) };
        let site = Site::default();
        let again = directory.operate(&user(subject(), Change::Delete), &site).await?;
        ensure!(again.effect == Effect::AlreadySo && members(&slapd).await? == [format!("cn=nobody,{SUFFIX}")]);
        ensure!(site.last().context("not asked")?.groups == [format!("cn=team,ou=groups,{SUFFIX}")]);

        let other = created(&directory, "anna").await?;
        let team = Subject::dn(format!("cn=team,ou=groups,{SUFFIX}"));
        operate(&directory, group(team, change(&[id(&other)], &[]))).await?;
        operate(&directory, user(subject(), Change::Delete)).await?;
        ensure!(members(&slapd).await? == [dn("anna")], "a new person lost a membership");
        Ok(())
    })
}
