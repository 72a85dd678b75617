//! Once a second, for the jobs that run here: progress, and agents that stay away or do not answer. Leases have a task of
//! their own: behind the writes of many jobs their turn could come too late.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::supervise::{OnCancel, chain};
use postern_store::{JobId, Lease};

use super::stranded::{ABSENCE_REPLACEABLE, since};
use super::{Dispatcher, Result};
use crate::jobs::failure::Failure;
use crate::jobs::reach::ToAgent;
use crate::jobs::running::table::Entry;

const TICK: Duration = Duration::from_secs(1);
/// How long an agent may take to answer a cancel.
const CANCEL_PATIENCE: Duration = Duration::from_secs(20);
/// What is granted beyond the deadline for the agent's own answer.
const OVERTIME: Duration = Duration::from_secs(30);

/// After a restart, how long a job waits for the agent that may still be working on it.
const HOLDER_PATIENCE: Duration = Duration::from_secs(1);

enum Repair {
    Cancel(JobId, u32),
    Stop(JobId, u32, Failure),
}

impl Dispatcher {
    /// For the only process on its database, before it takes its first job: leases that are still in force are those of
    /// a process that has died. Their jobs go on at once, or within a second where an agent may come back with its work.
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

    /// Prolongs the leases, three times in the life of one.
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

    /// Whether leases may have run out, because the database or this process stood still.
    pub(super) fn leases_may_be_over(&self, now: Timestamp) -> bool {
        let renewed = *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner);
        since(renewed, now) > self.running.lease() / 2
    }

    /// Jobs whose lease was lost belong to another replica now.
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

    /// Cancels that were asked for, here or at another replica.
    pub(super) async fn pass_cancels_on(&self, now: Timestamp) -> Result<()> {
        for job in self.store.canceled_running(self.running.owner).await? {
            let mut table = self.running.table.lock();
            if let Some(entry) = table.get_mut(&job).filter(|entry| entry.canceled_at.is_none()) {
                entry.canceled_at = Some(now);
                if let Some(route) = &entry.route {
                    // One that does not arrive is made up for: the agent has only so long to answer.
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

    /// Ends a job without waiting for what its agent says to that.
    async fn stop(&self, job: JobId, attempt: u32, failure: &Failure) -> Result<()> {
        let route = self.running.table.change(job, attempt, |entry| entry.route.clone()).flatten();
        if let Some(route) = route {
            let _ = route.send(ToAgent::Cancel(job));
        }
        self.running.fail(job, attempt, failure.to_json()).await
    }

    /// Jobs of directories that were disabled under them, here or at another replica. What is proven is finished by
    /// the commit, which looks for itself.
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

    /// This process lives, so its job was not left by one that died: says so as soon as the database answers again.
    pub(super) async fn let_go_once_possible(&self, job: JobId, attempt: u32) {
        let lease = self.running.lease_of(job, attempt);
        while let Err(error) = self.store.let_go(&lease, None).await {
            if error.is_permanent() {
                return tracing::warn!(error = chain(&error), job = %job, "jobs.not_let_go");
            }
            self.clock.sleep(TICK).await;
            if !self.running.table.find(|entry| entry.job.id == job).is_empty() {
                // It was taken up again here meanwhile.
                return;
            }
        }
    }

    /// On the way out: agents keep what they work on, and the next replica that they find adopts it at once. What needs no
    /// agent can be taken up at once.
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

fn needed(entry: &Entry, now: Timestamp) -> Option<Repair> {
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
