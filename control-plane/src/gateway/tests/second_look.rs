//! An account is marked missing only if a second, direct search does not find it.

use postern_proto::v1;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_store::{AccountKind, JobState, PageRequest};
use serde_json::Value;

use super::agent::{Session, Site, TestAgent, raw_outcome};
use super::chunks::entries;
use super::imports::{connected, import_problem};
use super::soon;
use postern_engine::intake::gone::Gone;

/// How many users are marked missing.
pub(super) async fn missing(site: &Site) -> usize {
    let directory = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap().id;
    let page = PageRequest::first(1_000);
    let accounts = site.store().list_accounts(site.organization, directory, AccountKind::User, &page).await.unwrap();
    accounts.items.iter().filter(|account| account.missing_since.is_some()).count()
}

/// Imports this many users, with these answers for the others; returns the last answer and the result.
async fn import(
    site: &Site,
    agent: &TestAgent,
    session: &mut Session,
    users: u32,
    look: impl FnMut(&LookAgain) -> Option<Vec<v1::Sight>>,
) -> Value {
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let accepted = agent.deliver_seeing(&command, &entries(0..users), |_| {}, look).await.unwrap();
    assert!(matches!(accepted, Ack::SummaryAccepted(_)), "{accepted:?}");
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
    site.wait_for(job, JobState::Succeeded).await.result.unwrap()
}

fn nobody(asked: &LookAgain) -> Option<Vec<v1::Sight>> {
    panic!("asked for {asked:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_found_in_scope_shows_that_the_search_was_cut_and_the_import_starts_again() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    import(&site, &agent, &mut session, 40, nobody).await;
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let one_is_there = |asked: &LookAgain| {
        let mut sights = vec![v1::Sight::Absent; asked.entries.len()];
        sights[1] = v1::Sight::InScope;
        Some(sights)
    };
    let refused = agent.deliver_seeing(&command, &entries(0..38), |_| {}, one_is_there).await.unwrap();
    assert!(matches!(refused, Ack::SummaryRefused(_)), "{refused:?}");
    assert_eq!(missing(&site).await, 0);
    let waiting = site.wait_for(job, JobState::Queued).await;
    assert_eq!((waiting.failures, waiting.proven), (1, false));
    assert!(waiting.message.as_ref().is_some_and(|message| message.contains("before its end")), "{waiting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_or_has_left_the_scope_is_missing_and_who_cannot_be_seen_is_not() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    import(&site, &agent, &mut session, 40, nobody).await;
    let sights = [v1::Sight::Absent, v1::Sight::LeftScope, v1::Sight::ContainerUnreadable, v1::Sight::Unspecified];
    let result = import(&site, &agent, &mut session, 36, |asked| {
        assert!(asked.entries.iter().all(|one| one.last_dn.starts_with("uid=user3")), "{asked:?}");
        Some(sights.to_vec())
    })
    .await;
    assert_eq!((&result["missing"], &result["missing_left_scope"]), (&2.into(), &1.into()), "{result}");
    assert_eq!(result["not_visible"], 2, "{result}");
    let reasons: Vec<&Value> =
        result["not_visible_samples"].as_array().unwrap().iter().map(|sample| &sample["reason"]).collect();
    assert_eq!(reasons, ["container_unreadable", "not_visible"], "{result}");
    let problem = import_problem(&site).await.unwrap();
    assert!(problem.contains("2 known accounts") && problem.contains("such as uid=user3"), "{problem}");
    assert_eq!(missing(&site).await, 2);
    // They are looked for each time, until they are found or gone.
    let result =
        import(&site, &agent, &mut session, 36, |asked| Some(vec![v1::Sight::Absent; asked.entries.len()])).await;
    assert_eq!((&result["missing"], &result["not_visible"]), (&2.into(), &0.into()), "{result}");
    assert_eq!(import_problem(&site).await, None, "they were seen to be gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_look_again_marks_nobody_missing() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    import(&site, &agent, &mut session, 40, nobody).await;
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let old = |summary: &mut v1::chunk::Summary| summary.looks_again = false;
    agent.deliver_seeing(&command, &entries(0..38), old, nobody).await.unwrap();
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!((&result["missing"], &result["missing_not_looked_for"]), (&0.into(), &2.into()), "{result}");
    assert_eq!(missing(&site).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_hold_marks_nobody_who_could_not_be_seen() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    import(&site, &agent, &mut session, 40, nobody).await;
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let every_other = |asked: &LookAgain| {
        let sight = |at| if at % 2 == 0 { v1::Sight::Absent } else { v1::Sight::HiddenChildren };
        Some((0..asked.entries.len()).map(sight).collect())
    };
    agent.deliver_seeing(&command, &entries(0..10), |_| {}, every_other).await.unwrap();
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    let held = site.wait_for(job, JobState::Held).await;
    assert_eq!(held.hold.as_ref().unwrap()["missing"], 15, "{held:?}");
    assert_eq!(missing(&site).await, 0);
    site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
    let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!((&result["missing"], &result["not_visible"]), (&15.into(), &15.into()), "{result}");
    assert_eq!(missing(&site).await, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_an_administrator_calls_deleted_is_held_by_name_and_count() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    import(&site, &agent, &mut session, 40, nobody).await;
    let not_found = |asked: &LookAgain| {
        let sight = |at| if at == 0 { v1::Sight::ContainerUnreadable } else { v1::Sight::ContainerNotFound };
        Some((0..asked.entries.len()).map(sight).collect())
    };
    // Without an answer, nobody is marked missing.
    let result = import(&site, &agent, &mut session, 37, not_found).await;
    assert_eq!((&result["missing"], &result["not_visible"]), (&0.into(), &3.into()), "{result}");
    let containers: Vec<&Value> = samples_of(&result).iter().map(|sample| &sample["container"]).collect();
    assert_eq!(containers, [&Value::Null, &"ou=people,dc=x".into(), &"ou=people,dc=x".into()], "{result}");
    assert_eq!(result["gone_unused"], Value::Null, "none was named: {result}");
    for (container, people) in [("OU=People, dc=x", 2), ("ou=elsewhere,dc=x", 0)] {
        let gone = Gone::input(&[container.to_owned()]).unwrap();
        let job = site.start_job_with("corp", "import", gone).await;
        let command = soon(session.command()).await;
        agent.deliver_seeing(&command, &entries(0..37), |_| {}, not_found).await.unwrap();
        session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
        assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
        if people == 0 {
            let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
            assert_eq!((&result["missing"], &result["not_visible"]), (&0.into(), &1.into()), "{result}");
            assert_eq!(result["gone_unused"], serde_json::json!([container]), "{result}");
            continue;
        }
        let held = site.wait_for(job, JobState::Held).await;
        let reason = held.hold.as_ref().unwrap()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("2 accounts in OU=People"), "{reason}");
        assert_eq!(missing(&site).await, 0);
        site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
        let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
        assert_eq!((&result["missing"], &result["not_visible"]), (&2.into(), &1.into()), "{result}");
        assert_eq!(result["gone_unused"], Value::Null, "it covered two: {result}");
        assert_eq!(missing(&site).await, 2);
    }
}

fn samples_of(result: &Value) -> &[Value] {
    result["not_visible_samples"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_between_two_looks_goes_on_with_those_who_were_not_looked_for() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    import(&site, &agent, &mut session, 250, nobody).await;
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let chunks = entries(0..100);
    let (mut asked_before, absent) = (0, |asked: &LookAgain| Some(vec![v1::Sight::Absent; asked.entries.len()]));
    let first_only = |asked: &LookAgain| {
        asked_before += 1;
        if asked_before == 1 { absent(asked) } else { None }
    };
    agent.deliver_seeing(&command, &chunks, |_| {}, first_only).await.unwrap_err();
    // A second request, with an answer that does not fit it, ends the stream and changes nothing.
    let too_few = |asked: &LookAgain| Some(vec![v1::Sight::InScope; asked.entries.len() - 1]);
    agent.deliver_seeing(&command, &chunks, |_| {}, too_few).await.unwrap_err();
    let mut rest = 0;
    let accepted = agent.deliver_seeing(
        &command,
        &chunks,
        |_| {},
        |asked| {
            rest += asked.entries.len();
            absent(asked)
        },
    );
    assert!(matches!(accepted.await.unwrap(), Ack::SummaryAccepted(_)));
    assert_eq!(rest, 50);
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    let held = site.wait_for(job, JobState::Held).await;
    assert_eq!(held.hold.as_ref().unwrap()["missing"], 150, "{held:?}");
}
