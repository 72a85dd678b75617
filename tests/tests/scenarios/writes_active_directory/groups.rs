//! Groups of Active Directory, their members, and primary groups.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Effect, MemberChange, Subject};
use postern_tests::samba::Samba;
use postern_tests::scenario;
use postern_tests::writing::{Site, create, group, user};

use crate::writes_active_directory::common::{created, fails, id, operate, start};

fn change(add: &[Subject], remove: &[Subject]) -> Change {
    Change::Members(MemberChange { add: add.to_vec(), remove: remove.to_vec() })
}

#[test]
fn members_come_and_go_once_each() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let (anna, ben) = (created(&directory, "anna").await?, created(&directory, "ben").await?);
        let team = operate(&directory, group(Subject::default(), Change::Create(create(&[("cn", &["team"])])))).await?;
        let team = team.entry.context("no group")?;
        ensure!(samba.entries("(cn=team)", &["sAMAccountName"]).await?[0].text("sAMAccountName") == "team");
        let members =
            async || Ok::<_, anyhow::Error>(samba.entries("(cn=team)", &["member"]).await?[0].values("member").len());
        let twice = Subject::dn(format!("cn=anna, {}", Samba::staff_dn().to_lowercase()));
        let added = operate(&directory, group(id(&team), change(&[id(&anna), twice, id(&ben)], &[]))).await?;
        ensure!(added.members_added == 2 && members().await? == 2, "{added:?}");
        let again = operate(&directory, group(id(&team), change(&[id(&anna)], &[]))).await?;
        ensure!(again.effect == Effect::AlreadySo);
        let gone = operate(&directory, group(id(&team), change(&[], &[id(&anna), id(&ben)]))).await?;
        ensure!(gone.members_removed == 2 && members().await? == 0, "{gone:?}");
        ensure!(operate(&directory, group(id(&team), change(&[], &[id(&anna)]))).await?.effect == Effect::AlreadySo);
        let deleted = operate(&directory, group(id(&team), Change::Delete)).await?;
        ensure!(deleted.effect == Effect::Deleted && samba.entries("(cn=team)", &["cn"]).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_group_of_thousands_gets_and_loses_one() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let everyone = Subject::dn(format!("CN=everyone,{}", Samba::staff_dn()));
        let people: Vec<Subject> =
            (0..700).map(|number| Subject::dn(format!("CN=Person {number},{}", Samba::staff_dn()))).collect();
        let same = operate(&directory, group(everyone.clone(), change(&people, &[]))).await?;
        ensure!(same.effect == Effect::AlreadySo, "{same:?}");
        let added = operate(&directory, group(everyone.clone(), change(&[id(&anna)], &[]))).await?;
        ensure!(added.members_added == 1);
        let removed = operate(&directory, group(everyone, change(&[], &[id(&anna)]))).await?;
        ensure!(removed.members_removed == 1);
        ensure!(samba.entries("(&(sAMAccountName=anna)(memberOf=*))", &["cn"]).await?.is_empty());
        Ok(())
    })
}

#[test]
fn membership_through_other_groups_and_the_primary_group_is_found_for_the_site() -> Result<()> {
    scenario(async |stage| {
        let (_samba, directory) = start(stage).await?;
        let nested = format!("CN=nested,{}", Samba::staff_dn());
        let person = Subject::dn(format!("CN=Person 5,{}", Samba::staff_dn()));
        let site = Site::protecting(&nested)?;
        directory.operate(&user(person, Change::Unlock), &site).await?;
        ensure!(site.last().context("not asked")?.facts.protected_group.is_some());
        let anna = created(&directory, "anna").await?;
        directory.operate(&user(id(&anna), Change::Unlock), &site).await?;
        ensure!(site.last().context("not asked")?.facts.protected_group.is_none());
        let person = Subject::dn(format!("CN=Person 5,{}", Samba::staff_dn()));
        let team = operate(&directory, group(Subject::default(), Change::Create(create(&[("cn", &["team"])])))).await?;
        let team = team.entry.context("no group")?;
        for (members, protected) in [(vec![id(&anna)], false), (vec![id(&anna), person], true)] {
            directory.operate(&group(id(&team), change(&members, &[])), &site).await?;
            ensure!(site.last().context("not asked")?.members_group.is_some() == protected, "{members:?}");
        }
        let users = Site::protecting(&format!("CN=Domain Users,CN=Users,{}", postern_tests::samba::SUFFIX))?;
        directory.operate(&user(id(&anna), Change::Unlock), &users).await?;
        ensure!(users.last().context("not asked")?.facts.protected_group.is_some(), "her primary group");
        directory.operate(&group(id(&team), change(&[id(&anna)], &[])), &users).await?;
        ensure!(users.last().context("not asked")?.members_group.is_some(), "her primary group");
        Ok(())
    })
}

#[test]
fn somebodys_primary_group_is_not_deleted() -> Result<()> {
    scenario(async |stage| {
        let (samba, directory) = start(stage).await?;
        let anna = created(&directory, "anna").await?;
        let team = operate(&directory, group(Subject::default(), Change::Create(create(&[("cn", &["team"])])))).await?;
        let team = team.entry.context("no group")?;
        operate(&directory, group(id(&team), change(&[id(&anna)], &[]))).await?;
        let sid = samba.entries("(cn=team)", &["objectSid"]).await?;
        let sid = sid[0].values("objectSid")[0].clone();
        let rid = u32::from_le_bytes(sid[sid.len() - 4..].try_into()?);
        samba
            .apply(format!("dn: {}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: {rid}\n", anna.dn))
            .await?;
        // The group does not list her any more, and she stays in it.
        let stays = operate(&directory, group(id(&team), change(&[], &[id(&anna)]))).await?;
        ensure!(stays.refused_members.len() == 1 && stays.members_removed == 0, "{stays:?}");
        ensure!(stays.refused_members[0].reason.contains("primary group"), "{stays:?}");
        let refused = fails(&directory, group(id(&team), Change::Delete)).await?;
        ensure!(refused.public_message().contains("primary group"), "{}", refused.public_message());
        let again = operate(&directory, group(id(&team), change(&[id(&anna)], &[]))).await?;
        ensure!(again.effect == Effect::AlreadySo, "who has it as the primary group is a member: {again:?}");
        Ok(())
    })
}
