//! Entries that get another name or container.

use anyhow::{Context as _, Result, ensure};
use postern_directory::write::{Change, Effect, Failure, Move, Subject};
use postern_tests::scenario;
use postern_tests::slapd::{self, SUFFIX, Slapd};
use postern_tests::writing::{self, Site, openldap, user};

use crate::writes_openldap::common::{created, dn, fails, id, operate, start};

fn to(container: Option<&str>, name: Option<&str>) -> Change {
    Change::Move(Move { container: container.map(str::to_owned), name: name.map(str::to_owned) })
}

#[test]
fn a_user_is_renamed_and_moved_and_keeps_the_memberships() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        slapd.apply(format!("dn: ou=Sales,ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: Sales\n")).await?;
        let anna = created(&directory, "anna").await?;
        let group = format!("cn=team,ou=groups,{SUFFIX}");
        slapd.apply(format!("dn: {group}\nobjectClass: groupOfNames\ncn: team\nmember: {}\n", dn("anna"))).await?;
        let site = Site::default();
        let moved = directory.operate(&user(id(&anna), to(Some("ou=Sales"), Some("bell, anna"))), &site).await?;
        let entry = moved.entry.context("no entry")?;
        ensure!(moved.effect == Effect::Changed && moved.in_scope && entry.external_id == anna.external_id);
        ensure!(entry.dn == format!("uid=bell\\2C anna,ou=Sales,ou=people,{SUFFIX}"), "{}", entry.dn);
        ensure!(
            site.last().and_then(|asked| asked.destination)
                == Some(format!("uid=bell\\, anna,ou=Sales,ou=people,{SUFFIX}"))
        );
        ensure!(slapd.operational(&group).await?.text("member") == entry.dn, "the overlay did not follow");
        let sent = writing::written(&slapd).len();
        let again = operate(&directory, user(id(&anna), to(Some("ou=Sales"), Some("bell, anna")))).await?;
        ensure!(again.effect == Effect::AlreadySo && writing::written(&slapd).len() == sent);
        let case = operate(&directory, user(id(&anna), to(None, Some("Bell, Anna")))).await?;
        ensure!(case.effect == Effect::Changed, "people see whether a name is written in capitals");
        let whole = fails(&directory, user(id(&anna), to(Some(&format!("ou=groups,{SUFFIX}")), None))).await?;
        ensure!(matches!(&whole, Failure::Invalid { what, .. } if what == "container"), "{whole:?}");
        let back = operate(&directory, user(id(&anna), to(Some(""), Some("anna")))).await?;
        ensure!(back.entry.context("no entry")?.dn == dn("anna"), "the site's own container");
        Ok(())
    })
}

#[test]
fn a_move_that_cannot_be_is_refused_in_words() -> Result<()> {
    scenario(async |stage| {
        let (_slapd, directory) = start(stage, "").await?;
        let anna = created(&directory, "anna").await?;
        created(&directory, "ben").await?;
        let taken = fails(&directory, user(id(&anna), to(None, Some("BEN")))).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "name"), "{taken:?}");
        let nowhere = fails(&directory, user(id(&anna), to(Some("ou=Nowhere"), None))).await?;
        ensure!(nowhere.ldap_result_code() == Some(32), "{nowhere:?}");
        ensure!(nowhere.cure().context("no cure")?.contains("create the container"), "{nowhere:?}");
        let below = fails(&directory, user(id(&anna), to(Some("uid=anna"), None))).await?;
        ensure!(matches!(&below, Failure::Invalid { what, .. } if what == "container"), "{below:?}");
        let gone = fails(&directory, user(Subject::id("no-such"), to(None, Some("x")))).await?;
        ensure!(matches!(gone, Failure::NotFound), "{gone:?}");
        Ok(())
    })
}

#[test]
fn groups_get_the_new_name_where_the_server_does_not_follow() -> Result<()> {
    scenario(async |stage| {
        let options = slapd::Options { statements: true, ..slapd::Options::people(5) };
        let slapd = Slapd::start(stage, options).await?;
        let directory = openldap(stage, &slapd, "").await?;
        let anna = created(&directory, "anna").await?;
        let group = |name: &str| format!("cn={name},ou=groups,{SUFFIX}");
        for (name, class, members) in [
            ("only", "groupOfNames", format!("member: {}\n", dn("anna"))),
            ("unique", "groupOfUniqueNames", format!("uniqueMember: {}\nuniqueMember: cn=x\n", dn("anna"))),
            ("unix", "posixGroup", "gidNumber: 5\nmemberUid: anna\nmemberUid: ben\n".to_owned()),
        ] {
            slapd.apply(format!("dn: {}\nobjectClass: {class}\ncn: {name}\n{members}", group(name))).await?;
        }
        operate(&directory, user(id(&anna), to(None, Some("annabel")))).await?;
        let members = async |name: &str, attribute: &str| -> Result<Vec<String>> {
            let found = slapd.operational(&group(name)).await?;
            let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
            let mut values: Vec<String> = found.values(attribute).iter().map(text).collect();
            values.sort_unstable();
            Ok(values)
        };
        ensure!(members("only", "member").await? == [dn("annabel")], "the sole member");
        ensure!(members("unique", "uniqueMember").await? == ["cn=x".to_owned(), dn("annabel")]);
        ensure!(members("unix", "memberUid").await? == ["annabel", "ben"]);

        // As after a crash between the two: the entry has its new name, and a group has the old one.
        let late = format!("dn: {}\nobjectClass: groupOfNames\ncn: late\nmember: {}\n", group("late"), dn("anna"));
        slapd.apply(late).await?;
        let subject = Subject { dn: Some(dn("anna")), ..id(&anna) };
        let again = operate(&directory, user(subject.clone(), to(None, Some("annabel")))).await?;
        ensure!(again.effect == Effect::Changed && members("late", "member").await? == [dn("annabel")]);
        let sent = writing::written(&slapd).len();
        let once_more = operate(&directory, user(subject.clone(), to(None, Some("annabel")))).await?;
        ensure!(once_more.effect == Effect::AlreadySo && writing::written(&slapd).len() == sent);

        // Somebody else has the old name by now: the groups mean that one.
        created(&directory, "anna").await?;
        let other = format!("dn: {}\nobjectClass: groupOfNames\ncn: other\nmember: {}\n", group("other"), dn("anna"));
        slapd.apply(other).await?;
        operate(&directory, user(subject, to(None, Some("annabel")))).await?;
        ensure!(members("other", "member").await? == [dn("anna")]);
        Ok(())
    })
}
