//! A server that lags, a server that cannot be compared, and an agent with another configuration mark nobody missing.

use std::time::Duration;

use jiff::Timestamp;
use postern_proto::v1;
use postern_proto::v1::agent_frame::Kind as ToControl;
use postern_proto::v1::chunk_ack::{Kind as Ack, LookAgain};
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_runtime::clock::ManualClock;
use postern_store::{AgentId, Job, JobId, JobState};
use tonic::Code;

use super::agent::{Session, Site, TestAgent, hello, raw_outcome};
use super::chunks::{Chunk, entries, people};
use super::imports::connected;
use super::second_look::missing;
use super::soon;
use crate::api::directories::{DirectoryView, ProblemKind};

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

/// An import from this source; returns its job once everything was accepted.
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

    // Once the server has caught up, it is in order: it knows what the first one knew.
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
    // Longer than the job's deadline: the decision grants that time again.
    clock.advance(Duration::from_hours(1));
    site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
    let command = soon(session.command()).await;
    agent.deliver_from(Some(restored()), &command, &entries(0..38), |_| {}, absent()).await.unwrap();
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [0, 2]);
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
    // From now on it is the known server.
    let job = import(&site, &agent, &mut session, restored(), &entries(0..38)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_a_server_that_is_behind_marks_nobody_missing_even_if_it_has_caught_up() {
    let clock = ManualClock::new(Timestamp::now());
    let site = Site::start_at(clock.shared()).await;
    let (agent, mut session) = connected(&site).await;
    let job = import(&site, &agent, &mut session, server("dc1", &[("dc1", "0500")]), &entries(0..40)).await;
    site.wait_for(job, JobState::Succeeded).await;
    clock.advance(Duration::from_hours(5));
    let job = site.start_job("corp", "import").await;
    let command = soon(session.command()).await;
    let behind = server("dc1", &[("dc1", "0300")]);
    agent.deliver_from(Some(behind), &command, &entries(0..38), |_| {}, absent()).await.unwrap_err();
    site.wait_for(job, JobState::Held).await;
    site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
    let command = soon(session.command()).await;
    let current = server("dc1", &[("dc1", "0600")]);
    agent.deliver_from(Some(current), &command, &entries(0..38), |_| {}, absent()).await.unwrap();
    session.send(raw_outcome(&command, v1::outcome::Result::Import(v1::ImportResult::default()))).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [0, 2]);
    assert_eq!(missing(&site).await, 0);
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
    // More entries than before: nothing to decide, and this configuration is the current one.
    let job = import(&site, &agent, &mut session, configured(2, 1), &entries(0..41)).await;
    let result = site.wait_for(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["other_configuration"], serde_json::json!(["users"]), "{result}");
    // Fewer entries, if only by two: below any threshold.
    let job = import(&site, &agent, &mut session, configured(3, 1), &entries(0..39)).await;
    let held = site.wait_for(job, JobState::Held).await;
    let reason = held.hold.as_ref().unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("for users than") && reason.contains("2 of 42"), "{reason}");
    site.store().reject_job(site.organization, job, "ada", None, site.now()).await.unwrap();
    assert_eq!(missing(&site).await, 0);
    let job = import(&site, &agent, &mut session, configured(3, 1), &entries(0..39)).await;
    site.wait_for(job, JobState::Held).await;
    site.store().approve_job(site.organization, job, "ada", site.now()).await.unwrap();
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [2, 0]);
    // Accepted: others are compared with it from now on.
    let job = import(&site, &agent, &mut session, configured(3, 1), &entries(0..38)).await;
    assert_eq!(figures(&site, job, ["missing", "missing_other_server"]).await, [1, 0]);
}

/// A Hello with the configuration that `corp` is read by.
fn hello_of(source: &v1::Source) -> ToControl {
    let ToControl::Hello(mut hello) = hello(&["corp"]) else { panic!("no hello") };
    hello.directories[0].users_digest = source.users_digest.clone();
    hello.directories[0].groups_digest = source.groups_digest.clone();
    ToControl::Hello(hello)
}

/// The agents that are shown as configured differently, each with the text.
async fn configured_otherwise(site: &Site) -> Vec<(AgentId, String)> {
    let directory = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap();
    let problems = DirectoryView::new(directory, site.now()).problems.into_iter();
    let problems = problems.filter(|problem| problem.kind == ProblemKind::Configuration);
    problems.map(|problem| (problem.agent.unwrap(), problem.text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_configured_otherwise_is_named_as_soon_as_it_connects() {
    let site = Site::start().await;
    let first = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut first_session = first.connect(hello_of(&configured(1, 1))).await.unwrap();
    soon(first_session.welcome()).await;
    assert_eq!(configured_otherwise(&site).await, []);

    let second = site.enroll(&site.token(&["corp"]).await).await.unwrap();
    let mut session = second.connect(hello_of(&configured(2, 1))).await.unwrap();
    soon(session.welcome()).await;
    let found = configured_otherwise(&site).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == second.id && found[0].1.contains("for users differ"), "{found:?}");
    assert!(found[0].1.contains(&format!("agent {}", first.id)), "{found:?}");

    // After a reload that makes them equal, nothing is shown.
    let ToControl::Hello(equal) = hello_of(&configured(1, 1)) else { panic!("no hello") };
    session.send(ToControl::DirectoriesChanged(v1::DirectoriesChanged { directories: equal.directories })).await;
    session.send(ToControl::Heartbeat(v1::Heartbeat { echo: true })).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::Heartbeat(_))));
    assert_eq!(configured_otherwise(&site).await, []);
    drop(session);

    // After an import this one counts, and not the other agent.
    let job = import(&site, &first, &mut first_session, configured(1, 3), &entries(0..4)).await;
    site.wait_for(job, JobState::Succeeded).await;
    let found = configured_otherwise(&site).await;
    assert_eq!(found.iter().map(|(agent, _)| *agent).collect::<Vec<_>>(), [first.id, second.id]);
    assert!(found.iter().all(|(_, text)| text.contains("for groups differ") && text.contains("the last import")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_used_stays_a_problem_of_its_directory_until_it_is_mended() {
    let site = Site::start().await;
    let (agent, mut session) = connected(&site).await;
    for (unusable, expected) in [(1, true), (0, false)] {
        let job = site.start_job("corp", "import").await;
        let command = soon(session.command()).await;
        let damage = |summary: &mut v1::chunk::Summary| summary.unusable = unusable;
        agent.deliver(&command, &entries(0..4), damage).await.unwrap();
        let result = v1::ImportResult {
            unusable,
            unusable_samples: vec!["uid=x,dc=corp: no external id".into(); usize::try_from(unusable).unwrap()],
            ..Default::default()
        };
        session.send(raw_outcome(&command, v1::outcome::Result::Import(result))).await;
        assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(_))));
        let job = site.wait_for(job, JobState::Succeeded).await;
        let directory = site.store().find_directory(site.organization, "corp").await.unwrap().unwrap();
        let shown = DirectoryView::new(directory, site.now());
        let while_it_ran = job.started_at.unwrap()..=job.finished_at.unwrap();
        assert!(shown.last_import_at.is_some_and(|at| while_it_ran.contains(&at)), "{:?}", shown.last_import_at);
        let text = shown.problems.iter().find(|problem| problem.kind == ProblemKind::Import);
        assert_eq!(text.is_some(), expected, "{:?}", shown.problems);
        assert!(text.is_none_or(|problem| problem.text.contains("1 entry of the directory (such as uid=x,dc=corp")));
    }
}
