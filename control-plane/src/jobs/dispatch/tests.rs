//! The dispatcher alone, looking when it is told to, with a session that a test reads from.

use std::sync::Arc;
use std::time::Duration;

use postern_runtime::clock::Clock as _;
use postern_runtime::lifecycle::Shutdown;
use postern_store::{Job, JobId, JobKind, JobState, NewJob};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::api::tests::{Inhabited, Organization, Site};
use crate::jobs::reach::Messages;

const LEASE: Duration = Duration::from_secs(30);

struct Office {
    site: Site,
    acme: Organization,
    inhabited: Inhabited,
    dispatcher: Arc<Dispatcher>,
    messages: Messages,
}

impl Office {
    async fn open() -> Self {
        let site = Site::new().await;
        let acme = site.organization("acme").await;
        let inhabited = site.inhabit(acme.id).await;
        let (reach, supervisor) = (Arc::new(Reach::default()), Supervisor::new(Shutdown::new()));
        let (route, messages) = Route::open(inhabited.agent, Uuid::now_v7(), CancellationToken::new());
        reach.serve(&route, &[], &[inhabited.directory]);
        let dispatcher = Dispatcher::new(site.api.store.clone(), site.clock.shared(), reach, supervisor, LEASE);
        Self { site, acme, inhabited, dispatcher: Arc::new(dispatcher), messages }
    }

    async fn start_job(&self) -> JobId {
        let new = NewJob {
            organization: self.acme.id,
            kind: JobKind::TestConnection,
            directory: self.inhabited.directory,
            input: serde_json::json!({}),
            deadline: self.site.clock.now() + Duration::from_mins(10),
            created_by: "test".to_owned(),
            idempotency_key: None,
        };
        self.site.api.store.create_job(new, self.site.clock.now()).await.unwrap().id
    }

    async fn job(&self, id: JobId) -> Job {
        self.site.api.store.job_by_id(id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_job_that_runs_here_is_not_begun_again_because_its_lease_ran_out_unnoticed() {
    let office = Office::open().await;
    let job = office.start_job().await;
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert!(matches!(office.messages.next().await, ToAgent::Command(command) if command.attempt == 1));
    // As after a night in which the machine slept, or the database did.
    office.site.clock.advance(LEASE * 2);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let running = office.job(job).await;
    assert_eq!((running.state, running.attempt), (JobState::Running, 1));
    // Another one's jobs are taken up.
    office.dispatcher.running.remove(job, 1);
    office.site.clock.advance(LEASE * 2);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(job).await.attempt, 2);
}

#[tokio::test]
async fn a_session_with_too_much_to_send_gets_its_next_job_a_little_later() {
    let office = Office::open().await;
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(office.start_job().await);
    }
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    let last = office.job(jobs[5]).await;
    assert_eq!((last.state, last.attempt, last.failures), (JobState::Queued, 1, 0), "not asked for again and again");
    assert!(last.message.is_some_and(|message| message.contains("other jobs")));
    for _ in 0..4 {
        assert!(matches!(office.messages.next().await, ToAgent::Command(_)));
    }
    office.site.clock.advance(FULL_PAUSE);
    office.dispatcher.look(Look::Everywhere).await.unwrap();
    assert_eq!(office.job(jobs[5]).await.state, JobState::Running);
}
