//! Coming, going and coming back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postern_agent::identity::IdentitySource;
use postern_agent::policy::Policy;
use postern_agent::served::scripted::{ScriptedDirectory, Step};
use postern_agent::session::run::SessionOptions;
use postern_proto::MAX_FRAME_BYTES;
use postern_proto::v1::agent_frame::Kind as Up;
use postern_proto::v1::control_frame::Kind as Down;
use postern_proto::v1::{
    Command, ControlFrame, Drain, ErrorCode, Flavour, Import, LookupUser, TestConnection, command, outcome,
};
use postern_runtime::clock::ManualClock;
use tokio_util::sync::CancellationToken;

use crate::agent::{Running, start, start_with};
use crate::gateway::{FakeGateway, now, within};
use crate::line::CuttableLine;
use crate::pki::WEEK;

fn corp() -> ScriptedDirectory {
    ScriptedDirectory::populated("corp", 10, 5)
}

async fn connected() -> (FakeGateway, Running) {
    let gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let running = start(identity, corp());
    (gateway, running)
}

async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_introduces_itself() {
    let (mut gateway, running) = connected().await;
    let session = gateway.session().await;
    let hello = &session.hello;
    assert_eq!((hello.protocol_min, hello.protocol_max), (1, 1));
    assert_eq!(hello.directories[0].name, "corp");
    assert_eq!(hello.directories[0].flavour(), Flavour::Openldap);
    assert!(hello.held_commands.is_empty());
    assert!(hello.os.starts_with(std::env::consts::OS));
    until(|| running.agent.status().session.state == "connected").await;
}

#[tokio::test]
async fn an_unknown_command_is_answered_and_never_dropped() {
    let (mut gateway, _running) = connected().await;
    let mut session = gateway.session().await;
    session.command(1, 1, None).await;
    let outcome = session.outcome().await;
    let Some(outcome::Result::Error(error)) = outcome.result else { panic!("{outcome:?}") };
    assert_eq!(error.code(), ErrorCode::Unsupported);
}

#[tokio::test]
async fn a_command_whose_id_cannot_be_read_is_answered_all_the_same() {
    let (mut gateway, running) = connected().await;
    let mut session = gateway.session().await;
    let test = Some(command::Kind::TestConnection(TestConnection {}));
    let directory = "corp".to_owned();
    session
        .send(Down::Command(Command { command_id: "7".into(), generation: 2, directory, timeout_ms: 0, kind: test }))
        .await;
    let outcome = session.outcome().await;
    assert_eq!((outcome.command_id.as_str(), outcome.generation), ("7", 2));
    let Some(outcome::Result::Error(error)) = outcome.result else { panic!("{outcome:?}") };
    assert_eq!(error.code(), ErrorCode::Invalid);
    assert!(running.agent.status().commands.is_empty(), "held");
}

#[tokio::test]
async fn a_frame_of_a_kind_that_only_a_newer_control_plane_knows_is_passed_over() {
    let (mut gateway, _running) = connected().await;
    let mut session = gateway.session().await;
    for _ in 0..3 {
        session.down.send(Ok(ControlFrame { kind: None })).await.unwrap();
    }
    let id = session.command(1, 1, Some(command::Kind::TestConnection(TestConnection {}))).await;
    assert_eq!(session.outcome().await.command_id, id);
    assert!(!gateway.has_session(), "the session was given up");
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_never_taken_up_and_costs_no_more_than_its_session() {
    let (mut gateway, running) = connected().await;
    let mut session = gateway.session().await;
    let lookup = |bytes| Some(command::Kind::LookupUser(LookupUser { unique_value: "x".repeat(bytes) }));
    session.command(1, 1, lookup(MAX_FRAME_BYTES - 1024)).await;
    let outcome = session.outcome().await;
    session.acknowledge(&outcome).await;
    session.command(2, 1, lookup(MAX_FRAME_BYTES)).await;
    session.ended().await;
    let session = gateway.session().await;
    assert!(session.hello.held_commands.is_empty(), "{:?}", session.hello.held_commands);
    let told = running.agent.status().session.last_error.unwrap();
    assert!(format!("{told:?}").contains("too large"), "{told:?}");
}

#[tokio::test]
async fn a_version_that_this_agent_does_not_speak_is_no_session() {
    let mut gateway = FakeGateway::start().await;
    gateway.shared.protocol_version.store(2, Ordering::Relaxed);
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let running = start(identity, corp());
    let mut session = gateway.session().await;
    session.ended().await;
    until(|| running.agent.status().session.last_error.is_some()).await;
    let status = running.agent.status().session;
    assert!(status.last_error.unwrap().error.contains("protocol version 2"));
    assert_ne!(status.state, "connected");
}

#[tokio::test]
async fn an_outcome_is_sent_again_after_a_cut_until_it_is_acknowledged() {
    let mut gateway = FakeGateway::start().await;
    let line = CuttableLine::to(gateway.address).await;
    let identity = gateway.shared.authority.identity(&line.address.to_string(), WEEK);
    let running = start(identity, corp());
    let mut session = gateway.session().await;
    let id = session.command(1, 1, Some(command::Kind::TestConnection(TestConnection {}))).await;
    let first = session.outcome().await;
    assert_eq!(first.command_id, id);
    line.cut();

    let mut session = gateway.session().await;
    assert_eq!(session.hello.held_commands[0].command_id, id);
    let second = session.outcome().await;
    assert_eq!(second, first);
    session.acknowledge(&second).await;
    until(|| running.agent.status().commands.is_empty()).await;
    line.cut();
    assert!(gateway.session().await.hello.held_commands.is_empty());
}

#[tokio::test]
async fn a_command_keeps_running_over_a_cut() {
    let mut gateway = FakeGateway::start().await;
    let line = CuttableLine::to(gateway.address).await;
    let identity = gateway.shared.authority.identity(&line.address.to_string(), WEEK);
    let go_on = CancellationToken::new();
    let _running = start(identity, corp().after(Step::Wait(go_on.clone())));
    let session = gateway.session().await;
    let id = session.command(1, 1, Some(command::Kind::Import(Import { chunk_entries: 5 }))).await;
    line.cut();
    let mut session = gateway.session().await;
    if session.hello.held_commands.is_empty() {
        // The cut was quicker than the command.
        session.command(1, 1, Some(command::Kind::Import(Import { chunk_entries: 5 }))).await;
    }
    go_on.cancel();
    let outcome = session.outcome().await;
    assert_eq!(outcome.command_id, id);
    assert!(matches!(outcome.result, Some(outcome::Result::Import(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_reload_is_announced() {
    let (mut gateway, running) = connected().await;
    let mut session = gateway.session().await;
    let other = Arc::new(ScriptedDirectory::populated("other", 1, 1));
    running.agent.reload(vec![other], Policy::default());
    let Up::DirectoriesChanged(changed) = session.next().await else { panic!("not a change of directories") };
    assert_eq!(changed.directories.len(), 1);
    assert_eq!(changed.directories[0].name, "other");
}

#[tokio::test]
async fn a_drain_is_followed_and_its_delay_honoured() {
    let clock = ManualClock::new(now());
    let mut gateway = FakeGateway::start_with(clock.shared()).await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let running = start_with(IdentitySource::in_memory(identity), corp(), clock.shared());
    let mut session = gateway.session().await;
    until(|| running.agent.status().session.state == "connected").await;
    session.send(Down::Drain(Drain { retry_after_ms: 60_000, reason: "restart".to_owned() })).await;
    session.ended().await;
    drop(session);
    until(|| running.agent.status().session.state == "disconnected").await;
    clock.advance(Duration::from_millis(59_999));
    tokio::task::yield_now().await;
    assert_eq!(running.agent.status().session.state, "disconnected");
    assert!(!gateway.has_session());
    clock.advance(Duration::from_secs(1));
    gateway.session().await;
}

#[tokio::test]
async fn a_silent_line_is_given_up() {
    let clock = ManualClock::new(now());
    let mut gateway = FakeGateway::start_with(clock.shared()).await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let running = start_with(IdentitySource::in_memory(identity), corp(), clock.shared());
    // Held, and never answered: the heartbeats of the agent find no echo.
    let _silent = gateway.session().await;
    until(|| running.agent.status().session.state == "connected").await;
    within(async {
        while running.agent.status().session.last_error.is_none() {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    })
    .await;
    let error = running.agent.status().session.last_error.unwrap().error;
    assert!(error.contains("no frame from the control plane"), "{error}");
}

#[tokio::test]
async fn stopping_lets_a_short_command_end_and_begins_no_other() {
    let mut gateway = FakeGateway::start().await;
    let identity = gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let go_on = CancellationToken::new();
    let running = start(identity, corp().after(Step::Wait(go_on.clone())));
    let mut session = gateway.session().await;
    let id = session.command(1, 1, Some(command::Kind::Import(Import { chunk_entries: 5 }))).await;
    until(|| running.agent.status().commands.iter().any(|command| command.running)).await;
    running.supervisor.shutdown().stop();
    until(|| running.agent.status().session.state == "draining").await;
    session.command(2, 1, Some(command::Kind::TestConnection(TestConnection {}))).await;
    go_on.cancel();
    let outcome = session.outcome().await;
    assert_eq!(outcome.command_id, id, "a command that came while draining is not begun");
    session.acknowledge(&outcome).await;
    session.ended().await;
    drop(session);
    within(running.supervisor.join()).await.unwrap();
}

#[tokio::test]
async fn stopping_hands_a_long_command_back_to_be_started_elsewhere() {
    let clock = ManualClock::new(now());
    let mut gateway = FakeGateway::start_with(clock.shared()).await;
    let identity = || gateway.shared.authority.identity(&gateway.address.to_string(), WEEK);
    let (stopped, other) = (identity(), identity());
    let hangs = corp().after(Step::Wait(CancellationToken::new()));
    let first = start_with(IdentitySource::in_memory(stopped), hangs, clock.shared());
    let mut session = gateway.session().await;
    let import = || Some(command::Kind::Import(Import { chunk_entries: 5 }));
    session.command(1, 1, import()).await;
    until(|| first.agent.status().commands.iter().any(|command| command.running)).await;
    first.supervisor.shutdown().stop();
    until(|| first.agent.status().session.state == "draining").await;
    assert_eq!(first.agent.status().commands.len(), 1, "it has some time to end");
    clock.advance(SessionOptions::default().drain_timeout);
    assert_eq!(session.try_outcome().await, None, "it is not reported");
    drop(session);
    within(first.supervisor.join()).await.unwrap();
    assert!(first.agent.status().commands.is_empty());

    let _second = start_with(IdentitySource::in_memory(other), corp(), clock.shared());
    let mut session = gateway.session().await;
    assert!(session.hello.held_commands.is_empty());
    let id = session.command(1, 2, import()).await;
    let outcome = session.outcome().await;
    assert_eq!((&outcome.command_id, outcome.generation), (&id, 2));
    assert!(matches!(outcome.result, Some(outcome::Result::Import(_))), "{outcome:?}");
}
