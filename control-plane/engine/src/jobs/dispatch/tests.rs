//! The dispatcher alone, with passes on demand and a session that the test reads.

use crate::jobs::running::copies::Copies;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use postern_runtime::clock::{Clock as _, ManualClock};
use postern_runtime::lifecycle::Shutdown;
use postern_store::{
    AccountId, AccountKind, AgentId, AnnouncedDirectory, DatabaseUrl, DirectoryChange, ExternalKey, Flavour, Job,
    JobId, JobState, Lease, NewAccount, NewAgent, NewEnrollmentToken, NewJob, OrganizationId, ReplicaId, Sight, Switch,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::jobs::command::AgentOutcome;
use crate::jobs::failure::Next;
use crate::jobs::kind::{Attempt, InputError, Kind, Schemas, Words};
use crate::jobs::reach::{Messages, QUEUE};
use crate::jobs::report::{Ended, Report};
use serde_json::Value;

const LEASE: Duration = Duration::from_secs(30);

struct Office {
    store: Store,
    clock: ManualClock,
    acme: OrganizationId,
    directory: DirectoryId,
    user: AccountId,
    _folder: tempfile::TempDir,
    dispatcher: Arc<Dispatcher>,
    messages: Messages,
}

fn copies() -> Copies {
    Copies::below(&std::env::temp_dir().join("postern-copies"))
}

impl Office {
    async fn open() -> Self {
        Self::with(crate::kinds::ALL).await
    }

    /// An office with these kinds of job.
    async fn with(kinds: Kinds) -> Self {
        let clock = ManualClock::new("2026-11-22T22:00:00Z".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await.unwrap();
        let acme = store.create_organization("acme", clock.now()).await.unwrap().id;
        let agent = enroll(&store, acme, clock.now()).await;
        let served = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
        let directory = store.announce_directories(acme, agent, &served, clock.now()).await.unwrap()[0].id;
        let (user, group) = (account(AccountKind::User), account(AccountKind::Group));
        let user_id = user.id;
        let mut intake = store.begin_intake(acme, directory, clock.now()).await.unwrap();
        intake.insert_accounts(vec![user, group]).await.unwrap();
        intake.commit().await.unwrap();
        let (reach, supervisor) = (Arc::new(Reach::default()), Supervisor::new(Shutdown::new()));
        let (route, messages) = Route::open(agent, Uuid::now_v7(), CancellationToken::new());
        reach.serve(&route, &[], &[directory]);
        let dispatcher = Arc::new(Dispatcher::new(
            Running::new(store.clone(), clock.shared(), LEASE, copies()),
            kinds,
            reach,
            supervisor,
        ));
        Self { store, clock, acme, directory, user: user_id, _folder: folder, dispatcher, messages }
    }

    async fn start_job(&self) -> JobId {
        self.start("test_connection").await
    }

    async fn start(&self, kind: &str) -> JobId {
        let new = NewJob {
            organization: self.acme,
            kind: kind.to_owned(),
            exclusive: kind == "import",
            directory: self.directory,
            input: serde_json::json!({}),
            deadline: self.clock.now() + Duration::from_mins(10),
            created_by: "test".to_owned(),
            idempotency_key: None,
        };
        self.store.create_job(new, self.clock.now()).await.unwrap().id
    }

    /// Advances the clock until the job is in this state.
    async fn reached(&self, id: JobId, state: JobState) -> Job {
        let reached = async {
            loop {
                let job = self.job(id).await;
                if job.state == state {
                    return job;
                }
                // Small steps: a commit needs many, and its lease must not expire in between.
                self.clock.advance(Duration::from_millis(50));
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.expect("it stays in another state")
    }

    async fn job(&self, id: JobId) -> Job {
        self.store.job_by_id(id).await.unwrap().unwrap()
    }
}

async fn enroll(store: &Store, organization: OrganizationId, now: Timestamp) -> AgentId {
    let (id, end, hash) = (AgentId::new(), now + SignedDuration::from_hours(1), [1; 32]);
    let token = NewEnrollmentToken { hash, directories: Vec::new(), expires_at: end, created_by: "test".to_owned() };
    store.create_enrollment_token(organization, token, now).await.unwrap();
    let (name, serial) = ("site-1".to_owned(), "01".to_owned());
    store.enroll_agent(hash, NewAgent { id, name, version: None, serial, not_after: end }, now).await.unwrap();
    id
}

fn account(kind: AccountKind) -> NewAccount {
    let id = AccountId::new();
    NewAccount {
        id,
        kind,
        external_key: ExternalKey::from_text(&id.to_string()),
        dn: format!("cn={id}"),
        dn_key: format!("cn={id}"),
        unique_value: None,
        attributes: "{}".to_owned(),
        hash: [1; 16],
        identity: None,
        conflict: None,
        switch: Switch::On,
    }
}

#[tokio::test]
async fn a_job_that_runs_here_is_not_begun_again_because_its_lease_ran_out_unnoticed() {
    let office = Office::open().await;
    let job = office.start_job().await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert!(matches!(office.messages.next().await, ToAgent::Command(command) if command.attempt == 1));
    // As after a night in which the machine or the database was suspended.
    office.clock.advance(LEASE * 2);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let running = office.job(job).await;
    assert_eq!((running.state, running.attempt), (JobState::Running, 1));
    // A job of another owner is claimed.
    office.dispatcher.running.table.remove(job, 1);
    office.clock.advance(LEASE * 2);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(job).await.attempt, 2);
}

#[tokio::test]
async fn a_session_with_too_much_to_send_gets_its_next_job_a_little_later() {
    let office = Office::open().await;
    let mut jobs = Vec::new();
    for _ in 0..QUEUE + 2 {
        jobs.push(office.start_job().await);
    }
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let last = office.job(jobs[QUEUE + 1]).await;
    assert_eq!((last.state, last.attempt, last.failures), (JobState::Queued, 1, 0), "not asked for again and again");
    assert!(last.message.is_some_and(|message| message.contains("other jobs")));
    for _ in 0..QUEUE {
        assert!(matches!(office.messages.next().await, ToAgent::Command(_)));
    }
    office.clock.advance(FULL_PAUSE);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(jobs[QUEUE + 1]).await.state, JobState::Running);
}

#[tokio::test]
async fn what_a_killed_process_left_is_taken_up_at_once_by_the_only_process_and_not_by_one_of_several() {
    let office = Office::open().await;
    let job = office.start_job().await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert!(matches!(office.messages.next().await, ToAgent::Command(_)));
    // Another process on the same database, while the first one's lease is still valid.
    let (reach, supervisor) = (Arc::clone(&office.dispatcher.reach), Supervisor::new(Shutdown::new()));
    let (store, clock) = (office.store.clone(), office.clock.shared());
    let next =
        Arc::new(Dispatcher::new(Running::new(store, clock, LEASE, copies()), crate::kinds::ALL, reach, supervisor));
    office.clock.advance(Duration::from_secs(2));
    next.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(job).await.attempt, 1, "the first may still work on it");
    next.resume_alone().await.unwrap();
    next.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(job).await.attempt, 1, "the agent may come back with it");
    office.clock.advance(Duration::from_secs(1));
    next.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(job).await.attempt, 2);
}

/// An approved import without users, whose replica was killed after it had marked one of two accounts.
async fn killed_while_it_marked(office: &Office) -> JobId {
    let (store, acme, now) = (&office.store, office.acme, office.clock.now());
    let job = office.start("import").await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    // Without a second look that confirms it, no account counts as missing.
    let mut tx = store.begin_intake(acme, office.directory, now).await.unwrap();
    for kind in [AccountKind::User, AccountKind::Group] {
        let unseen = store.unseen_accounts(acme, office.directory, kind, |_| false).await.unwrap();
        let gone: Vec<_> = unseen.accounts.iter().map(|account| (account.id, Sight::Absent)).collect();
        tx.record_sights(job, 1, &gone).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert!(office.dispatcher.running.proven(job, 1, 0).await.unwrap());
    office.dispatcher.finish(job, 1);
    assert_eq!(office.reached(job, JobState::Held).await.hold.unwrap()["missing"], 2);
    store.approve_job(acme, job, "test", now).await.unwrap();
    let other = ReplicaId::new();
    let now = office.clock.now();
    let claimed = store.claim_proven(other, now + LEASE, now, 1).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    let lease = Lease { job, attempt: 1, owner: other };
    assert!(store.set_progress(&lease, &serde_json::json!({ "missing_planned": 2 }), now).await.unwrap());
    let mut tx = store.begin_intake(acme, office.directory, now).await.unwrap();
    assert_eq!(tx.mark_missing(job, &[office.user]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    office.clock.advance(LEASE * 2);
    job
}

#[tokio::test]
async fn a_commit_killed_between_two_marked_accounts_is_resumed_and_reports_both() {
    let office = Office::open().await;
    let job = killed_while_it_marked(&office).await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let result = office.reached(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["missing"], 2, "{result}");
    let store = &office.store;
    for kind in [AccountKind::User, AccountKind::Group] {
        assert_eq!(store.count_present(office.acme, office.directory, kind).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_commit_that_had_begun_to_mark_goes_on_though_its_directory_is_disabled_and_the_job_canceled() {
    let office = Office::open().await;
    let job = killed_while_it_marked(&office).await;
    let store = &office.store;
    let now = office.clock.now();
    let disabled = DirectoryChange { disabled: Some(true), ..DirectoryChange::default() };
    store.update_directory(office.acme, office.directory, disabled).await.unwrap();
    assert!(store.request_cancel(office.acme, job, now).await.unwrap().cancel_requested);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let result = office.reached(job, JobState::Succeeded).await.result.unwrap();
    assert_eq!(result["missing"], 2, "{result}");
}

/// A kind of job that only this test defines.
#[derive(Debug)]
struct Greeting;

#[derive(utoipa::ToSchema)]
struct Nothing {}

#[async_trait::async_trait]
impl Kind for Greeting {
    fn words(&self) -> Words {
        Words { name: "greeting", word: "greeting", about: "Greet", noun: "greeting" }
    }

    fn deadline(&self) -> Duration {
        Duration::from_mins(1)
    }

    fn report(&self, _: Ended<'_>, report: &mut Report) {
        report.line("hello");
    }

    fn schemas(&self) -> Schemas {
        Schemas::of::<Nothing, Nothing>()
    }

    fn input(&self, _: &Value) -> std::result::Result<Value, InputError> {
        Ok(Value::Null)
    }

    fn command(&self, _: &Job) -> std::result::Result<v1::command::Kind, InputError> {
        Ok(v1::command::Kind::TestConnection(v1::TestConnection {}))
    }

    async fn answered(&self, attempt: Attempt<'_>, _: v1::outcome::Result, _: Duration) -> Result<Option<Next>> {
        Ok(Some(Next::Succeed(serde_json::json!({ "greeted": attempt.job.kind }))))
    }

    async fn finish(&self, _: &Arc<Running>, _: JobId, _: u32) -> Result<()> {
        Err(postern_store::Error::Conflict { what: "the database is away".to_owned(), source: None })
    }
}

#[tokio::test]
async fn a_kind_that_only_its_own_file_knows_is_carried_out() {
    let office = Office::with(&[&Greeting]).await;
    let job = office.start("greeting").await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let ToAgent::Command(command) = office.messages.next().await else { panic!("no command") };
    assert_eq!(command.job, job);
    let result = Ok(v1::outcome::Result::TestConnection(v1::TestConnectionResult::default()));
    let outcome = AgentOutcome { job, attempt: 1, elapsed: Duration::ZERO, result };
    office.dispatcher.outcome(office.job(job).await.agent.unwrap(), outcome).await.unwrap();
    assert_eq!(office.job(job).await.result.unwrap()["greeted"], "greeting");
    let unknown = office.start("import").await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let error = office.job(unknown).await.error.unwrap();
    assert_eq!(error["message"], "There is no job of the kind import.");
}

#[tokio::test]
async fn a_commit_that_stops_every_process_is_not_taken_up_for_ever() {
    let office = Office::open().await;
    let (store, acme) = (&office.store, office.acme);
    let job = office.start("import").await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert!(office.dispatcher.running.proven(job, 1, 0).await.unwrap());
    office.dispatcher.running.table.remove(job, 1);
    for _ in 0..RESUMPTIONS {
        office.clock.advance(LEASE * 2);
        let now = office.clock.now();
        // Each of them is killed before it has finished.
        let claimed = store.claim_proven(ReplicaId::new(), now + LEASE, now, 1).await.unwrap();
        assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    }
    office.clock.advance(LEASE * 2);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let failed = office.job(job).await;
    assert_eq!((failed.state, failed.attempt), (JobState::Failed, 1));
    let error = failed.error.unwrap();
    assert_eq!(error["code"], "crashed");
    assert!(error["cure"].as_str().unwrap().contains("memory"), "{error}");
    assert!(office.dispatcher.is_idle());
    for kind in [AccountKind::User, AccountKind::Group] {
        assert_eq!(store.count_present(acme, office.directory, kind).await.unwrap(), 1, "nobody is marked missing");
    }
}

#[tokio::test]
async fn a_process_that_lives_on_or_stops_in_good_order_is_not_taken_for_dead() {
    for stops in [true, false] {
        let office = Office::with(&[&Greeting]).await;
        let job = office.start("greeting").await;
        office.dispatcher.look(Look::Everywhere).await.unwrap();
        assert!(office.dispatcher.running.proven(job, 1, 0).await.unwrap());
        if stops {
            office.dispatcher.release_leases().await;
        } else {
            office.dispatcher.finish(job, 1);
        }
        let let_go = async {
            while office.job(job).await.owner.is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), let_go).await.expect("it keeps the job");
        let now = office.clock.now();
        // Only a job that was given up in good order can be claimed at once.
        let claimed = office.store.claim_proven(ReplicaId::new(), now + LEASE, now, 1).await.unwrap();
        assert_eq!(claimed.len(), usize::from(stops));
    }
}
