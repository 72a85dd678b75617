//! Sends jobs to agents. Each pass reads which jobs are due, compares them with those that run here, and repairs the
//! difference. Wake-ups only start a pass earlier.

mod answers;
mod stranded;
mod upkeep;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use postern_proto::v1;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{OnCancel, Supervisor, chain, contain};
use postern_store::{DirectoryId, Job, JobId, Release, Store, Wake};
use tokio::sync::Notify;

use super::command::Command;
use super::failure::Failure;
use super::kind::{self, Kinds};
use super::reach::{NotSent, Reach, Route, ToAgent};
use super::running::Running;
use super::running::table::RunningJob;

/// How often to look without a wake-up, because wake-ups may be lost.
const POLL: Duration = Duration::from_secs(2);
/// Jobs claimed by one statement.
const CLAIM: u32 = 64;
/// A job that was not claimed for this long has no agent at any replica.
const UNCLAIMED: Duration = Duration::from_secs(1);
/// An agent's own timeout ends a little earlier than ours, so that people see its answer.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(2);

/// How often a proven job may be resumed after a crash.
const RESUMPTIONS: u32 = 3;
/// How long a job waits if its agent's connection has no room for it.
const FULL_PAUSE: Duration = Duration::from_secs(1);

const LOST: &str = "The agent's connection was lost before the job reached it.";
const FULL: &str = "The agent is being sent other jobs. This one follows in a moment.";
const NO_AGENT: &str = "No agent that serves this directory is connected. The job starts as soon as one is.";

const START_AN_AGENT: &str = "Start an agent that serves this directory (postern agents list shows which are connected), \
     then start the job again.";

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Where jobs may be due.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nowhere: the wake-up is about something else.
    Nowhere,
    /// In these directories.
    At(Vec<DirectoryId>),
    /// Anywhere.
    Everywhere,
}

/// What the dispatcher works with.
#[derive(Debug)]
pub struct Dispatcher {
    store: Store,
    clock: SharedClock,
    reach: Arc<Reach>,
    supervisor: Supervisor,
    kinds: Kinds,
    /// The jobs that run at this replica.
    pub running: Arc<Running>,
    /// When the leases were last renewed.
    renewed_at: Mutex<Timestamp>,
    wake: Notify,
    /// Signals that the agent of a job has left.
    absent: Notify,
}

impl Dispatcher {
    /// The dispatcher of this process.
    pub fn new(running: Running, kinds: Kinds, reach: Arc<Reach>, supervisor: Supervisor) -> Self {
        Self {
            store: running.store.clone(),
            clock: Arc::clone(&running.clock),
            reach,
            supervisor,
            kinds,
            running: Arc::new(running),
            renewed_at: Mutex::new(Timestamp::MIN),
            wake: Notify::new(),
            absent: Notify::new(),
        }
    }

    /// Starts the next pass at once.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Starts the tasks that keep jobs going.
    pub fn start(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.supervisor.spawn_restarting("jobs.dispatch", OnCancel::Abort, move || Arc::clone(&this).run());
        let this = Arc::clone(self);
        self.supervisor.spawn_restarting("jobs.upkeep", OnCancel::Finish, move || Arc::clone(&this).upkeep());
        let this = Arc::clone(self);
        self.supervisor.spawn_restarting("jobs.leases", OnCancel::Abort, move || Arc::clone(&this).keep_leases());
    }

    async fn run(self: Arc<Self>) {
        while let Err(error) = self.follow_wakeups().await {
            // The next pass repairs what this one left.
            tracing::warn!(error = chain(&error), "jobs.look_failed");
            self.clock.sleep(POLL).await;
        }
    }

    async fn follow_wakeups(self: &Arc<Self>) -> Result<()> {
        let mut wakeups = self.store.listen().await?;
        let mut look = Look::Everywhere;
        loop {
            self.look(look).await?;
            look = tokio::select! {
                () = self.wake.notified() => Look::Everywhere,
                fresh = self.reach.fresh() => Look::At(fresh),
                wake = wakeups.recv() => match wake? {
                    Wake::JobReady(directory) => Look::At(vec![directory]),
                    Wake::Resync => Look::Everywhere,
                    Wake::CancelRequested(_) => {
                        self.pass_cancels_on(self.clock.now()).await?;
                        Look::Nowhere
                    }
                    Wake::JobChanged(_)
                    | Wake::AgentRevoked(_)
                    | Wake::AgentChanged(_)
                    | Wake::TokenRevoked(_)
                    | Wake::SessionMoved(_)
                    | Wake::Marked(_)
                    | Wake::PlanAsked(_) => Look::Nowhere,
                },
                () = self.clock.sleep(POLL) => Look::Everywhere,
            };
        }
    }

    /// Compares and repairs once.
    pub(crate) async fn look(self: &Arc<Self>, look: Look) -> Result<()> {
        let now = self.clock.now();
        if self.leases_may_be_over(now) {
            // Otherwise the pass would take a job with an expired lease for abandoned, and start it here a second time.
            self.renew(now).await?;
        }
        match look {
            Look::Nowhere => Ok(()),
            Look::At(mut directories) => {
                directories.retain(|directory| self.reach.reaches(*directory));
                self.claim(&directories, now).await?;
                self.claim_proven(now).await
            }
            Look::Everywhere => {
                // Usually there is no open job, which one query shows.
                if self.store.count_open_jobs().await?.is_empty() {
                    return Ok(());
                }
                for job in self.store.expire_overdue(&overdue().to_json(), &behind().to_json(), now).await? {
                    tracing::info!(job = %job.id, "jobs.deadline_passed");
                }
                for job in self.store.end_abandoned(&abandoned().to_json(), now).await? {
                    tracing::info!(job = %job.id, state = %job.state, "jobs.abandoned");
                }
                for job in self.store.fail_disabled(&Failure::disabled().to_json(), now).await? {
                    tracing::info!(job = %job.id, "jobs.directory_disabled");
                }
                let reachable = self.reach.directories();
                self.claim(&reachable, now).await?;
                self.claim_proven(now).await?;
                let before = now.checked_sub(UNCLAIMED).unwrap_or(now);
                self.store.mark_waiting(&reachable, NO_AGENT, before, now).await.map(|_| ())
            }
        }
    }

    async fn claim(self: &Arc<Self>, directories: &[DirectoryId], now: Timestamp) -> Result<()> {
        if directories.is_empty() {
            return Ok(());
        }
        loop {
            let claimed =
                self.store.claim(self.running.owner, directories, self.running.lease_until(now), now, CLAIM).await?;
            let more = claimed.len() >= CLAIM as usize;
            for job in claimed {
                self.begin(job, now).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Claims proven jobs, which are finished without an agent.
    async fn claim_proven(self: &Arc<Self>, now: Timestamp) -> Result<()> {
        for job in self.store.fail_resumed(self.running.owner, RESUMPTIONS, &crashed().to_json(), now).await? {
            tracing::error!(job = %job.id, "jobs.crashed");
        }
        for job in self.store.claim_proven(self.running.owner, self.running.lease_until(now), now, CLAIM).await? {
            let (id, attempt) = (job.id, job.attempt);
            self.running.table.insert(RunningJob::new(job, None, None));
            self.finish(id, attempt);
        }
        Ok(())
    }

    /// Sends a claimed job to an agent.
    async fn begin(self: &Arc<Self>, job: Job, now: Timestamp) -> Result<()> {
        let (id, attempt) = (job.id, job.attempt);
        let work = match self.command(&job) {
            Ok(work) => work,
            Err(failure) => {
                tracing::error!(job = %id, kind = %job.kind, reason = failure.message, "jobs.unreadable_input");
                self.running.table.insert(RunningJob::new(job, None, None));
                return self.running.fail(id, attempt, failure.to_json()).await;
            }
        };
        let directory = self.store.get_directory(job.organization, job.directory).await?;
        if directory.as_ref().is_some_and(|directory| directory.disabled) {
            self.running.table.insert(RunningJob::new(job, None, None));
            return self.running.fail(id, attempt, Failure::disabled().to_json()).await;
        }
        let (Some(directory), Some(route)) = (directory, self.choose(job.directory, attempt)) else {
            // The agent left between the pass and the claim.
            return self.running.hand_back(&job, NO_AGENT, now).await;
        };
        if attempt > 1 {
            // Chunks of an older attempt do not count.
            self.store.drop_staged(job.organization, id).await?;
        }
        if !self.store.assign_agent(&self.running.lease_of(id, attempt), route.agent()).await? {
            return Ok(());
        }
        let left = job.deadline.duration_since(now);
        let timeout = Duration::try_from(left).unwrap_or_default().saturating_sub(TIMEOUT_MARGIN).max(TIMEOUT_MARGIN);
        let command = Command { job: id, attempt, directory: directory.name, work, timeout };
        tracing::info!(job = %id, attempt, agent = %route.agent(), kind = %job.kind, "jobs.sent");
        let entry = RunningJob::new(job.clone(), Some(route.agent()), Some(Arc::clone(&route)));
        self.running.table.insert(entry.on_copy(self.uses_copy(&job)));
        let Err(reason) = route.send(ToAgent::Command(command)) else { return Ok(()) };
        self.running.table.remove(id, attempt);
        match reason {
            NotSent::Over => self.running.hand_back(&job, LOST, now).await,
            NotSent::Full => {
                let not_before = now.checked_add(FULL_PAUSE).ok();
                let release = Release { not_before, message: Some(FULL.to_owned()), count_failure: false };
                self.running.release(&job, release, now).await
            }
        }
    }

    /// The command of a job.
    fn command(&self, job: &Job) -> std::result::Result<v1::command::Kind, Failure> {
        let again = "Start the job again.";
        let kind = kind::find(self.kinds, &job.kind)
            .ok_or_else(|| Failure::new("invalid", format!("There is no job of the kind {}.", job.kind), again))?;
        kind.command(job)
            .map_err(|error| Failure::new("invalid", format!("The job's input cannot be read: {error}."), again))
    }

    /// Whether a job works on a copy of the data.
    fn uses_copy(&self, job: &Job) -> bool {
        kind::find(self.kinds, &job.kind).is_some_and(kind::Kind::uses_copy)
    }

    /// The session that gets the job: another one with each attempt, so that trouble at one agent does not use up all
    /// attempts.
    fn choose(&self, directory: DirectoryId, attempt: u32) -> Option<Arc<Route>> {
        let routes = self.reach.routes(directory);
        let place = (attempt as usize).checked_sub(1)?.checked_rem(routes.len())?;
        routes.get(place).cloned()
    }

    /// Whether no job runs at this replica.
    pub fn is_idle(&self) -> bool {
        self.running.table.lock().is_empty()
    }

    /// Finishes a job whose results were delivered and proven.
    pub fn finish(self: &Arc<Self>, job: JobId, attempt: u32) {
        let this = Arc::clone(self);
        let Some(kind) = self.running.table.change(job, attempt, |entry| entry.job.kind.clone()) else { return };
        self.supervisor.spawn("jobs.finish", OnCancel::Abort, async move {
            let Some(kind) = kind::find(this.kinds, &kind) else {
                return this.running.fail(job, attempt, Failure::unexpected().to_json()).await;
            };
            let failure = match Box::pin(contain(kind.finish(&this.running, job, attempt))).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => {
                    if error.is_permanent() {
                        tracing::error!(error = chain(&error), job = %job, "jobs.finish_failed");
                    } else {
                        // For example, the database restarts. The job may or may not have ended.
                        tracing::warn!(error = chain(&error), job = %job, "jobs.finish_interrupted");
                    }
                    (error.is_permanent() || this.is_overdue(job, attempt)).then(|| Failure::database(&error))
                }
                Err(panicked) => {
                    tracing::error!(error = chain(&panicked), job = %job, "jobs.finish_panicked");
                    Some(Failure::fault())
                }
            };
            let failed = failure.is_some();
            let ended = match failure {
                Some(failure) => this.running.fail(job, attempt, failure.to_json()).await,
                None => Ok(()),
            };
            // If it has not ended, its lease expires, and the next claim continues from what is durable.
            this.running.table.remove(job, attempt);
            if !failed || ended.is_err() {
                this.let_go_once_possible(job, attempt).await;
            }
            ended
        });
    }

    fn is_overdue(&self, job: JobId, attempt: u32) -> bool {
        let now = self.clock.now();
        self.running.table.change(job, attempt, |entry| now > entry.job.deadline) == Some(true)
    }
}

fn abandoned() -> Failure {
    Failure::new(
        "deadline",
        "The control plane that ran the job was stopped, and no agent had come back to it at its deadline.",
        START_AN_AGENT,
    )
}

fn crashed() -> Failure {
    Failure::new(
        "crashed",
        format!(
            "The control plane stopped each time it finished this job, after {RESUMPTIONS} restarts too. What was written \
             stays; nobody else was marked missing."
        ),
        "Look why it stopped: the system's log names a process that had no memory left, the control plane's log shows \
         other reasons. Give it more memory or update it, then start the job again.",
    )
}

fn behind() -> Failure {
    Failure::new(
        "deadline",
        "Another import of this directory was still running or held when the job's deadline came.",
        "Approve or reject the held import (postern jobs list shows it), or wait for the running one; then start the \
         job again.",
    )
}

fn overdue() -> Failure {
    Failure::new("deadline", "No agent took the job up before its deadline.", START_AN_AGENT)
}

#[cfg(test)]
mod tests;
