//! An attribute that is configured as external id and is not unique.

use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_store::{JobState, PageRequest};

use super::agent::{Site, hello};
use super::chunks::{Chunk, people};
use super::soon;

/// More ids than an import may share.
const IDS: usize = 50_001;

/// As many entries with these ids, in an organizational unit of their own.
fn entries(unit: &str) -> Vec<Chunk> {
    let numbers: Vec<usize> = (0..IDS).collect();
    let chunk = |numbers: &[usize]| {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        for number in numbers {
            let dn = format!("cn={number},ou={unit}");
            let mut entry = writer.entry(Kind::Group, &number.to_string(), &dn, None);
            entry.switch(Switch::On);
            entry.finish();
        }
        let digest = writer.digest();
        Chunk { users: 0, groups: numbers.len() as u64, digest, payload: writer.finish() }
    };
    numbers.chunks(5_000).map(chunk).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_ids_are_shared_by_too_many_entries_fails_and_marks_nobody() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let job = site.import(&agent, &mut session, &people(&[("a", "anna"), ("b", "bert")])).await;
    site.wait_for(job, JobState::Succeeded).await;
    // Anna does not come, and Bert comes.
    let chunks = [people(&[("b", "bert")]), entries("one"), entries("two")].concat();
    let job = site.import(&agent, &mut session, &chunks).await;
    let failed = site.wait_for(job, JobState::Failed).await;
    let error = failed.error.unwrap();
    assert_eq!(error["code"], "external_ids_not_unique", "{error}");
    let users = site.store().list_users(site.organization, None, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(users.len(), 2, "{users:?}");
    assert!(users.iter().all(|user| user.active), "{users:?}");
    let corp = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap();
    let present =
        site.store().count_present(site.organization, corp.id, postern_store::AccountKind::User).await.unwrap();
    assert_eq!(present, 2, "nobody is missing");
}
