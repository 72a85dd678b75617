//! New entries that bring several names: the first one is taken that no entry has, and a second try finds the entry again.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use postern_directory::write::{Change, Create, Effect, Existing, Failure, Kind, Operation, Subject};
use postern_tests::scenario;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::writing::{Site, apply_at_once, create, user, values};

use crate::writes_openldap::common::{dn, fails, operate, start};

type Given = Vec<(String, Vec<Bytes>)>;

fn named(uid: &str) -> Given {
    vec![("uid".to_owned(), values(&[uid])), ("mail".to_owned(), values(&[&format!("{uid}@corp.example")]))]
}

/// John Doe, with as many names as are asked for. All of them are equal in everything else.
pub(crate) fn john(choices: u32) -> Create {
    let mut new = create(&[("cn", &["John Doe"]), ("sn", &["Doe"])]);
    new.sent_before = false;
    new.attributes.extend(named("jdoe"));
    new.choices = (2..2 + choices).map(|number| named(&format!("jdoe{number}"))).collect();
    new
}

fn make(new: Create) -> Operation {
    user(Subject::default(), Change::Create(new))
}

async fn logins(slapd: &Slapd) -> Result<Vec<String>> {
    let mut logins: Vec<String> = slapd
        .entries("(sn=Doe)")
        .await?
        .iter()
        .map(|entry| format!("{} {}", entry.text("uid"), entry.text("mail")))
        .collect();
    logins.sort();
    Ok(logins)
}

#[test]
fn the_first_name_is_taken_that_no_entry_has() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        // The address of the second choice is somebody's, in other letters.
        slapd
            .apply(format!(
                "dn: uid=other,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: other\ncn: Other\nsn: Other\nmail: JDOE2@corp.example\n"
            ))
            .await?;
        let mut made = Vec::new();
        for _ in 0..3 {
            let done = operate(&directory, make(john(5))).await?;
            ensure!(done.effect == Effect::Created, "{done:?}");
            made.push(done.entry.context("no entry")?.external_id);
        }
        let expected = ["jdoe jdoe@corp.example", "jdoe3 jdoe3@corp.example", "jdoe4 jdoe4@corp.example"];
        ensure!(logins(&slapd).await? == expected, "{:?}", logins(&slapd).await?);
        // Each is found again, also where a name before its own has become free.
        slapd.apply(format!("dn: {}\nchangetype: delete\n", dn("jdoe"))).await?;
        for (own, other) in [(1, 2), (2, 1)] {
            let again = Create { sent_before: true, others: vec![made[other].clone()], ..john(5) };
            let again = operate(&directory, make(again)).await?;
            ensure!(again.effect == Effect::AlreadySo, "{again:?}");
            ensure!(again.entry.context("no entry")?.external_id == made[own]);
        }
        // It was sent before, and all who look like it are others: it is made.
        let again = Create { sent_before: true, others: made.clone(), ..john(5) };
        ensure!(operate(&directory, make(again)).await?.effect == Effect::Created);
        ensure!(logins(&slapd).await? == expected);
        Ok(())
    })
}

#[test]
fn who_has_a_name_is_not_taken_over_and_when_all_are_used_nothing_is_made() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let adopt = || Create { existing: Existing::Adopt, ..john(1) };
        for _ in 0..2 {
            let done = operate(&directory, make(adopt())).await?;
            ensure!(done.effect == Effect::Created, "{done:?}");
        }
        let taken = fails(&directory, make(adopt())).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "uid"), "{taken:?}");
        ensure!(logins(&slapd).await?.len() == 2);
        // What stands in no choice is not made another one.
        let mut fixed = john(0);
        fixed.choices = vec![vec![("mail".to_owned(), values(&["jd@corp.example"]))]];
        let taken = fails(&directory, make(fixed)).await?;
        ensure!(matches!(&taken, Failure::Taken { what } if what == "uid"), "{taken:?}");
        // The site has forbidden it, and the directory is not asked who has the name.
        let log = || slapd.process().map_or(0, |process| process.log().matches("(mail=jdoe").count());
        let before = log();
        let answer = directory.operate(&make(john(5)), &Site::forbidding(Kind::Create)).await;
        ensure!(answer.is_err() && log() == before && before > 0, "{answer:?}");
        Ok(())
    })
}

#[test]
fn many_at_once_get_different_names_and_a_rival_costs_one_more_try() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let answers = join_all((0..12).map(|_| operate(&directory, make(john(20))))).await;
        ensure!(
            answers.iter().all(|answer| matches!(answer, Ok(done) if done.effect == Effect::Created)),
            "{answers:?}"
        );
        let mut used = logins(&slapd).await?;
        used.dedup();
        ensure!(used.len() == 12, "{used:?}");
        // Somebody else makes the entry between our search and our write.
        let rival = format!("dn: {}\nobjectClass: inetOrgPerson\nuid: jdoe13\ncn: Rival\nsn: Rival\n", dn("jdoe13"));
        let site = Site::default().meanwhile(|| {}).meanwhile(apply_at_once(&slapd, rival));
        let done = directory.operate(&make(john(20)), &site).await?;
        let entry = done.entry.context("no entry")?;
        ensure!(entry.dn.starts_with("uid=jdoe14,"), "{}", entry.dn);
        Ok(())
    })
}
