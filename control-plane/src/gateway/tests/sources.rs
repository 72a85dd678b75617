//! A server that is behind, another one that cannot be compared, and an agent that is configured otherwise mark nobody.

use std::time::Duration;

use jiff::Timestamp;
use postern_proto::v1;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_runtime::clock::ManualClock;
use postern_store::{Job, JobId, JobState};
use tonic::Code;

use super::agent::{Session, Site, TestAgent, raw_outcome};
use super::chunks::{Chunk, entries, people};
use super::imports::connected;
use super::second_look::missing;
use super::soon;

fn server(id: &str, marks: &[(&str, &str)]) -> v1::Source {
    let mark = |(server, value): &(&str, &str)| v1::Mark { server: (*server).into(), value: (*value).into() };
    v1::Source { server: id.into(), marks: marks.iter().map(mark).collect(), ..v1::Source::default() }
}

fn configured(users: u8, groups: u8) -> v1::Source {
    let digest = |byte: u8| vec![byte; 32].into();
    v1::Source { users_digest: digest(users), groups_digest: digest(groups), ..server("dc1", &[]) }
}

fn absent() -> impl FnMut(&LookAgain) -> Option<Vec<v1::Sight>> {
    |asked| Some(vec![v1::Sight::Absent; asked.entries.len()])
}

/// An import from there; gives its job once everything was accepted.
async fn import(site: &Site, agent: &TestAgent, session: &mut Session, source: v1::Source, chunks: &[Chunk]) -> JobId {
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let accepted = agent.deliver_from(Some(source), &command, chunks, |_| {}, absent()).await.unwrap();
    assert!(matches!(accepted, Ack::SummaryAccepted(_)), "{accepted:?}");
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
    job
}

async fn figures(site: &Site, job: JobId, names: [&str; 2]) -> [u64; 2] {
    let Job { result, .. } = site.wait_for(job, JobState::Succeeded).await;
    let result = result.unwrap();
    names.map(|name| result[name].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_from_a_server_that_is_behind_the_last_one() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let ahead = server("dc1", &[("dc1", "0500"), ("dc2", "0020")]);
    let job = import(&site, &agent, &mut session, ahead, &people(&[("1", "anna"), ("2", "bert")])).await;
    site.wait_for(job, JobState::Succeeded).await;

    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let lagging = server("dc2", &[("dc2", "0900"), ("dc1", "0499")]);
    let older = people(&[("1", "anna.before")]);
    let refused = agent.deliver_from(Some(lagging), &command, &older, |_| {}, absent()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    let waiting = site.wait_for(job, JobState::Queued).await;
    assert!(waiting.message.as_ref().is_some_and(|message| message.contains("is behind")), "{waiting:?}");
    assert_eq!((waiting.failures, missing(&site).await), (1, 0));
    let users = site.store().list_users(site.organization, None, &postern_store::PageRequest::first(10)).await.unwrap();
    assert!(users.items.iter().all(|user| user.user_name != "anna.before"), "{users:?}");

    // Once it has caught up, all is well: it knows what the first one knew.
    site.store().request_cancel(site.organization, job, site.now()).await.unwrap();
    let caught_up = server("dc2", &[("dc2", "0901"), ("dc1", "0500")]);
    let job = import(&site, &agent, &mut session, caught_up, &people(&[("1", "anna")])).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_server_that_would_be_behind_for_ever_waits_for_an_administrator_to_accept_it() {
    let clock = ManualClock::new(Timestamp::now());
    let site = Site::start_at(clock.shared()).await;
    let (agent, mut session) = connected(&site).await;
    let job = import(&site, &agent, &mut session, server("dc1", &[("dc1", "0500")]), &entries(0..40)).await;
    site.wait_for(job, JobState::Succeeded).await;
    clock.advance(Duration::from_hours(5));
    let restored = || server("dc1", &[("dc1", "0300")]);
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let refused = agent.deliver_from(Some(restored()), &command, &entries(0..38), |_| {}, absent()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    let held = site.wait_for(job, JobState::Held).await;
    let reason = held.hold.as_ref().unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("restored from a backup"), "{reason}");
    site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
    let command = soon(session.command()).await;
    agent.deliver_from(Some(restored()), &command, &entries(0..38), |_| {}, absent()).await.unwrap();
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [0, 2]);
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
    // From now on it is the one that is known.
    let job = import(&site, &agent, &mut session, restored(), &entries(0..38)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_import_from_another_server_that_cannot_be_compared_marks_nobody() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let job = import(&site, &agent, &mut session, server("one", &[]), &entries(0..40)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [0, 0]);
    let job = import(&site, &agent, &mut session, server("other", &[]), &entries(0..38)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [0, 2]);
    assert_eq!(missing(&site).await, 0);
    let job = import(&site, &agent, &mut session, server("other", &[]), &entries(0..38)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_configured_otherwise_marks_nobody_until_an_administrator_accepts_it() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    let job = import(&site, &agent, &mut session, configured(1, 1), &entries(0..40)).await;
    site.wait_for(job, JobState::Succeeded).await;
    // More than before: there is nothing to decide, and the configuration is the one from now on.
    let job = import(&site, &agent, &mut session, configured(2, 1), &entries(0..41)).await;
    let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["other_configuration"], serde_json::json!(["users"]), "{result}");
    // Fewer, if only by two: below any threshold.
    let job = import(&site, &agent, &mut session, configured(3, 1), &entries(0..39)).await;
    let held = site.wait_for(job, JobState::Held).await;
    let reason = held.hold.as_ref().unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("for users than") && reason.contains("2 of 42"), "{reason}");
    site.store().reject_job(site.organization, job, "ada", site.now()).await.unwrap();
    assert_eq!(missing(&site).await, 0);
    let job = import(&site, &agent, &mut session, configured(3, 1), &entries(0..39)).await;
    site.wait_for(job, JobState::Held).await;
    site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [2, 0]);
    // Accepted: from now on it is the one that others are compared with.
    let job = import(&site, &agent, &mut session, configured(3, 1), &entries(0..38)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [1, 0]);
}
