//! How commands are held, reported, replaced and forgotten; without a network.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::Supervisor;
use uuid::Uuid;

use super::*;
use crate::commands::ALL;
use crate::commands::kind::{Asked, Kind, Run};
use crate::deliver::DeliveryOptions;
use crate::link::Line;
use crate::roster::Roster;
use crate::served::scripted::{ScriptedDirectory, Step, user};
use crate::served::{Entry, Page, Phase, ServedDirectory};

fn commands(policy: Policy) -> Commands {
    let never = CancellationToken::new();
    let directories: Vec<Arc<dyn ServedDirectory>> = vec![
        Arc::new(ScriptedDirectory::populated("good", 3, 2)),
        Arc::new(ScriptedDirectory::new("panics", [Step::Panic])),
        Arc::new(ScriptedDirectory::new("large", [Step::Page(large())])),
        Arc::new(ScriptedDirectory::new("hangs", [Step::Wait(never)])),
    ];
    Commands::new(Context {
        kinds: ALL,
        roster: Arc::new(Roster::new(directories)),
        policy: ArcSwap::from_pointee(policy),
        passwords: None,
        line: Line::new(),
        delivery: DeliveryOptions::default(),
        clock: SystemClock::shared(),
        supervisor: Supervisor::new(Shutdown::new()),
    })
}

/// A page with a user that fits into a chunk and not into an answer.
fn large() -> Page {
    let members = vec![Bytes::from(vec![0; 1 << 10]); postern_proto::MAX_FRAME_BYTES >> 10];
    let user = Entry { members, ..user(1) };
    Page { entries: vec![user], ..Page::new(Phase::Users) }
}

/// A kind of command that a newcomer could write: all that it takes is this and its line in the list.
#[derive(Debug)]
struct Trivial;

impl Kind for Trivial {
    fn name(&self) -> &'static str {
        "trivial"
    }

    fn read(&self, asked: &v1::command::Kind) -> Option<Result<Arc<dyn Run>, Failure>> {
        matches!(asked, v1::command::Kind::TestConnection(_)).then(|| Ok(Arc::new(Self) as Arc<dyn Run>))
    }
}

impl Run for Trivial {
    fn run<'a>(&'a self, _: &'a Work) -> BoxFuture<'a, End> {
        Box::pin(async { End::Answered(v1::outcome::Result::TestConnection(v1::TestConnectionResult::default())) })
    }
}

fn request(directory: &str, kind: impl Into<Option<v1::command::Kind>>) -> Request {
    let key = Key { id: CommandId(Uuid::from_u128(7)), generation: 1 };
    let asked = Asked::read(ALL, kind.into().as_ref()).unwrap();
    Request { key, directory: directory.to_owned(), timeout: None, asked }
}

const IMPORT: Option<v1::command::Kind> = Some(v1::command::Kind::Import(v1::Import { chunk_entries: 10 }));
const TEST: Option<v1::command::Kind> = Some(v1::command::Kind::TestConnection(v1::TestConnection {}));

fn lookup(unique_value: &str) -> v1::command::Kind {
    v1::command::Kind::LookupUser(v1::LookupUser { unique_value: unique_value.to_owned() })
}

async fn outcome(commands: &Commands, session: u64) -> Arc<Outcome> {
    loop {
        for events in commands.events(session) {
            if let Event::Ended(outcome) = events {
                return outcome;
            }
        }
        commands.changed().await;
    }
}

async fn failure(commands: &Commands, request: Request) -> Failure {
    commands.accept(request).unwrap();
    outcome(commands, 1).await.result.clone().unwrap_err()
}

#[tokio::test]
async fn an_outcome_is_sent_once_a_session_until_it_is_acknowledged() {
    let commands = commands(Policy::default());
    let request = request("good", TEST);
    commands.accept(request.clone()).unwrap();
    assert!(matches!(outcome(&commands, 1).await.result, Ok(v1::outcome::Result::TestConnection(_))));
    assert!(commands.events(1).is_empty(), "sent already in this session");
    assert_eq!(commands.events(2).len(), 1, "sent again in the next");
    assert_eq!(commands.keys(), [request.key]);

    let other = Key { generation: 2, ..request.key };
    commands.acknowledge(other);
    assert!(!commands.is_idle(), "the acknowledgement was for another generation");
    commands.acknowledge(request.key);
    assert!(commands.is_idle());
    assert!(commands.events(3).is_empty());
}

#[tokio::test]
async fn a_repeated_command_runs_once_and_its_outcome_is_sent_again() {
    let commands = commands(Policy::default());
    let request = request("good", lookup("user1"));
    commands.accept(request.clone()).unwrap();
    let first = outcome(&commands, 1).await;
    commands.accept(request).unwrap();
    let second = outcome(&commands, 1).await;
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn a_newer_generation_takes_the_place_of_an_older_one() {
    let commands = commands(Policy::default());
    let older = request("hangs", IMPORT);
    commands.accept(older.clone()).unwrap();
    let newer = Request { key: Key { generation: 2, ..older.key }, ..request("good", TEST) };
    commands.accept(newer.clone()).unwrap();
    let ended = outcome(&commands, 1).await;
    assert_eq!(ended.key, newer.key);
    commands.accept(older).unwrap();
    assert_eq!(commands.keys(), [newer.key], "an older generation is not started any more");
}

#[tokio::test]
async fn a_panic_is_the_failure_of_its_command() {
    let failure = failure(&commands(Policy::default()), request("panics", IMPORT)).await;
    assert_eq!(failure.code, Code::Failed(Class::Internal));
    assert!(failure.retryable && !failure.message.contains("scripted"), "{failure:?}");
}

#[tokio::test]
async fn a_canceled_command_says_so() {
    let commands = commands(Policy::default());
    let request = request("hangs", IMPORT);
    commands.accept(request.clone()).unwrap();
    commands.cancel(request.key.id);
    assert_eq!(outcome(&commands, 1).await.result.clone().unwrap_err().code, Code::Failed(Class::Canceled));
}

#[tokio::test]
async fn a_command_that_takes_too_long_ends() {
    let limited = Request { timeout: Some(Duration::from_millis(1)), ..request("hangs", IMPORT) };
    assert_eq!(failure(&commands(Policy::default()), limited).await.code, Code::Failed(Class::Timeout));
}

#[tokio::test]
async fn what_cannot_be_done_is_answered() {
    let of = |directory: &'static str, kind: Option<v1::command::Kind>| async move {
        failure(&commands(Policy::default()), request(directory, kind)).await.code
    };
    assert_eq!(of("good", None).await, Code::Unsupported);
    assert_eq!(of("nowhere", IMPORT).await, Code::Invalid);
    assert_eq!(of("", IMPORT).await, Code::Invalid);
    assert_eq!(of("good", Some(lookup(""))).await, Code::Invalid);
    assert_eq!(of("good", Some(lookup("nobody"))).await, Code::Failed(Class::NotFound));
    assert_eq!(of("large", Some(lookup("user1"))).await, Code::Failed(Class::Directory));
}

#[tokio::test]
async fn the_policy_is_asked_first() {
    let policy = Policy { commands: Some(vec!["test_connection".into()]), ..Policy::default() };
    assert_eq!(failure(&commands(policy), request("good", lookup("user1"))).await.code, Code::Forbidden);
}

#[tokio::test]
async fn a_new_kind_is_a_file_and_a_line_in_the_list() {
    const KINDS: Kinds = &[&Trivial];
    let commands = commands(Policy::default());
    let asked = Asked::read(KINDS, TEST.as_ref()).unwrap();
    assert!(Asked::read(KINDS, IMPORT.as_ref()).unwrap().is_none(), "no kind of this list reads it");
    commands.accept(Request { asked, ..request("good", None) }).unwrap();
    assert_eq!(commands.report()[0].kind, "trivial");
    assert!(matches!(outcome(&commands, 1).await.result, Ok(v1::outcome::Result::TestConnection(_))));

    let forbidden = Policy { commands: Some(vec!["import".into()]), ..Policy::default() };
    let asked = Asked::read(KINDS, TEST.as_ref()).unwrap();
    let refused = failure(&self::commands(forbidden), Request { asked, ..request("good", None) }).await;
    assert_eq!(refused.code, Code::Forbidden);
}

#[tokio::test]
async fn handing_back_leaves_no_outcome() {
    let commands = commands(Policy::default());
    commands.accept(request("hangs", IMPORT)).unwrap();
    commands.hand_back();
    assert!(commands.is_idle());
    // The canceled task ends by itself and reports nothing.
    let supervisor = &commands.inner.context.supervisor;
    while !supervisor.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(commands.events(1).is_empty());
}

#[tokio::test]
async fn too_many_commands_at_once_are_refused_and_not_forgotten() {
    let commands = commands(Policy::default());
    (0..=MAX_RUNNING).for_each(|number| commands.accept(numbered(number, IMPORT)).unwrap());
    let refused = outcome(&commands, 1).await;
    assert_eq!(refused.key, numbered(MAX_RUNNING, IMPORT).key);
    assert!(refused.result.as_ref().unwrap_err().retryable);
    commands.accept(numbered(MAX_HELD, None)).unwrap();
    assert_eq!(outcome(&commands, 1).await.result.as_ref().unwrap_err().code, Code::Unsupported);
    assert_eq!(commands.keys().len(), MAX_RUNNING + 2);

    // What cannot even be held is refused all the same.
    (0..MAX_HELD).for_each(|number| drop(commands.accept(numbered(number, IMPORT))));
    assert_eq!(commands.keys().len(), MAX_HELD);
    let refused = |kind: Option<v1::command::Kind>| commands.accept(numbered(MAX_HELD + 1, kind)).unwrap_err();
    assert!(refused(IMPORT).retryable);
    assert_eq!(refused(None).code, Code::Unsupported);
    assert_eq!(commands.keys().len(), MAX_HELD);
}

fn numbered(number: usize, kind: Option<v1::command::Kind>) -> Request {
    let id = CommandId(Uuid::from_u128(number as u128));
    Request { key: Key { id, generation: 1 }, ..request("hangs", kind) }
}

#[tokio::test]
async fn nothing_new_wakes_nobody() {
    let commands = commands(Policy::default());
    let mut changed = Box::pin(commands.changed());
    let pending = poll_fn(|context| Poll::Ready(changed.as_mut().poll(context).is_pending())).await;
    assert!(pending);
}
