//! Writes of the replica that runs a job. Each is fenced: it takes effect only while the attempt and the owner are the
//! claimed ones, and returns whether it did.

use jiff::Timestamp;
use serde_json::Value;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{AgentId, DirectoryId, JobId};
use crate::open_jobs::open_jobs;
use crate::records::{Finish, Lease, Release};
use crate::sql::{Statement, sql};
use crate::wake::Wake;

/// A running job may write entries: its directory is not deleted. Until the import is proven, the directory is not
/// disabled, the job was not asked to end, and its agent is not revoked. A deletion and a request to end lock the job's
/// row too, so that nothing is written after they are answered.
macro_rules! may_write {
    () => {
        "EXISTS (SELECT 1 FROM directories d WHERE d.id = jobs.directory_id AND d.deleted_at IS NULL \
         AND (jobs.proven OR NOT d.disabled)) AND (jobs.proven OR (NOT jobs.cancel_requested \
         AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = jobs.agent_id AND a.revoked_at IS NOT NULL)))"
    };
}
pub(crate) use may_write;

impl Store {
    /// Renews leases, all in one statement. Returns the jobs that the caller no longer owns, or that have ended.
    pub async fn renew_leases(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<JobId>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut leases = leases.to_vec();
        // Always in this order, so that two replicas do not deadlock.
        leases.sort_unstable_by_key(|lease| lease.job);
        let update = Bulk::new(
            "WITH v(id, attempt, owner) AS ({rows}) {update} jobs SET lease_until = :1 FROM v \
             WHERE jobs.id = v.id AND jobs.attempt = v.attempt AND jobs.owner = v.owner AND jobs.state = 'running' \
             RETURNING jobs.id",
        )
        .column(Cells::Uuids(leases.iter().map(|lease| lease.job.as_uuid()).collect()))
        .column(Cells::Ints(leases.iter().map(|lease| lease.attempt.into()).collect()))
        .column(Cells::Uuids(leases.iter().map(|lease| lease.owner.as_uuid()).collect()))
        .shared(until);
        let mut tx = self.database.begin().await?;
        let kept: Vec<JobId> = tx.bulk_rows(update, |mut row| row.take()).await?;
        tx.commit().await?;
        Ok(leases.iter().map(|lease| lease.job).filter(|job| !kept.contains(job)).collect())
    }

    /// Ends the leases of all running jobs: `now`, or at `holders_until` if an agent may still be working on the job.
    /// Only for a process that is certainly alone on this database. Returns how many jobs there are.
    pub async fn end_leases(&self, holders_until: Timestamp, now: Timestamp) -> Result<u64> {
        let update = sql(concat!(
            "UPDATE jobs SET lease_until = CASE WHEN proven OR agent_id IS NULL THEN $1 ELSE $2 END WHERE ",
            open_jobs!(),
            " AND state = 'running'"
        ));
        self.database.execute(update.bind(now).bind(holders_until)).await
    }

    /// Puts a job back into the queue. `false`: the caller no longer owns it.
    pub async fn release(&self, lease: &Lease, release: Release, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL, agent_id = NULL, \
             not_before = $4, message = $5, failures = failures + $6, updated_at = $7 \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' RETURNING directory_id");
        let update = fenced(update, lease)
            .bind(release.not_before)
            .bind(release.message)
            .bind(u32::from(release.count_failure))
            .bind(now);
        let mut tx = self.database.begin().await?;
        let Some(directory) = tx.row(update, |mut row| row.take::<DirectoryId>()).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        tx.wake(Wake::JobReady(directory));
        tx.wake(Wake::JobChanged(lease.job));
        tx.commit().await?;
        Ok(true)
    }

    /// Gives a proven import up, for the next claim when its lease ends or at `until`. It stays running without an
    /// owner, so it does not count as left by a dead process. `false`: the caller no longer owns it.
    pub async fn let_go(&self, lease: &Lease, until: Option<Timestamp>) -> Result<bool> {
        let update = sql("UPDATE jobs SET owner = NULL, lease_until = COALESCE($4, lease_until) \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' AND proven");
        Ok(self.database.execute(fenced(update, lease).bind(until)).await? > 0)
    }

    /// Records the agent that the command was sent to. `false`: the caller no longer owns the job.
    pub async fn assign_agent(&self, lease: &Lease, agent: AgentId) -> Result<bool> {
        let update = sql("UPDATE jobs SET agent_id = $4 \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running'");
        Ok(self.database.execute(fenced(update, lease).bind(agent)).await? > 0)
    }

    /// Records the progress of a job. `false`: the caller no longer owns it.
    pub async fn set_progress(&self, lease: &Lease, progress: &Value, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE jobs SET progress = $4, updated_at = $5 \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running'");
        self.changed(lease, fenced(update, lease).bind(progress).bind(now)).await
    }

    /// Stores the agent's answer, which is separate from the entries. `false`: the caller no longer owns the job.
    pub async fn set_agent_result(&self, lease: &Lease, result: &Value) -> Result<bool> {
        let update = sql("UPDATE jobs SET agent_result = $4 \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running'");
        Ok(self.database.execute(fenced(update, lease).bind(result)).await? > 0)
    }

    /// Records that all entries are stored and proven complete. `false`: the caller no longer owns the job, or the job
    /// may not write any more.
    pub async fn mark_proven(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        let update = sql(concat!(
            "UPDATE jobs SET proven = TRUE, updated_at = $4 \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' AND ",
            may_write!()
        ));
        self.changed(lease, fenced(update, lease).bind(now)).await
    }

    /// Holds a job for a decision. `false`: the caller no longer owns it, or it was asked to end.
    pub async fn hold(&self, lease: &Lease, hold: &Value, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE jobs SET state = 'held', hold = $4, updated_at = $5, \
             owner = NULL, lease_until = NULL \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' AND NOT cancel_requested");
        self.changed(lease, fenced(update, lease).bind(hold).bind(now)).await
    }

    /// Ends a job. `false`: the caller no longer owns it.
    pub async fn finish(&self, lease: &Lease, finish: &Finish, now: Timestamp) -> Result<bool> {
        let (state, result, error) = match finish {
            Finish::Succeeded(result) => ("succeeded", Some(result), None),
            Finish::Failed(error) => ("failed", None, Some(error)),
            Finish::Canceled => ("canceled", None, None),
        };
        let update = sql("UPDATE jobs SET state = $4, result = $5, error = $6, finished_at = $7, updated_at = $7, \
             owner = NULL, lease_until = NULL, message = NULL \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' RETURNING directory_id");
        let update = fenced(update, lease).bind(state).bind(result).bind(error).bind(now);
        let mut tx = self.database.begin().await?;
        let Some(directory) = tx.row(update, |mut row| row.take::<DirectoryId>()).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        tx.wake(Wake::JobChanged(lease.job));
        // The next exclusive job of the directory may start.
        tx.wake(Wake::JobReady(directory));
        tx.commit().await?;
        Ok(true)
    }

    async fn changed(&self, lease: &Lease, update: Statement) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        if tx.execute(update).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.wake(Wake::JobChanged(lease.job));
        tx.commit().await?;
        Ok(true)
    }
}

/// Binds the first three values of a fenced statement.
pub(crate) fn fenced(statement: Statement, lease: &Lease) -> Statement {
    statement.bind(lease.job).bind(lease.attempt).bind(lease.owner)
}
