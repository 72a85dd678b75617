//! The life of a user: created, edited, deleted.

use anyhow::{Context as _, Result, ensure};
use postern_directory::Error;
use postern_directory::write::{BothChanged, Change, Effect, Failure, Subject};
use postern_tests::scenario;
use postern_tests::slapd::{SUFFIX, Slapd};
use postern_tests::writing::{self, Site, create, from_to, set, user};

use crate::writes_openldap::common::{created, id, operate, start};

fn failure(error: Error) -> Result<Failure> {
    match error {
        Error::Write(failure) => Ok(failure),
        other => Err(other).context("not an answer to the operation"),
    }
}

fn anna() -> Change {
    Change::Create(create(&[
        ("uid", &["anna"]),
        ("cn", &["Anna Bell"]),
        ("sn", &["Bell"]),
        ("mail", &["anna@corp.example"]),
    ]))
}

#[test]
fn a_user_is_created_edited_and_deleted_and_each_is_done_once() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let site = Site::default();
        let made = directory.operate(&user(Subject::default(), anna()), &site).await?;
        let entry = made.entry.context("no entry")?;
        ensure!(made.effect == Effect::Created && made.in_scope && entry.dn == format!("uid=anna,ou=people,{SUFFIX}"));
        ensure!(slapd.entries("(uid=anna)").await?[0].text("mail") == "anna@corp.example");

        let id = || Subject::id(&entry.external_id);
        let edit = || Change::Update(vec![set("title", &["Doctor"]), set("mail", &["bell@corp.example"])]);
        let edited = directory.operate(&user(id(), edit()), &site).await?;
        let mail = edited.entry.context("no entry")?.attributes.into_iter().find(|(name, _)| &**name == "mail");
        ensure!(
            edited.effect == Effect::Changed && mail.context("no mail")?.1 == writing::values(&["bell@corp.example"])
        );

        let before = writing::written(&slapd).len();
        for change in [anna(), edit()] {
            let subject = if matches!(change, Change::Create(_)) { Subject::default() } else { id() };
            match directory.operate(&user(subject, change), &site).await {
                Ok(again) => ensure!(again.effect == Effect::AlreadySo, "{again:?}"),
                // Its mail has changed, so that it is not what was to be created.
                Err(error) => ensure!(matches!(failure(error)?, Failure::Taken { what } if what == "uid")),
            }
        }
        ensure!(writing::written(&slapd).len() == before, "what was done already was sent again");

        let gone = directory.operate(&user(id(), Change::Delete), &site).await?;
        ensure!(gone.effect == Effect::Deleted && gone.entry.is_none());
        ensure!(slapd.entries("(uid=anna)").await?.is_empty());
        let again = Subject { external_id: Some(entry.external_id.clone()), dn: Some(entry.dn.clone()) };
        let again = directory.operate(&user(again, Change::Delete), &site).await?;
        ensure!(again.effect == Effect::AlreadySo, "{again:?}");
        let unproven = directory.operate(&user(id(), Change::Delete), &site).await;
        ensure!(matches!(failure(unproven.err().context("no DN to prove it by")?)?, Failure::AbsenceUnproven));
        Ok(())
    })
}

#[test]
fn both_ends_changed_is_settled_by_rule() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let site = Site::default();
        let made = directory.operate(&user(Subject::default(), anna()), &site).await?.entry.context("no entry")?;
        let edit = async |rule| {
            let mail = from_to("mail", &["known@corp.example"], &["wanted@corp.example"], rule);
            let changes = vec![mail, set("title", &["Doctor"])];
            directory.operate(&user(Subject::id(&made.external_id), Change::Update(changes)), &site).await
        };
        let refused = failure(edit(BothChanged::Refuse).await.err().context("not refused")?)?;
        ensure!(matches!(&refused, Failure::BothChanged { attributes } if attributes == &["mail"]), "{refused:?}");
        ensure!(slapd.entries("(uid=anna)").await?[0].text("title").is_empty(), "a refused operation wrote something");
        let kept = edit(BothChanged::TargetWins).await?;
        ensure!(kept.kept[0].found == Some(writing::values(&["anna@corp.example"])) && kept.effect == Effect::Changed);
        let entry = &slapd.entries("(uid=anna)").await?[0];
        ensure!((entry.text("mail"), entry.text("title")) == ("anna@corp.example".into(), "Doctor".into()));
        let won = edit(BothChanged::SourceWins).await?;
        ensure!(won.overwritten.len() == 1 && won.kept.is_empty());
        ensure!(slapd.entries("(uid=anna)").await?[0].text("mail") == "wanted@corp.example");
        Ok(())
    })
}

#[test]
fn nothing_is_written_without_the_section_or_against_the_site() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let site = Site::forbidding(postern_directory::write::Kind::Create);
        let denied = directory.operate(&user(Subject::default(), anna()), &site).await;
        ensure!(
            matches!(failure(denied.err().context("not denied")?)?, Failure::Denied(denied) if denied.rule == "operations")
        );
        ensure!(writing::written(&slapd).is_empty(), "{:?}", writing::written(&slapd));
        let settings = postern_tests::agent::DirectorySettings::slapd("corp", &slapd, stage.path())?;
        let read_only = writing::configured(&toml::to_string(&settings)?)?;
        let off = read_only.operate(&user(Subject::default(), anna()), &Site::default()).await;
        ensure!(matches!(failure(off.err().context("written")?)?, Failure::Off));
        Ok(())
    })
}

#[test]
fn an_entry_that_cannot_be_seen_is_not_taken_for_deleted() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        let made = directory.operate(&user(Subject::default(), anna()), &Site::default()).await?;
        let entry = made.entry.context("no entry")?;
        let hidden = format!("to dn.subtree=\"ou=people,{SUFFIX}\" by * none");
        slapd.set_access(&[&hidden, "to * by users read by * none"]).await?;
        let known = Subject { external_id: Some(entry.external_id.clone()), dn: Some(entry.dn.clone()) };
        let deleted = directory.operate(&user(known.clone(), Change::Delete), &Site::default()).await;
        let deleted = failure(deleted.err().context("taken for deleted")?)?;
        ensure!(matches!(deleted, Failure::AbsenceUnproven), "{deleted:?}");
        let edited =
            directory.operate(&user(known, Change::Update(vec![set("title", &["x"])])), &Site::default()).await;
        ensure!(matches!(failure(edited.err().context("edited")?)?, Failure::NotFound));
        ensure!(slapd.entries("(uid=anna)").await?.len() == 1);
        Ok(())
    })
}

/// How many requests of these kinds the server had, by its own log.
fn requests(slapd: &Slapd) -> Result<usize> {
    let log = slapd.process().context("no process")?.log();
    let is_request = |line: &&str| {
        let Some((_, rest)) = line.split_once(" op=") else { return false };
        let word = rest.split(' ').nth(1).unwrap_or_default();
        ["SRCH", "ADD", "MOD", "MODRDN", "DEL"].contains(&word)
            && !rest.contains("SRCH attr=")
            && !rest.contains("MOD attr=")
    };
    Ok(log.lines().filter(is_request).count())
}

#[test]
fn a_write_brings_the_entry_back_and_saves_a_request() -> Result<()> {
    scenario(async |stage| {
        let (slapd, directory) = start(stage, "").await?;
        created(&directory, "anna").await?;
        let before = requests(&slapd)?;
        let bert = created(&directory, "bert").await?;
        ensure!(requests(&slapd)? - before == 2, "is the name free, and the new entry");
        let before = requests(&slapd)?;
        let title = || user(id(&bert), Change::Update(vec![set("title", &["Nurse"])]));
        let brought = operate(&directory, title()).await?;
        let written = requests(&slapd)? - before;
        // The same as a read brings.
        let read = operate(&directory, title()).await?;
        ensure!(read.effect == Effect::AlreadySo && requests(&slapd)? - before == 2 * written, "{written}");
        let (brought, read) = (brought.entry.context("no entry")?, read.entry.context("no entry")?);
        ensure!(format!("{brought:?}") == format!("{read:?}"), "{brought:?}\n{read:?}");
        Ok(())
    })
}
