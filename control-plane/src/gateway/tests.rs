//! The gateway with real TLS, real streams and a real database, and agents written by hand.

mod agent;
mod changed_people;
mod chunks;
mod company;
mod deleted_directories;
mod directory_order;
mod effects;
mod held_apart;
mod holds;
mod identities;
mod imports;
mod leavers;
mod left_behind;
mod limits;
mod managers;
mod mapping;
mod match_rules;
mod matching;
mod members;
mod merged_users;
mod named_groups;
mod open_deliveries;
mod own_groups;
mod own_users;
mod renamed_container;
mod returns;
mod schedules;
mod second_look;
mod shared_ids;
mod sources;

use std::future::poll_fn;
use std::time::Duration;

use jiff::Timestamp;
use postern_proto::v1;
use postern_proto::v1::agent_frame::Kind as ToControl;
use postern_proto::v1::control_frame::Kind as FromControl;
use postern_runtime::clock::ManualClock;
use postern_store::{JobState, NewEnrollmentToken, Wake};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codegen::Service as _;
use tonic::{Code, Status};

use self::agent::{Site, TestAgent, hello, raw_outcome};
use postern_engine::secrets;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_enrolls_once_connects_and_shows_its_directories() {
    let site = Site::start().await;
    let token = site.token(&[]).await;
    let agent = site.enroll(&token).await.unwrap();
    let again = site.enroll(&token).await.unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated);
    assert_eq!(site.enroll("never drawn").await.unwrap_err().code(), Code::Unauthenticated);

    let mut session = agent.connect(hello(&["corp", "lab"])).await.unwrap();
    let welcome = soon(session.welcome()).await;
    assert_eq!(welcome.protocol_version, 1);
    let directories = site.directories().await;
    assert_eq!(directories, ["corp", "lab"]);
    let known = site.store().agent_by_id(agent.id).await.unwrap().unwrap();
    assert_eq!(known.version.as_deref(), Some("1.2.3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_an_enrollment_or_a_call_has_the_time() {
    let site = Site::start().await;
    let has_the_time = |date: Option<&[u8]>| {
        let date = std::str::from_utf8(date.expect("no date")).unwrap();
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).unwrap();
        assert!(site.now().duration_since(date).abs().as_secs() <= 2, "{date}");
    };
    let refused = site.enroll("never drawn").await.unwrap_err();
    has_the_time(refused.metadata().get("date").map(tonic::metadata::MetadataValue::as_bytes));

    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut channel = agent.channel().await.unwrap();
    poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let answer = channel.call(http::Request::new(tonic::body::Body::empty())).await.unwrap();
    has_the_time(answer.headers().get("date").map(http::HeaderValue::as_bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_directories_that_the_token_names_are_announced() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&["lab"]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp", "lab"])).await.unwrap();
    let welcome = soon(session.welcome()).await;
    assert_eq!(site.directories().await, ["lab"]);
    let refused = &welcome.refused_directories;
    assert_eq!(refused.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["corp"]);
    assert!(refused[0].reason.contains("--directory corp"), "{refused:?}");
    // A reload is answered again, also when a name is invalid. Once nothing is refused any more, this is said once.
    for (names, refused) in [(vec!["hq", "lab", "Main Office"], vec!["Main Office", "hq"]), (vec!["lab"], vec![])] {
        session.send(changed(&names)).await;
        let Some(FromControl::DirectoriesRefused(answer)) = soon(session.next()).await else { panic!("no answer") };
        assert_eq!(answer.directories.into_iter().map(|one| one.name).collect::<Vec<_>>(), refused);
    }
    session.send(changed(&["lab"])).await;
    session.send(ToControl::Heartbeat(v1::Heartbeat { echo: true })).await;
    assert!(
        matches!(soon(session.next()).await, Some(FromControl::Heartbeat(_))),
        "answered though nothing is refused"
    );
}

fn changed(directories: &[&str]) -> ToControl {
    let ToControl::Hello(hello) = hello(directories) else { panic!("no hello") };
    ToControl::DirectoriesChanged(v1::DirectoriesChanged { directories: hello.directories })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused() {
    let site = Site::start().await;
    let secret = secrets::draw();
    let new = NewEnrollmentToken {
        hash: secrets::hash(&secret),
        directories: Vec::new(),
        expires_at: site.now(),
        created_by: "test".into(),
    };
    site.store().create_enrollment_token(site.organization, new, site.now()).await.unwrap();
    let refused = site.enroll(&secret).await.unwrap_err();
    assert!(refused.message().contains("expired"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_there_is_no_session_and_a_foreign_one_ends_the_handshake() {
    let site = Site::start().await;
    let stranger = site.anonymous();
    let refused = stranger.connect(hello(&[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let foreign = Site::start().await;
    let enrolled_elsewhere = foreign.enroll(&foreign.token(&[]).await).await.unwrap();
    let agent = TestAgent { address: site.server.gateway, ca: site.anonymous().ca, ..enrolled_elsewhere };
    assert!(agent.connect(hello(&[])).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_hello_of_a_version_that_both_speak() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let heartbeat = v1::agent_frame::Kind::Heartbeat(v1::Heartbeat { echo: true });
    let mut session = agent.connect(heartbeat).await.unwrap();
    assert_eq!(soon(session.end()).await.code(), Code::FailedPrecondition);

    let v1::agent_frame::Kind::Hello(mut newer) = hello(&[]) else { panic!() };
    (newer.protocol_min, newer.protocol_max) = (7, 9);
    let mut session = agent.connect(v1::agent_frame::Kind::Hello(newer)).await.unwrap();
    let refused = soon(session.end()).await;
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("update"), "{refused}");
    let known = site.store().agent_by_id(agent.id).await.unwrap().unwrap();
    assert!(known.last_error.is_some_and(|error| error.contains("refused") && error.contains("update")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_replaces_the_older() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut older = agent.connect(hello(&["corp"])).await.unwrap();
    soon(older.welcome()).await;
    let mut newer = agent.connect(hello(&["corp"])).await.unwrap();
    soon(newer.welcome()).await;
    assert!(matches!(soon(older.next()).await, Some(FromControl::Drain(_))));
    newer.send(v1::agent_frame::Kind::Heartbeat(v1::Heartbeat { echo: true })).await;
    assert!(matches!(soon(newer.next()).await, Some(FromControl::Heartbeat(beat)) if !beat.echo));
    assert_eq!(site.server.app.registry.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_three_silent_intervals_and_with_its_certificate() {
    let clock = ManualClock::new(Timestamp::now());
    let site = Site::start_at(clock.shared()).await;
    let silent = site.enroll(&site.token(&[]).await).await.unwrap();
    let lively = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut silent = silent.connect(hello(&["corp"])).await.unwrap();
    soon(silent.welcome()).await;
    let mut lively = lively.connect(hello(&["corp"])).await.unwrap();
    let interval = Duration::from_millis(soon(lively.welcome()).await.heartbeat_interval_ms.into());

    // The echo paces the clock: each interval has a heartbeat of one session and none of the other.
    while site.server.app.registry.sessions() == 2 {
        lively.send(ToControl::Heartbeat(v1::Heartbeat { echo: true })).await;
        assert!(matches!(soon(lively.next()).await, Some(FromControl::Heartbeat(_))));
        clock.advance(interval);
    }
    assert_eq!(soon(silent.end()).await.code(), Code::DeadlineExceeded);

    clock.advance(site.server.app.config.agent_certificate_lifetime);
    let Some(FromControl::Drain(drain)) = soon(lively.next()).await else { panic!("it goes on without certificate") };
    assert!(drain.reason.contains("certificate"), "{drain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_cuts_the_line_at_once_and_refuses_the_next() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    site.store().revoke_agent(site.organization, agent.id, site.now()).await.unwrap();
    let cut = tokio::time::timeout(Duration::from_secs(1), session.end()).await.expect("within a second");
    assert!(matches!(cut.code(), Code::PermissionDenied | Code::Unknown | Code::Unavailable), "{cut}");
    assert_eq!(agent.connect(hello(&["corp"])).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(agent.renew().await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_cannot_revoke_an_agent_nor_cut_its_session() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let other = site.store().create_organization("other", site.now()).await.unwrap().id;
    let mut wakes = site.store().listen().await.unwrap();
    let refused = site.store().revoke_agent(other, agent.id, site.now()).await.unwrap_err();
    assert!(matches!(refused, postern_store::Error::NotFound { .. }), "{refused:?}");
    // Once this wake-up arrives, the watcher has handled all revocations before it.
    let job = site.start_job("corp", "test_connection").await;
    assert!(matches!(soon(wakes.recv()).await.unwrap(), Wake::JobReady(_)), "somebody was woken");
    assert_eq!(soon(session.command()).await.command_id, job.to_string(), "the session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_hears_it_whatever_it_calls_and_may_enroll_anew() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let status_of = async |path: &str| {
        let mut channel = agent.channel().await.unwrap();
        poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        let call = http::Request::post(path).body(tonic::body::Body::empty()).unwrap();
        let answer = soon(channel.call(call)).await.unwrap();
        tonic::Status::from_header_map(answer.headers()).expect("a gRPC status")
    };
    let unknown = ["/", "/postern.gateway.v1.Gateway/Check", "/postern.gateway.v1.Enrollment/Check"];
    for path in unknown {
        assert_eq!(status_of(path).await.code(), Code::Unimplemented, "{path}");
    }
    site.store().revoke_agent(site.organization, agent.id, site.now()).await.unwrap();
    for path in unknown {
        let refused = status_of(path).await;
        assert_eq!(refused.code(), Code::PermissionDenied, "{path}");
        assert!(refused.message().contains("this agent was revoked"), "{refused}");
    }
    site.enroll(&site.token(&[]).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_over_the_old_one() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let renewed = agent.renew().await.unwrap();
    let mut session = renewed.connect(hello(&[])).await.unwrap();
    soon(session.welcome()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_silence_and_other_protocols_harm_nobody() {
    let site = Site::start().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(site.server.gateway).await.unwrap());
    }
    for garbage in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), &[0xff; 4096], b"\x16\x03\x01\x00\x05hello"] {
        let mut tcp = TcpStream::connect(site.server.gateway).await.unwrap();
        tcp.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        // Refused with an alert or a reset; in either case it ends.
        let _ = soon(tcp.read_to_end(&mut answer)).await;
    }
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    soon(agent.connect(hello(&[])).await.unwrap().welcome()).await;
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_out_and_its_outcome_ends_the_job() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let job = site.start_job("corp", "test_connection").await;
    let command = soon(session.command()).await;
    assert_eq!((command.command_id.clone(), command.generation), (job.to_string(), 1));
    let checks = vec![v1::CheckRow { name: "bind".into(), state: 1, ..v1::CheckRow::default() }];
    let result = v1::outcome::Result::TestConnection(v1::TestConnectionResult { checks });
    session.send(raw_outcome(&command, result)).await;
    assert!(matches!(soon(session.next()).await, Some(FromControl::OutcomeAck(ack)) if ack.generation == 1));
    let ended = site.wait_for(job, JobState::Succeeded).await;
    assert_eq!(ended.result.unwrap()["checks"][0]["state"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_is_ended() {
    let clock = ManualClock::new(Timestamp::now());
    let site = Site::start_at(clock.shared()).await;
    let mut channel = site.anonymous().channel().await.unwrap();
    let half = futures_util::stream::pending::<Result<bytes::Bytes, std::convert::Infallible>>();
    let request = http::Request::post("https://localhost/postern.gateway.v1.Enrollment/Enroll")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(axum::body::Body::from_stream(half)))
        .unwrap();
    poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let before = clock.sleepers();
    let answer = tokio::spawn(channel.call(request));
    soon(async {
        while clock.sleepers() <= before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    clock.advance(Duration::from_secs(10));
    let answer = soon(answer).await.unwrap().unwrap();
    assert_eq!(Status::from_header_map(answer.headers()).unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_agent_and_ends_the_job() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let job = site.start_job("corp", "test_connection").await;
    let command = soon(session.command()).await;
    site.store().request_cancel(site.organization, job, site.now()).await.unwrap();
    assert!(
        matches!(soon(session.next()).await, Some(FromControl::Cancel(cancel)) if cancel.command_id == job.to_string())
    );
    let error = v1::CommandError { code: v1::ErrorCode::Canceled.into(), ..Default::default() };
    session.send(raw_outcome(&command, v1::outcome::Result::Error(error))).await;
    site.wait_for(job, JobState::Canceled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_on_when_its_agent_comes_back_with_it_and_starts_anew_when_it_does_not() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let job = site.start_job("corp", "import").await;
    let first = soon(session.command()).await;

    let v1::agent_frame::Kind::Hello(mut holding) = hello(&["corp"]) else { panic!() };
    holding.held_commands =
        vec![v1::HeldCommand { command_id: first.command_id.clone(), generation: first.generation }];
    let mut session = agent.connect(v1::agent_frame::Kind::Hello(holding)).await.unwrap();
    soon(session.welcome()).await;
    assert!(matches!(
        agent.deliver(&first, &[], |summary| summary.users = 9).await,
        Ok(v1::chunk_ack::Kind::SummaryRefused(_))
    ));
    drop(session);

    let second = site.start_job("corp", "test_connection").await;
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    assert_eq!(soon(session.command()).await.command_id, second.to_string());
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    let again = soon(session.command()).await;
    assert_eq!((again.command_id, again.generation), (second.to_string(), 2), "lost with the agent's process");
    assert_ne!(job, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_an_agent_and_starts_when_one_comes() {
    let site = Site::start().await;
    let agent = site.enroll(&site.token(&[]).await).await.unwrap();
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    drop(session);
    soon(async {
        while site.server.app.registry.sessions() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let job = site.start_job("corp", "test_connection").await;
    let waiting = site.wait_for(job, JobState::Waiting).await;
    assert!(waiting.message.unwrap().contains("No agent"));
    let mut session = agent.connect(hello(&["corp"])).await.unwrap();
    soon(session.welcome()).await;
    assert_eq!(soon(session.command()).await.command_id, job.to_string());
}
