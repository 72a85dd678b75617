//! Everything arrives, whatever happens to the line.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use postern_agent::failure::{Class, Failure};
use postern_agent::served::scripted::{ScriptedDirectory, Step, user};
use postern_agent::served::{Entry, Page, Phase};
use postern_proto::chunk::Kind;
use postern_proto::v1::chunk_ack::Sought;
use postern_proto::v1::{ErrorCode, Import, Sight, SoughtKind, command, outcome};

use crate::agent::{start, start_compressing};
use crate::gateway::FakeGateway;
use crate::line::CuttableLine;
use crate::pki::WEEK;

const IMPORT: Option<command::Kind> = Some(command::Kind::Import(Import { chunk_entries: 20 }));
const USERS: usize = 1000;

#[tokio::test]
async fn an_import_arrives_whole() {
    let mut gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let _running = start(identity, ScriptedDirectory::populated("corp", USERS, 100));
    let mut session = gateway.session().await;
    let id = session.command(1, 1, IMPORT).await;
    let outcome = session.outcome().await;
    let Some(outcome::Result::Import(result)) = &outcome.result else { panic!("{outcome:?}") };
    assert_eq!((result.users, result.groups, result.pages), (1000, 1, 11));
    assert_everything_arrived(&gateway, &id, 1);
    assert_eq!(gateway.shared.stored.lock().unwrap()[&(id, 1)].streams, 1);
}

#[tokio::test]
async fn those_who_are_missed_are_looked_for_and_a_kind_that_is_unknown_is_not_found_gone() {
    let mut gateway = FakeGateway::start().await;
    let sought = |kind: SoughtKind, id: &str| Sought { kind: kind.into(), external_id: id.into(), ..Sought::default() };
    let unknown = Sought { kind: 77, ..sought(SoughtKind::User, "gone") };
    let missed = [sought(SoughtKind::User, "gone"), unknown, sought(SoughtKind::User, &user(3).external_id)];
    *gateway.shared.missed.lock().unwrap() = missed.to_vec();
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let _running = start(identity, ScriptedDirectory::populated("corp", 10, 100));
    let mut session = gateway.session().await;
    let id = session.command(1, 1, IMPORT).await;
    let outcome = session.outcome().await;
    assert!(matches!(outcome.result, Some(outcome::Result::Import(_))), "{outcome:?}");
    let sights = gateway.shared.stored.lock().unwrap()[&(id, 1)].sights.clone();
    let sights: Vec<Sight> = sights.into_iter().map(|byte| Sight::try_from(i32::from(byte)).unwrap()).collect();
    assert_eq!(sights, [Sight::Absent, Sight::NotVisible, Sight::InScope]);
}

#[tokio::test]
async fn a_cut_line_loses_and_doubles_nothing() {
    for seed in 0..12 {
        let mut gateway = FakeGateway::start().await;
        let line = CuttableLine::to(gateway.address).await;
        let identity = gateway.shared.authority.identity(&line.address.to_string(), WEEK);
        let _running = start(identity, ScriptedDirectory::populated("corp", USERS, 100));
        let mut session = gateway.session().await;
        // The whole is about 130 kB: each seed cuts at another place, and again after as many bytes.
        line.cut_after(5_000 + seed * 9_000);
        let id = session.command(1, 1, IMPORT).await;
        session = gateway.session().await;
        line.cut_after(20_000 + seed * 7_000);
        let ended = loop {
            match session.try_outcome().await {
                Some(outcome) => break outcome,
                None => session = gateway.session().await,
            }
        };
        assert!(matches!(ended.result, Some(outcome::Result::Import(_))), "seed {seed}: {ended:?}");
        assert!(line.shared.cuts.load(Ordering::SeqCst) >= 1, "seed {seed}");
        assert_everything_arrived(&gateway, &id, 1);
    }
}

#[tokio::test]
async fn chunks_are_compressed_for_a_gateway_that_reads_that_and_sent_as_they_are_to_one_that_does_not() {
    let readers = [(FakeGateway::start().await, Some("zstd")), (FakeGateway::without_compression().await, None)];
    for (mut gateway, encoding) in readers {
        let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
        let _running = start_compressing(identity, ScriptedDirectory::populated("corp", USERS, 100));
        let mut session = gateway.session().await;
        let id = session.command(1, 1, IMPORT).await;
        let outcome = session.outcome().await;
        assert!(matches!(outcome.result, Some(outcome::Result::Import(_))), "{outcome:?}");
        assert_everything_arrived(&gateway, &id, 1);
        assert_eq!(gateway.shared.stored.lock().unwrap()[&(id, 1)].encoding.as_deref(), encoding);
    }
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_named_and_the_others_arrive() {
    let mut gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let member = Bytes::from(vec![b'm'; 8 << 10]);
    let huge = Entry { dn: "cn=huge".to_owned(), members: vec![member; 8 << 10], ..user(0) };
    let page = Page { entries: vec![huge], ..Page::new(Phase::Groups) };
    let whole = ScriptedDirectory::populated("corp", USERS, 100);
    let _running = start(identity, whole.then(Step::Page(page)));
    let mut session = gateway.session().await;
    let id = session.command(1, 1, IMPORT).await;
    let outcome = session.outcome().await;
    let Some(outcome::Result::Import(result)) = &outcome.result else { panic!("{outcome:?}") };
    assert_eq!((result.users, result.groups, result.unusable), (1000, 1, 1));
    assert!(result.unusable_samples[0].starts_with("cn=huge: "), "{:?}", result.unusable_samples);
    assert_everything_arrived(&gateway, &id, 1);
}

#[tokio::test]
async fn an_import_that_cannot_be_read_to_the_end_has_no_summary() {
    let mut gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let whole = ScriptedDirectory::populated("corp", 100, 50);
    let failure = Failure::new(Class::Directory, "stopped after 100 entries").retryable();
    let _running = start(identity, whole.then(Step::Fail(failure)));
    let mut session = gateway.session().await;
    let id = session.command(1, 1, IMPORT).await;
    let outcome = session.outcome().await;
    let Some(outcome::Result::Error(error)) = outcome.result else { panic!("{outcome:?}") };
    assert_eq!(error.code(), ErrorCode::Directory);
    assert!(error.retryable);
    let stored = gateway.shared.stored.lock().unwrap();
    assert!(stored.get(&(id, 1)).is_none_or(|delivered| !delivered.accepted));
}

#[tokio::test]
async fn the_same_command_in_a_new_generation_delivers_anew() {
    let mut gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let _running = start(identity, ScriptedDirectory::populated("corp", USERS, 100));
    let mut session = gateway.session().await;
    for generation in 1..=2 {
        let id = session.command(1, generation, IMPORT).await;
        let outcome = session.outcome().await;
        assert_eq!(outcome.generation, generation);
        assert_everything_arrived(&gateway, &id, generation);
    }
}

fn assert_everything_arrived(gateway: &FakeGateway, id: &str, generation: u32) {
    let delivered = gateway.delivered((id, generation));
    let users = delivered.iter().filter(|(kind, _)| *kind == Kind::User).count();
    let distinct: BTreeSet<&String> = delivered.iter().map(|(_, external_id)| external_id).collect();
    assert_eq!((users, delivered.len(), distinct.len()), (USERS, USERS + 1, USERS + 1));
    assert!(gateway.shared.stored.lock().unwrap()[&(id.to_owned(), generation)].accepted);
}
