//! How a job leaves this replica: succeeded, failed, canceled, held, or handed back.

use jiff::Timestamp;
use postern_runtime::supervise::chain;
use postern_store::{Finish, Job, JobId, Release};
use serde_json::Value;

use super::{Result, Running};
use crate::jobs::failure::Next;

impl Running {
    pub(crate) async fn succeed(&self, job: JobId, attempt: u32, result: Value) -> Result<()> {
        self.end(job, attempt, Finish::Succeeded(result)).await
    }

    /// Fails a job permanently.
    pub async fn fail(&self, job: JobId, attempt: u32, error: Value) -> Result<()> {
        self.end(job, attempt, Finish::Failed(error)).await
    }

    pub(crate) async fn cancel_now(&self, job: JobId, attempt: u32) -> Result<()> {
        self.end(job, attempt, Finish::Canceled).await
    }

    /// Carries out the decision after an agent's answer.
    pub(crate) async fn follow(&self, job: &Job, next: Next) -> Result<()> {
        let (id, attempt) = (job.id, job.attempt);
        match next {
            Next::Succeed(result) => self.succeed(id, attempt, result).await,
            Next::Fail(error) => self.fail(id, attempt, error).await,
            Next::Cancel => self.cancel_now(id, attempt).await,
            Next::Retry { after, message } => {
                let now = self.clock.now();
                let not_before = now.checked_add(after).ok();
                let release = Release { not_before, message: Some(message), count_failure: true };
                self.release(job, release, now).await
            }
        }
    }

    /// Puts a job back into the queue.
    pub(crate) async fn hand_back(&self, job: &Job, message: &str, now: Timestamp) -> Result<()> {
        let release = Release { not_before: None, message: Some(message.to_owned()), count_failure: false };
        self.release(job, release, now).await
    }

    /// Holds the job for a decision. `false`: this replica no longer owns it, or it is to be canceled.
    pub(crate) async fn hold(&self, job: &Job, hold: &Value) -> Result<bool> {
        let waits = self.store.hold(&self.lease_of(job.id, job.attempt), hold, self.clock.now()).await?;
        if waits {
            self.table.remove(job.id, job.attempt);
        }
        Ok(waits)
    }

    async fn end(&self, job: JobId, attempt: u32, finish: Finish) -> Result<()> {
        let state = match &finish {
            Finish::Succeeded(_) => "succeeded",
            Finish::Failed(_) => "failed",
            Finish::Canceled => "canceled",
        };
        self.write_progress_of(job, attempt).await?;
        let finished = self.store.finish(&self.lease_of(job, attempt), &finish, self.clock.now()).await?;
        let entry = self.table.remove(job, attempt);
        if finished {
            tracing::info!(job = %job, attempt, state, "jobs.ended");
            metrics::counter!("postern_jobs_ended_total", "state" => state).increment(1);
            if let Some(entry) = entry
                && let Err(error) = self.store.drop_staged(entry.job.organization, job).await
            {
                // The job has ended anyway. What is left is deleted later.
                tracing::info!(error = chain(&error), job = %job, "jobs.leftovers_dropped_later");
            }
            Ok(())
        } else {
            tracing::warn!(job = %job, attempt, "jobs.lost_before_its_end");
            Ok(())
        }
    }

    pub(crate) async fn release(&self, job: &Job, release: Release, now: Timestamp) -> Result<()> {
        let reason = release.message.clone();
        let released = self.store.release(&self.lease_of(job.id, job.attempt), release, now).await;
        self.table.remove(job.id, job.attempt);
        if released? {
            tracing::info!(job = %job.id, attempt = job.attempt, reason, "jobs.released");
        } else {
            tracing::info!(job = %job.id, attempt = job.attempt, "jobs.moved");
        }
        Ok(())
    }
}
