//! What the control plane makes of an import.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use postern_proto::chunk::Switch;
use postern_proto::v1;
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_runtime::clock::{Clock as _, ManualClock};
use postern_store::{ChangeKind, DirectoryChange, JobState, PageRequest, ThresholdChange};
use tonic::Code;

use super::agent::{Session, Site, TestAgent, hello, raw_outcome};
use super::chunks::{entries, people, people_switched};
use super::soon;

/// An agent that serves a directory, and its session.
pub(super) async fn connected(site: &Site) -> (TestAgent, Session) {
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    (agent, session)
}

/// The problem of the directory that the last import found.
pub(super) async fn import_problem(site: &Site) -> Option<String> {
    site.store().find_directory(site.organization, "corp").await.unwrap().unwrap().import_problem
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_stored_proven_and_repeated_without_a_write() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;

    let first = site.import(&agent, &mut session, &entries(0..40)).await;
    let result = site.wait_for(first, JobState::Succeeded).await.result.unwrap();
    assert_eq!((&result["users"], &result["groups"]), (&40.into(), &1.into()), "{result}");
    assert_eq!((&result["created"], &result["members_unresolved"]), (&41.into(), &0.into()), "{result}");

    let again = site.import(&agent, &mut session, &entries(0..40)).await;
    let result = site.wait_for(again, JobState::Succeeded).await.result.unwrap();
    assert_eq!((&result["created"], &result["unchanged"], &result["missing"]), (&0.into(), &41.into(), &0.into()));

    let fewer = site.import(&agent, &mut session, &entries(0..38)).await;
    let result = site.wait_for(fewer, JobState::Succeeded).await.result.unwrap();
    assert_eq!(&result["missing"], 2, "{result}");

    let back = site.import(&agent, &mut session, &entries(0..40)).await;
    let result = site.wait_for(back, JobState::Succeeded).await.result.unwrap();
    assert_eq!(&result["returned"], 2, "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_would_lose_many_is_held_until_it_is_approved() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let first = site.import(&agent, &mut session, &entries(0..40)).await;
    let first = site.wait_for(first, JobState::Succeeded).await.progress.unwrap();
    assert_eq!((&first["entries_read"], &first["pages_read"]), (&41.into(), &1.into()), "{first}");
    let empty = site.import(&agent, &mut session, &[]).await;
    let held = site.wait_for(empty, JobState::Held).await;
    assert_eq!(held.hold.as_ref().unwrap()["missing"], 41);
    assert_eq!(held.progress.as_ref().unwrap()["pages_read"], 1, "as the agent's report says");
    let behind = site.start_job("corp", "import").await;
    let behind = site.store().get_job(site.organization, behind).await.unwrap().unwrap();
    assert_eq!(behind.waits_for, Some((empty, JobState::Held)));
    let said = crate::api::jobs::JobView::from(behind.clone()).message.unwrap();
    for part in [format!("Waits for job {empty}"), format!("postern jobs approve {empty}"), "no user at all".to_owned()]
    {
        assert!(said.contains(&part), "{part} is not in {said}");
    }
    site.store().request_cancel(site.organization, behind.id, site.now()).await.unwrap();
    site.store().approve_job(site.organization, empty, "test", site.now()).await.unwrap();
    let result = site.wait_for(empty, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["missing"], 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_does_not_agree_marks_nobody_missing_and_starts_anew() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let refused = agent.deliver(&command, &entries(0..3), |summary| summary.users += 1).await;
    assert!(matches!(refused, Ok(v1::chunk_ack::Kind::SummaryRefused(_))), "{refused:?}");
    let job = site.store().get_job(site.organization, job).await.unwrap().unwrap();
    assert_eq!((job.state, job.failures), (JobState::Queued, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_comes_twice_and_a_chunk_that_comes_twice_are_one() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let mut chunks = entries(0..30);
    chunks.extend(entries(0..30));
    let job = site.import(&agent, &mut session, &chunks).await;
    let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!((&result["created"], &result["conflicts"]), (&31.into(), &0.into()), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_after_their_name_was_given_to_another_is_a_conflict() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let mut conflicts = async |present: &[(&str, &str)]| {
        let job = site.import(&agent, &mut session, &people(present)).await;
        site.wait_for(job, JobState::Succeeded).await.result.unwrap()["conflicts"].as_u64().unwrap()
    };
    let bert = ("other", "bert");
    assert_eq!(conflicts(&[("first", "anna"), bert]).await, 0);
    assert_eq!(conflicts(&[("second", "anna"), bert]).await, 0, "made anew between two imports: the same user");
    assert_eq!(conflicts(&[("first", "anna"), ("second", "anna"), bert]).await, 1);
    // With an import between the leaver and the newcomer, they may be two people.
    assert_eq!(conflicts(&[bert]).await, 0);
    assert_eq!(conflicts(&[("third", "anna"), bert]).await, 1);
    assert_eq!(
        conflicts(&[("second", "anna"), ("third", "anna"), bert]).await,
        1,
        "its own user, although others wait"
    );
    assert_eq!(conflicts(&[("second", "anna"), bert]).await, 0, "a conflict that has left competes no more");
    assert_eq!(conflicts(&[("first", "anna"), bert]).await, 0, "and the first has its user back");
    let users = site.store().list_users(site.organization, None, &PageRequest::first(10)).await.unwrap();
    assert_eq!(users.items.len(), 2, "{users:?}");
}

/// Lifts the threshold: of so few accounts half are soon gone, and these tests mean it.
async fn hold_nothing(site: &Site) {
    let directory = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap().id;
    let never = ThresholdChange { percent: Some(100), minimum: None };
    let thresholds = ChangeKind::ALL.iter().map(|kind| (*kind, never)).collect();
    let change = DirectoryChange { missing_threshold_percent: Some(100), thresholds, ..DirectoryChange::default() };
    site.store().update_directory(site.organization, directory, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_exchange_their_names_or_pass_them_on_are_renamed_by_one_import() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    hold_nothing(&site).await;
    let mut import = async |present: &[(&str, &str)]| {
        let job = site.import(&agent, &mut session, &people(present)).await;
        let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
        assert_eq!(result["conflicts"], 0, "{result}");
        let users = site.store().list_users(site.organization, None, &PageRequest::first(10)).await.unwrap();
        users.items.into_iter().map(|user| (user.user_name, user.id)).collect::<HashMap<_, _>>()
    };
    let before = import(&[("1", "anna"), ("2", "bert"), ("3", "carl"), ("4", "dora"), ("5", "emil")]).await;
    // Anna and Bert swap names; Carl becomes Dora, who becomes Emil, who becomes Fritz; a new account becomes Carl.
    let after =
        import(&[("1", "bert"), ("2", "anna"), ("3", "dora"), ("4", "emil"), ("5", "fritz"), ("6", "carl")]).await;
    let moves = [("anna", "bert"), ("bert", "anna"), ("carl", "dora"), ("dora", "emil"), ("emil", "fritz")];
    for (old, new) in moves {
        assert_eq!(after[new], before[old], "{old} is {new} now: {after:?}");
    }
    assert!(after.len() == 6 && !before.values().any(|user| *user == after["carl"]), "{after:?}");
}

/// External ids and names by chunk.
type Chunks<'c> = &'c [&'c [(&'c str, &'c str)]];

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_beside_a_new_entry_of_that_name_never_shares_its_user() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    hold_nothing(&site).await;
    let (old, new, other) = (("old", "anna"), ("new", "anna"), ("other", "bert"));
    let renamed = ("old", "adam");
    let imports: [(Chunks<'_>, u64, usize); 4] = [
        // In one chunk, in two of one transaction, and in the other order.
        (&[&[new, old, other]], 1, 2),
        (&[&[new, other], &[old]], 1, 2),
        (&[&[old, new, other]], 1, 2),
        // An entry that comes back under another name keeps its user; the new entry gets its own in the end.
        (&[&[renamed, new, other]], 0, 3),
    ];
    for (number, (chunks, conflicts, users)) in imports.into_iter().enumerate() {
        let of_this = |(id, name): &(&str, &str)| (format!("{id}{number}"), format!("{name}{number}"));
        let mut import = async |present: Chunks<'_>| {
            let chunks = present.iter().flat_map(|chunk| {
                let named: Vec<(String, String)> = chunk.iter().map(of_this).collect();
                let named: Vec<(&str, &str)> = named.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
                people(&named)
            });
            let job = site.import(&agent, &mut session, &chunks.collect::<Vec<_>>()).await;
            site.wait_for(job, JobState::Succeeded).await.result.unwrap()
        };
        import(&[&[old, other]]).await;
        import(&[&[other]]).await;
        let result = import(chunks).await;
        assert_eq!(result["conflicts"], conflicts, "{number}: {result}");
        let found = site.store().list_users(site.organization, None, &PageRequest::first(100)).await.unwrap();
        let mine = found.items.iter().filter(|user| user.user_name.ends_with(&number.to_string())).count();
        assert_eq!(mine, users, "{number}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_comes_twice_is_as_its_last_copy_says() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let job = site.import(&agent, &mut session, &entries(0..30)).await;
    site.wait_for(job, JobState::Succeeded).await;
    // It has changed, and moves while it is being read.
    let mut chunks = entries(0..29);
    chunks.extend(entries(0..28));
    let job = site.import(&agent, &mut session, &chunks).await;
    let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!((&result["members_resolved"], &result["conflicts"]), (&28.into(), &0.into()), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_comes_while_entries_come_ends_the_import_before_anybody_is_missing() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let job = site.import(&agent, &mut session, &entries(0..30)).await;
    site.wait_for(job, JobState::Succeeded).await;
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    site.store().request_cancel(site.organization, job, site.now()).await.unwrap();
    assert!(matches!(soon(session.next()).await, Some(FromControl::Cancel(_))));
    let refused = agent.deliver(&command, &entries(0..29), |_| {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    let error = v1::CommandError { code: v1::ErrorCode::Canceled.into(), ..Default::default() };
    session.send(raw_outcome(&command, v1::outcome::Result::Error(error))).await;
    site.wait_for(job, JobState::Canceled).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
    let again = site.import(&agent, &mut session, &entries(0..30)).await;
    let result = site.wait_for(again, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["returned"], 0, "somebody was marked missing: {result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_last_day_has_come_is_inactive_though_the_entry_is_unchanged() {
    let clock = ManualClock::new(Timestamp::now());
    let site = Site::start_at(clock.shared()).await;
    let (agent, mut session) = connected(&site).await;
    let tomorrow = u64::try_from(clock.now().as_second() + 12 * 60 * 60).unwrap();
    let entry = people_switched(&[("first", "anna")], &[], Switch::OnUntil(tomorrow));
    for active in [true, false] {
        let job = site.import(&agent, &mut session, &entry).await;
        site.wait_for(job, JobState::Succeeded).await;
        let users = site.store().list_users(site.organization, None, &PageRequest::first(10)).await.unwrap();
        assert_eq!(users.items[0].active, active);
        clock.advance(Duration::from_hours(24));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keeps_the_last_known_state_and_makes_nobody_new_active() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let one = |name: &'static str, switch| people_switched(&[(name, name)], &[], switch);
    let of = |on: Switch, off: Switch| [one("anna", on), one("bert", off)].concat();
    let known = of(Switch::On, Switch::Off);
    let hidden = [of(Switch::Unknown, Switch::Unknown), one("cleo", Switch::Unknown)].concat();
    for (chunks, unknown, wanted) in [(known, 0, vec!["anna"]), (hidden, 3, vec!["anna"])] {
        let job = site.import(&agent, &mut session, &chunks).await;
        let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
        assert_eq!(result["unknown_switches"], unknown, "{result}");
        let problem = import_problem(&site).await;
        assert_eq!(problem.is_some(), unknown > 0, "{problem:?}");
        assert!(problem.is_none_or(|said| said.contains("3 users") && said.contains("new ones are inactive")));
        let users = site.store().list_users(site.organization, None, &PageRequest::first(10)).await.unwrap();
        let active: Vec<_> = users.items.iter().filter(|user| user.active).map(|user| &user.user_name).collect();
        assert_eq!(active, wanted);
    }
}
