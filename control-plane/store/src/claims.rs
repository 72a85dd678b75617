//! Claims: a short transaction gives a job to a replica that can reach its directory, under a lease.

use std::collections::HashSet;
use std::future::Future;

use jiff::Timestamp;
use serde_json::Value;

use crate::Store;
use crate::dialect;
use crate::error::{Error, Result};
use crate::ids::{AgentId, DirectoryId, JobId, ReplicaId};
use crate::jobs::{changed, other_exclusive, read, read_all, select_jobs};
use crate::open_jobs::{exclusive_under_way, open_jobs};
use crate::records::{Job, Lease, live_since};
use crate::sql::{named, sql};
use crate::wake::Wake;

impl Store {
    /// Claims up to `limit` jobs of these directories, of any organization, oldest first: those without an owner and
    /// those whose lease has expired. Each is a new attempt. A directory has only one import under way. Never claims
    /// proven imports, see [`Store::claim_proven`].
    pub async fn claim(
        &self,
        owner: ReplicaId,
        directories: &[DirectoryId],
        lease_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Job>> {
        if directories.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        // Another replica may claim an import of the same directory first; the retry finds it.
        retrying(|| self.claim_once(owner, directories, lease_until, now, limit)).await
    }

    async fn claim_once(
        &self,
        owner: ReplicaId,
        directories: &[DirectoryId],
        lease_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Job>> {
        let backend = self.backend();
        let mut tx = self.database.begin().await?;
        let candidates =
            dialect::claimable(backend).bind(now).bind(limit).bind(dialect::directories(backend, directories));
        let candidates: Vec<(JobId, DirectoryId, bool)> =
            tx.rows(candidates, |mut row| Ok((row.take()?, row.take()?, row.take()?))).await?;
        let mut begun = HashSet::new();
        let mut claimed = Vec::new();
        for (id, directory, exclusive) in candidates {
            if exclusive && !begun.insert(directory) {
                continue;
            }
            let update = sql("UPDATE jobs SET state = 'running', owner = $1, lease_until = $2, \
                 attempt = attempt + 1, started_at = COALESCE(started_at, $3), updated_at = $3, message = NULL, \
                 not_before = NULL, agent_id = NULL, agent_result = NULL, progress = NULL WHERE id = $4")
            .bind(owner)
            .bind(lease_until)
            .bind(now)
            .bind(id);
            tx.execute(update).await?;
            tx.wake(Wake::JobChanged(id));
            claimed.push(id);
        }
        let jobs = read_all(&mut tx, &claimed).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    /// Claims proven imports, which need no agent any more. The attempt stays the same, because it is the generation of
    /// the recorded chunks. A job with an owner and an expired lease was left by a process that died: only these are
    /// counted, see [`Store::fail_resumed`].
    pub async fn claim_proven(
        &self,
        owner: ReplicaId,
        lease_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Job>> {
        let mut tx = self.database.begin().await?;
        let candidates = dialect::claimable_proven(self.backend()).bind(now).bind(limit);
        let claimed: Vec<JobId> = tx.rows(candidates, |mut row| row.take()).await?;
        for id in &claimed {
            let update = sql("UPDATE jobs SET state = 'running', owner = $1, lease_until = $2, updated_at = $3, \
                 resumed = resumed + CASE WHEN state = 'running' AND owner <> $1 THEN 1 ELSE 0 END, message = NULL, not_before = NULL WHERE id = $4")
            .bind(owner)
            .bind(lease_until)
            .bind(now)
            .bind(*id);
            tx.execute(update).await?;
            tx.wake(Wake::JobChanged(*id));
        }
        let jobs = read_all(&mut tx, &claimed).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    /// Ends, with this error, the proven imports that were claimed this many times after their process had died, and
    /// whose process died again. Leaves the caller's own jobs alone, because the caller lives. Call it before
    /// [`Store::claim_proven`].
    pub async fn fail_resumed(&self, caller: ReplicaId, times: u32, error: &Value, now: Timestamp) -> Result<Vec<Job>> {
        let tx = self.database.begin().await?;
        let update = sql(concat!(
            "UPDATE jobs SET state = 'failed', error = $1, finished_at = $2, updated_at = $2, message = NULL, \
             owner = NULL, lease_until = NULL WHERE ",
            open_jobs!(),
            " AND state = 'running' AND proven AND lease_until <= $2 AND resumed >= $3 AND owner <> $4 RETURNING id"
        ))
        .bind(error)
        .bind(now)
        .bind(times)
        .bind(caller);
        changed(tx, update).await
    }

    /// Takes a running job over at the same attempt: its agent, which still works on it, has connected here. `None`:
    /// the job has another state, attempt or agent now.
    pub async fn adopt(
        &self,
        job: JobId,
        attempt: u32,
        agent: AgentId,
        owner: ReplicaId,
        lease_until: Timestamp,
    ) -> Result<Option<Lease>> {
        let update = sql("UPDATE jobs SET owner = $1, lease_until = $2 \
             WHERE id = $3 AND attempt = $4 AND agent_id = $5 AND state = 'running' AND NOT proven")
        .bind(owner)
        .bind(lease_until)
        .bind(job)
        .bind(attempt)
        .bind(agent);
        let adopted = self.database.execute(update).await? > 0;
        Ok(adopted.then_some(Lease { job, attempt, owner }))
    }

    /// The running jobs that were sent to this agent, without the proven ones.
    pub async fn running_of_agent(&self, agent: AgentId) -> Result<Vec<Job>> {
        let query = sql(concat!(
            select_jobs!("WHERE "),
            open_jobs!(),
            " AND j.agent_id = $1 AND j.state = 'running' AND NOT j.proven ORDER BY j.id"
        ));
        self.database.rows(query.bind(agent), read).await
    }

    /// The running jobs of this replica that were asked to end.
    pub async fn canceled_running(&self, owner: ReplicaId) -> Result<Vec<JobId>> {
        let query = sql(concat!(
            "SELECT id FROM jobs WHERE ",
            open_jobs!(),
            " AND state = 'running' AND owner = $1 AND cancel_requested ORDER BY id"
        ));
        self.database.rows(query.bind(owner), |mut row| row.take()).await
    }

    /// Reports that jobs wait for an agent: queued jobs created before this time, whose directory neither is reachable
    /// nor has an agent at another replica, and that do not wait for another import.
    pub async fn mark_waiting(
        &self,
        reachable: &[DirectoryId],
        message: &str,
        created_before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Job>> {
        let backend = self.backend();
        let tx = self.database.begin().await?;
        let update = dialect::mark_waiting(backend)
            .bind(now)
            .bind(created_before)
            .bind(dialect::directories(backend, reachable))
            .bind(message)
            .bind(live_since(now));
        changed(tx, update).await
    }

    /// How many jobs are in each state, of all organizations; for metrics.
    pub async fn count_open_jobs(&self) -> Result<Vec<(crate::JobState, u64)>> {
        let query =
            sql(concat!("SELECT state, count(*) FROM jobs WHERE ", open_jobs!(), " GROUP BY state ORDER BY state"));
        self.database.rows(query, |mut row| Ok((named(&mut row)?, row.take()?))).await
    }
}

/// Repeats a write that lost a race against another replica.
async fn retrying<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    const TRIES: u32 = 3;
    for _ in 1..TRIES {
        match attempt().await {
            Err(Error::Conflict { source: Some(_), .. }) => {}
            other => return other,
        }
    }
    attempt().await
}
