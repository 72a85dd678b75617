//! The jobs that run at this replica: their state, their progress, and how they end. Code that works on a job gets this
//! instead of the dispatcher.

pub mod copies;
mod endings;
pub(crate) mod table;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_store::{Job, JobId, Lease, ReplicaId, Store};
use serde_json::Value;

use self::copies::Copies;
use self::table::Table;
use super::failure::{self, Failure, Next};

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The jobs that run at this replica, and what working on them needs.
#[derive(Debug)]
pub struct Running {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: SharedClock,
    /// This process, as owner of leases.
    pub owner: ReplicaId,
    pub(crate) table: Table,
    copies: Copies,
    lease: Duration,
    progress_turn: tokio::sync::Mutex<()>,
    /// Held while the end of an import reads everything, to leave database connections for others.
    pub reading_turn: tokio::sync::Mutex<()>,
}

impl Running {
    /// The jobs of this process; none runs yet.
    pub fn new(store: Store, clock: SharedClock, lease: Duration, copies: Copies) -> Self {
        Self {
            store,
            clock,
            owner: ReplicaId::new(),
            table: Table::default(),
            copies,
            lease,
            progress_turn: tokio::sync::Mutex::default(),
            reading_turn: tokio::sync::Mutex::default(),
        }
    }

    /// This replica's lease of a job.
    pub fn lease_of(&self, job: JobId, attempt: u32) -> Lease {
        Lease { job, attempt, owner: self.owner }
    }

    /// Where the entries of a job are written: into the database, or into a copy, which is made if there is none yet.
    /// `None`: the job is not here, or there are too many copies now.
    pub(crate) async fn data_of(&self, job: JobId, attempt: u32) -> Result<Option<Store>> {
        let known = self.table.change(job, attempt, |entry| {
            (entry.job.clone(), entry.uses_copy, entry.copy.as_ref().map(|copy| copy.data.store().clone()))
        });
        let Some((job, uses_copy, data)) = known else { return Ok(None) };
        if data.is_some() || !uses_copy {
            return Ok(Some(data.unwrap_or_else(|| self.store.clone())));
        }
        let Some(copy) = self.copies.make(&self.store, &job).await? else { return Ok(None) };
        let data = copy.data.store().clone();
        let kept = self.table.change(job.id, job.attempt, |entry| entry.copy = Some(Arc::new(copy)));
        Ok(kept.map(|()| data))
    }

    /// How long a lease lasts.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// When a lease that starts now expires.
    pub(crate) fn lease_until(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.lease).unwrap_or(Timestamp::MAX)
    }

    /// What happens to a job after a failure.
    pub(crate) fn after(&self, job: &Job, failure: &Failure, canceled: bool) -> Next {
        let left = Duration::try_from(job.deadline.duration_since(self.clock.now())).unwrap_or_default();
        failure::after_failure(failure, job.failures, left, canceled || job.cancel_requested, rand::random())
    }

    /// Stores the agent's answer, which is separate from the entries, for the end of the job.
    pub(crate) async fn report(&self, job: JobId, attempt: u32, report: Value) -> Result<()> {
        self.store.set_agent_result(&self.lease_of(job, attempt), &report).await?;
        self.table.change(job, attempt, |entry| entry.report.send_replace(Some(report)));
        Ok(())
    }

    /// Writes the progress of all jobs.
    pub(crate) async fn write_progress(&self) -> Result<()> {
        for (job, attempt) in self.table.find(|entry| entry.progress.dirty) {
            self.write_progress_of(job, attempt).await?;
        }
        Ok(())
    }

    /// Writes the unwritten progress of one job. One write at a time, so that an older one does not overwrite a newer
    /// one: after a kill, a commit relies on it.
    pub(crate) async fn write_progress_of(&self, job: JobId, attempt: u32) -> Result<()> {
        let _turn = self.progress_turn.lock().await;
        let dirty = self
            .table
            .change(job, attempt, |entry| std::mem::take(&mut entry.progress.dirty).then(|| entry.progress.to_json()));
        match dirty.flatten() {
            Some(progress) => {
                self.store.set_progress(&self.lease_of(job, attempt), &progress, self.clock.now()).await.map(|_| ())
            }
            None => Ok(()),
        }
    }
}
