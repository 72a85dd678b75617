//! Periodic upkeep of the jobs that run here: progress, and agents that are absent or do not answer. Leases are renewed
//! by a task of their own, because the writes of many jobs could delay them too long.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::supervise::{OnCancel, chain};
use postern_store::{JobId, Lease};

use super::stranded::{ABSENCE_REPLACEABLE, since};
use super::{Dispatcher, Result};
use crate::jobs::failure::Failure;
use crate::jobs::reach::ToAgent;
use crate::jobs::running::table::RunningJob;

const TICK: Duration = Duration::from_secs(1);
/// How long an agent may take to answer a cancel.
const CANCEL_PATIENCE: Duration = Duration::from_secs(20);
/// Extra time after the deadline for the agent's own answer.
const OVERTIME: Duration = Duration::from_secs(30);

/// After a restart, how long a job waits for an agent that may still be working on it.
const HOLDER_PATIENCE: Duration = Duration::from_secs(1);

enum Repair {
    Cancel(JobId, u32),
    Stop(JobId, u32, Failure),
}

impl Dispatcher {
    /// For the only process on its database, before its first claim: leases that are still valid belong to a process
    /// that has died. Their jobs continue at once, or within a second if an agent may still be working on them.
    pub async fn resume_alone(self: &Arc<Self>) -> Result<()> {
        let now = self.clock.now();
        let patience = now.checked_add(HOLDER_PATIENCE).unwrap_or(now);
        let left = self.store.end_leases(patience, now).await?;
        if left == 0 {
            return Ok(());
        }
        tracing::info!(jobs = left, "jobs.resumed");
        let this = Arc::clone(self);
        self.supervisor.spawn("jobs.resume", OnCancel::Abort, async move {
            this.clock.sleep(HOLDER_PATIENCE).await;
            this.wake();
            Ok::<(), postern_store::Error>(())
        });
        Ok(())
    }

    pub(super) async fn upkeep(self: Arc<Self>) {
        let stopping = self.supervisor.shutdown().stopping().clone();
        loop {
            let pause = tokio::select! {
                () = self.absent.notified() => ABSENCE_REPLACEABLE,
                () = self.clock.sleep(TICK) => Duration::ZERO,
                () = stopping.cancelled() => return self.release_leases().await,
            };
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = stopping.cancelled() => return self.release_leases().await,
            }
            let now = self.clock.now();
            if let Err(error) = self.tick(now).await {
                tracing::warn!(error = chain(&error), "jobs.upkeep_failed");
            }
        }
    }

    /// Renews the leases, three times per lease.
    pub(super) async fn keep_leases(self: Arc<Self>) {
        loop {
            self.clock.sleep(self.running.lease() / 3).await;
            if let Err(error) = self.renew(self.clock.now()).await {
                tracing::warn!(error = chain(&error), "jobs.leases_not_renewed");
            }
        }
    }

    async fn tick(&self, now: Timestamp) -> Result<()> {
        if self.running.table.lock().is_empty() {
            return Ok(());
        }
        self.running.write_progress().await?;
        self.pass_cancels_on(now).await?;
        self.end_disabled().await?;
        for repair in self.repairs(now) {
            self.repair(repair).await?;
        }
        self.look_after_stranded(now).await
    }

    /// Whether leases may have expired, because the database or this process stood still.
    pub(super) fn leases_may_be_over(&self, now: Timestamp) -> bool {
        let renewed = *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner);
        since(renewed, now) > self.running.lease() / 2
    }

    /// Renews leases. Jobs whose lease was lost belong to another replica now.
    pub(super) async fn renew(&self, now: Timestamp) -> Result<()> {
        let held: Vec<Lease> = self
            .running
            .table
            .find(|_| true)
            .into_iter()
            .map(|(job, attempt)| self.running.lease_of(job, attempt))
            .collect();
        for lost in self.store.renew_leases(&held, self.running.lease_until(now)).await? {
            if let Some(Lease { job, attempt, .. }) = held.iter().find(|lease| lease.job == lost) {
                self.lost(*job, *attempt).await?;
            }
        }
        *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// Passes on cancels that were requested here or at another replica.
    pub(super) async fn pass_cancels_on(&self, now: Timestamp) -> Result<()> {
        for job in self.store.canceled_running(self.running.owner).await? {
            let mut table = self.running.table.lock();
            if let Some(entry) = table.get_mut(&job).filter(|entry| entry.canceled_at.is_none()) {
                entry.canceled_at = Some(now);
                if let Some(route) = &entry.route {
                    // A lost cancel does not matter: the agent has only limited time to answer.
                    let _ = route.send(ToAgent::Cancel(job));
                }
            }
        }
        Ok(())
    }

    fn repairs(&self, now: Timestamp) -> Vec<Repair> {
        self.running
            .table
            .lock()
            .values()
            .filter(|entry| !entry.proven)
            .filter_map(|entry| needed(entry, now))
            .collect()
    }

    async fn repair(&self, repair: Repair) -> Result<()> {
        match repair {
            Repair::Cancel(job, attempt) => self.running.cancel_now(job, attempt).await,
            Repair::Stop(job, attempt, failure) => self.stop(job, attempt, &failure).await,
        }
    }

    /// Ends a job without waiting for the agent's answer.
    async fn stop(&self, job: JobId, attempt: u32, failure: &Failure) -> Result<()> {
        let route = self.running.table.change(job, attempt, |entry| entry.route.clone()).flatten();
        if let Some(route) = route {
            let _ = route.send(ToAgent::Cancel(job));
        }
        self.running.fail(job, attempt, failure.to_json()).await
    }

    /// Ends jobs of directories that were disabled here or at another replica. Proven jobs are left to the commit,
    /// which checks by itself.
    async fn end_disabled(&self) -> Result<()> {
        for job in self.store.disabled_running(self.running.owner).await? {
            let attempt =
                self.running.table.lock().get(&job).filter(|entry| !entry.proven).map(|entry| entry.job.attempt);
            if let Some(attempt) = attempt {
                self.stop(job, attempt, &Failure::disabled()).await?;
            }
        }
        Ok(())
    }

    /// Gives a proven job up as soon as the database answers again, so that it does not count as left by a dead
    /// process.
    pub(super) async fn let_go_once_possible(&self, job: JobId, attempt: u32) {
        let lease = self.running.lease_of(job, attempt);
        while let Err(error) = self.store.let_go(&lease, None).await {
            if error.is_permanent() {
                return tracing::warn!(error = chain(&error), job = %job, "jobs.not_let_go");
            }
            self.clock.sleep(TICK).await;
            if !self.running.table.find(|entry| entry.job.id == job).is_empty() {
                // It was claimed here again in the meantime.
                return;
            }
        }
    }

    /// At shutdown: agents keep what they work on, and the next replica that they connect to adopts it at once. Jobs
    /// that need no agent can be claimed at once.
    pub(super) async fn release_leases(&self) {
        let now = self.clock.now();
        for (job, attempt) in self.running.table.find(|entry| entry.proven) {
            if let Err(error) = self.store.let_go(&self.running.lease_of(job, attempt), Some(now)).await {
                tracing::debug!(error = chain(&error), job = %job, "jobs.not_let_go");
            }
        }
        if let Err(error) = self.running.write_progress().await {
            tracing::debug!(error = chain(&error), "jobs.last_progress_not_written");
        }
    }
}

fn needed(entry: &RunningJob, now: Timestamp) -> Option<Repair> {
    let (id, attempt) = (entry.job.id, entry.job.attempt);
    if let Some(canceled) = entry.canceled_at
        && (entry.route.is_none() || since(canceled, now) > CANCEL_PATIENCE)
    {
        return Some(Repair::Cancel(id, attempt));
    }
    if now > entry.job.deadline && since(entry.job.deadline, now) > OVERTIME {
        return Some(Repair::Stop(id, attempt, overdue()));
    }
    None
}

fn overdue() -> Failure {
    Failure::new(
        "timeout",
        "The job did not end before its deadline.",
        "Look into the agent's log for what it waits for, then start the job again.",
    )
}
