//! Events from agents: sessions that open and close, progress, outcomes.

use std::sync::Arc;

use postern_store::{AgentId, JobId, Release};

use super::{Dispatcher, Result};
use crate::jobs::command::{AgentOutcome, AgentProgress};
use crate::jobs::failure::Failure;
use crate::jobs::kind::{self, Attempt};
use crate::jobs::reach::{Route, ToAgent};
use crate::jobs::running::table::RunningJob;

const MOVED: &str = "The control plane that prepared it has stopped or lost the agent. It starts again.";
const LOST: &str = "The agent was restarted while it worked on the job. It starts again.";

impl Dispatcher {
    /// An agent has connected and lists the commands that it still holds. Their jobs continue; jobs that were lost with
    /// its process start again.
    pub async fn session_opened(self: &Arc<Self>, route: &Arc<Route>, held: &[(JobId, u32)]) -> Result<()> {
        let agent = route.agent();
        for (job, attempt) in held {
            self.take_up(route, *job, *attempt).await?;
        }
        let lost = self.running.table.find(|entry| {
            entry.agent == Some(agent) && !entry.proven && !held.contains(&(entry.job.id, entry.job.attempt))
        });
        for (job, attempt) in lost {
            if let Some(entry) = self.running.table.remove(job, attempt) {
                self.running.hand_back(&entry.job, LOST, self.clock.now()).await?;
            }
        }
        self.free_elsewhere(agent, held).await
    }

    /// Releases jobs that other replicas sent to the agent and that it no longer has, so that they need not wait for
    /// it.
    async fn free_elsewhere(&self, agent: AgentId, held: &[(JobId, u32)]) -> Result<()> {
        for job in self.store.running_of_agent(agent).await? {
            let Some(lease) = job.lease().filter(|lease| lease.owner != self.running.owner) else { continue };
            if held.contains(&(job.id, job.attempt)) {
                continue;
            }
            let release = Release { not_before: None, message: Some(LOST.to_owned()), count_failure: false };
            if self.store.release(&lease, release, self.clock.now()).await? {
                tracing::info!(job = %job.id, attempt = job.attempt, agent = %agent, reason = LOST, "jobs.released");
            }
        }
        Ok(())
    }

    /// Continues a command that an agent holds, from any replica.
    async fn take_up(self: &Arc<Self>, route: &Arc<Route>, job: JobId, attempt: u32) -> Result<()> {
        let agent = route.agent();
        let known = self.running.table.change(job, attempt, |entry| {
            if entry.agent == Some(agent) {
                entry.route = Some(Arc::clone(route));
                entry.orphaned_at = None;
            }
            entry.agent == Some(agent) && entry.canceled_at.is_none()
        });
        let wanted = match known {
            Some(wanted) => wanted,
            None => self.adopt(route, job, attempt).await?,
        };
        if !wanted {
            // The job does not need it any more: the agent stops it.
            let _ = route.send(ToAgent::Cancel(job));
        }
        Ok(())
    }

    /// Takes over the lease of a job that its agent brings from another replica, or from before a restart.
    async fn adopt(&self, route: &Arc<Route>, job: JobId, attempt: u32) -> Result<bool> {
        let until = self.running.lease_until(self.clock.now());
        if self.store.adopt(job, attempt, route.agent(), self.running.owner, until).await?.is_none() {
            return Ok(false);
        }
        let Some(job) = self.store.job_by_id(job).await? else { return Ok(false) };
        if self.uses_copy(&job) {
            // The copy that the first entries went into is not here.
            self.running.hand_back(&job, MOVED, self.clock.now()).await?;
            return Ok(false);
        }
        tracing::info!(job = %job.id, attempt, agent = %route.agent(), "jobs.adopted");
        let wanted = !job.cancel_requested;
        self.running.table.insert(RunningJob::new(job, Some(route.agent()), Some(Arc::clone(route))));
        Ok(wanted)
    }

    /// A session has ended. Its jobs wait a little for the agent to return.
    pub fn session_closed(&self, route: &Arc<Route>) {
        let now = self.clock.now();
        for entry in self.running.table.lock().values_mut() {
            if entry.route.as_ref().is_some_and(|held| Arc::ptr_eq(held, route)) {
                entry.route = None;
                entry.orphaned_at = Some(now);
                self.absent.notify_one();
            }
        }
    }

    /// Records the progress that an agent reports.
    pub fn progress(&self, agent: AgentId, reported: &AgentProgress) {
        let now = self.clock.now();
        self.running.table.change(reported.job, reported.attempt, |entry| {
            if entry.agent == Some(agent) && !entry.proven {
                entry.progress.entries_read = reported.entries_read;
                entry.progress.pages_read = reported.pages_read;
                entry.progress.phase.clone_from(&reported.phase);
                entry.progress.measure(now);
            }
        });
    }

    /// A command has ended. When this returns, the result is durable and the outcome may be acknowledged.
    pub async fn outcome(&self, agent: AgentId, outcome: AgentOutcome) -> Result<()> {
        let (id, attempt) = (outcome.job, outcome.attempt);
        let known = self.running.table.change(id, attempt, |entry| {
            entry.is(agent, attempt).then(|| (entry.job.clone(), entry.proven, entry.canceled_at.is_some()))
        });
        let Some((job, proven, canceled)) = known.flatten() else {
            // It was answered before, or the job has another attempt: nothing to do.
            tracing::debug!(job = %id, attempt, agent = %agent, "jobs.outcome_not_awaited");
            return Ok(());
        };
        tracing::debug!(job = %id, attempt, elapsed_ms = outcome.elapsed.as_millis(), "jobs.outcome");
        let answer = match outcome.result {
            // Everything is stored and proven; a later failure at the agent changes nothing.
            Err(_) if proven => return Ok(()),
            Err(failure) => {
                let next = self.running.after(&job, &failure, canceled);
                return self.running.follow(&job, next).await;
            }
            Ok(answer) => answer,
        };
        let Some(kind) = kind::find(self.kinds, &job.kind) else {
            return self.running.fail(id, attempt, Failure::unexpected().to_json()).await;
        };
        let attempt = Attempt { running: &self.running, job: job.clone(), proven, canceled };
        match kind.answered(attempt, answer, outcome.elapsed).await? {
            Some(next) => self.running.follow(&job, next).await,
            None => Ok(()),
        }
    }
}
