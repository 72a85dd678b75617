//! Jobs as callers see them: created, read, decided on, ended. Running them is in `claims` and `leases`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{DirectoryId, JobId, OrganizationId};
use crate::open_jobs::{exclusive_under_way, open_jobs};
use crate::records::{Approvals, Job, JobFilter, JobState, NewJob, Page, PageRequest, Room};
use crate::sql::{Row, Statement, named, sql};
use crate::transaction::Tx;
use crate::wake::Wake;

/// The exclusive job of the same directory that a queued one waits for; there is at most one.
macro_rules! other_exclusive {
    ($column:literal) => {
        concat!(
            "(SELECT ",
            $column,
            " FROM jobs o WHERE j.exclusive AND j.state IN ('queued', 'waiting') AND o.directory_id = j.directory_id ",
            "AND o.id <> j.id AND ",
            exclusive_under_way!(),
            ")"
        )
    };
}
pub(crate) use other_exclusive;

/// The columns that [`read`] reads, of `jobs j` and `directories d`.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!(
            "SELECT j.id, j.organization_id, j.kind, j.directory_id, d.name, j.state, j.input, j.progress, j.result, ",
            "j.error, j.hold, j.message, j.created_by, j.decided_by, j.decision_reason, j.approved, j.accepts_behind, j.cancel_requested, j.attempt, ",
            "j.failures, j.proven, j.owner, j.lease_until, j.agent_id, j.agent_result, j.not_before, j.deadline, ",
            "j.created_at, j.started_at, j.finished_at, j.updated_at, ",
            other_exclusive!("o.id"),
            ", ",
            other_exclusive!("o.state"),
            ", ",
            other_exclusive!("o.hold"),
            " ",
            "FROM jobs j JOIN directories d ON d.id = j.directory_id ",
            $rest
        )
    };
}
pub(crate) use select_jobs;

pub(crate) fn read(mut row: Row) -> Result<Job> {
    Ok(Job {
        id: row.take()?,
        organization: row.take()?,
        kind: row.take()?,
        directory: row.take()?,
        directory_name: row.take()?,
        state: named(&mut row)?,
        input: row.take()?,
        progress: row.take()?,
        result: row.take()?,
        error: row.take()?,
        hold: row.take()?,
        message: row.take()?,
        created_by: row.take()?,
        decided_by: row.take()?,
        decision_reason: row.take()?,
        approvals: Approvals { changes: row.take()?, server_behind: row.take()? },
        cancel_requested: row.take()?,
        attempt: row.take()?,
        failures: row.take()?,
        proven: row.take()?,
        owner: row.take()?,
        lease_until: row.take()?,
        agent: row.take()?,
        agent_result: row.take()?,
        not_before: row.take()?,
        deadline: row.take()?,
        created_at: row.take()?,
        started_at: row.take()?,
        finished_at: row.take()?,
        updated_at: row.take()?,
        waits_for: match (row.take::<Option<JobId>>()?, row.take::<Option<String>>()?) {
            (Some(job), Some(state)) => Some((job, state.parse()?)),
            _ => None,
        },
        waits_for_hold: row.take()?,
    })
}

/// A held import that was read this long ago is read again when it is approved, because too much may have changed.
const OLD_READING: SignedDuration = SignedDuration::from_hours(4);

const READ_AGAIN: &str = "What was approved was read more than four hours ago. The directory is read again now, and the \
     import is held again if there is still something to decide.";

impl Store {
    /// Creates a job. If its idempotency key was used for the same request, returns the job of that request.
    /// [`Error::NotFound`]: the directory does not exist or was deleted. [`Error::Conflict`]: the directory is
    /// disabled, or the key was used for another request.
    pub async fn create_job(&self, new: NewJob, now: Timestamp) -> Result<Job> {
        let mut tx = self.database.begin().await?;
        if let Some(key) = new.idempotency_key.as_deref() {
            let query = sql(select_jobs!("WHERE j.organization_id = $1 AND j.idempotency_key = $2"));
            if let Some(job) = tx.row(query.bind(new.organization).bind(key), read).await? {
                tx.rollback().await?;
                let same = job.kind == new.kind && job.directory == new.directory && job.input == new.input;
                return if same {
                    Ok(job)
                } else {
                    Err(Error::conflict("the idempotency key was used for another request"))
                };
            }
        }
        match standing(&mut tx, new.organization, new.directory).await? {
            None => return Err(Error::NotFound { what: "the directory" }),
            Some(Standing::Disabled) => return Err(Error::conflict("the directory is disabled")),
            Some(Standing::Enabled) => {}
        }
        let job = insert(&mut tx, &new, now).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// One job.
    pub async fn get_job(&self, organization: OrganizationId, id: JobId) -> Result<Option<Job>> {
        let query = sql(select_jobs!("WHERE j.organization_id = $1 AND j.id = $2"));
        self.database.row(query.bind(organization).bind(id), read).await
    }

    /// The job of any organization; for running it.
    pub async fn job_by_id(&self, id: JobId) -> Result<Option<Job>> {
        self.database.row(sql(select_jobs!("WHERE j.id = $1")).bind(id), read).await
    }

    /// The organization's jobs, newest first. A page of large jobs has fewer items.
    pub async fn list_jobs(
        &self,
        organization: OrganizationId,
        filter: &JobFilter,
        page: &PageRequest,
    ) -> Result<Page<Job>> {
        let after: Option<JobId> = page.cursor()?;
        let query = sql(select_jobs!(
            "WHERE j.organization_id = $1 AND j.id < $2 AND ($3 IS NULL OR j.state = $3) \
             AND ($4 IS NULL OR j.kind = $4) AND ($5 IS NULL OR j.directory_id = $5) ORDER BY j.id DESC LIMIT $6"
        ))
        .bind(organization)
        .bind(after.unwrap_or(JobId::from_uuid(uuid::Uuid::max())))
        .bind(filter.state.map(JobState::as_str))
        .bind(filter.kind.as_deref())
        .bind(filter.directory)
        .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(found, page, &room, |last| last.id.to_string()))
    }

    /// Approves a held job. [`Error::Conflict`]: it is not held.
    ///
    /// A proven import applies what it was held for, but one that was read too long ago reads the directory again and
    /// may be held again. An import that was held before reading may now read a server that is behind; this approves
    /// nothing that it will read. The job gets its original time again.
    pub async fn approve_job(&self, organization: OrganizationId, id: JobId, by: &str, now: Timestamp) -> Result<Job> {
        // A held job does not change, so `updated_at` is when it was read.
        let update = sql("UPDATE jobs SET state = 'queued', decided_by = $1, owner = NULL, lease_until = NULL, \
             approved = (proven AND updated_at > $5), accepts_behind = (accepts_behind OR NOT proven), \
             message = CASE WHEN proven AND updated_at <= $5 THEN $6 END, proven = (proven AND updated_at > $5), \
             deadline = $2 + (deadline - created_at), updated_at = $2 \
             WHERE organization_id = $3 AND id = $4 AND state = 'held'")
        .bind(by)
        .bind(now)
        .bind(organization)
        .bind(id)
        .bind(now.checked_sub(OLD_READING).unwrap_or(Timestamp::MIN))
        .bind(READ_AGAIN);
        self.decide(organization, id, update, "held").await
    }

    /// Rejects a held job, with an optional reason. [`Error::Conflict`]: it is not held.
    pub async fn reject_job(
        &self,
        organization: OrganizationId,
        id: JobId,
        by: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<Job> {
        let update =
            sql("UPDATE jobs SET state = 'canceled', decided_by = $1, decision_reason = $5, finished_at = $2, \
             updated_at = $2 WHERE organization_id = $3 AND id = $4 AND state = 'held'")
            .bind(by)
            .bind(now)
            .bind(organization)
            .bind(id)
            .bind(reason);
        self.decide(organization, id, update, "held").await
    }

    /// Requests the end of a job: one that does not run ends at once, a running one when its replica has stopped it.
    /// Repeating it changes nothing. [`Error::Conflict`]: it has ended already.
    pub async fn request_cancel(&self, organization: OrganizationId, id: JobId, now: Timestamp) -> Result<Job> {
        let update = sql("UPDATE jobs SET cancel_requested = TRUE, updated_at = $1, \
             finished_at = CASE WHEN state = 'running' THEN NULL ELSE $1 END, \
             state = CASE WHEN state = 'running' THEN state ELSE 'canceled' END \
             WHERE organization_id = $2 AND id = $3 AND state IN ('queued', 'waiting', 'held', 'running')")
        .bind(now)
        .bind(organization)
        .bind(id);
        self.decide(organization, id, update, "open").await
    }

    /// Applies a decision to a job, if its state allows it.
    async fn decide(&self, organization: OrganizationId, id: JobId, update: Statement, wanted: &str) -> Result<Job> {
        let mut tx = self.database.begin().await?;
        let changed = tx.execute(update).await?;
        let job = required(&mut tx, organization, id).await?;
        if changed == 0 {
            tx.rollback().await?;
            return Err(Error::conflict(format!("the job is {}, not {wanted}", job.state)));
        }
        tx.wake(match job.state {
            JobState::Queued => Wake::JobReady(job.directory),
            JobState::Running => Wake::CancelRequested(id),
            _ => Wake::JobChanged(id),
        });
        tx.commit().await?;
        Ok(job)
    }

    /// Ends the jobs of all organizations whose replica is gone and that no other has claimed: at their deadline with
    /// this error, and at once if they were canceled.
    pub async fn end_abandoned(&self, error: &Value, now: Timestamp) -> Result<Vec<Job>> {
        let tx = self.database.begin().await?;
        let update = sql(concat!(
            "UPDATE jobs SET state = CASE WHEN cancel_requested THEN 'canceled' ELSE 'failed' END, \
             error = CASE WHEN cancel_requested THEN NULL ELSE $1 END, finished_at = $2, updated_at = $2, \
             owner = NULL, lease_until = NULL WHERE ",
            open_jobs!(),
            " AND state = 'running' AND NOT proven AND lease_until <= $2 AND (cancel_requested OR deadline <= $2) \
             RETURNING id"
        ))
        .bind(error)
        .bind(now);
        changed(tx, update).await
    }

    /// Clears the idempotency keys of old jobs: the same request then creates a new job.
    pub async fn expire_job_keys(&self, older_than: Timestamp) -> Result<u64> {
        let update =
            sql("UPDATE jobs SET idempotency_key = NULL WHERE idempotency_key IS NOT NULL AND created_at < $1");
        self.database.execute(update.bind(older_than)).await
    }

    /// Ends the jobs of all organizations that were not claimed before their deadline: with `error`, or with `behind`
    /// if another exclusive job of the directory runs or is held.
    pub async fn expire_overdue(&self, error: &Value, behind: &Value, now: Timestamp) -> Result<Vec<Job>> {
        let tx = self.database.begin().await?;
        let update = sql(concat!(
            "UPDATE jobs SET state = 'failed', finished_at = $2, updated_at = $2, error = CASE WHEN exclusive \
             AND EXISTS (SELECT 1 FROM jobs other WHERE other.directory_id = jobs.directory_id AND ",
            exclusive_under_way!(),
            " AND other.state IN ('running', 'held')) THEN $3 ELSE $1 END WHERE ",
            open_jobs!(),
            " AND state IN ('queued', 'waiting') AND NOT proven AND deadline <= $2 RETURNING id"
        ))
        .bind(error)
        .bind(now)
        .bind(behind);
        changed(tx, update).await
    }
}

/// Whether jobs may use a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They may.
    Enabled,
    /// An administrator has disabled it.
    Disabled,
}

/// How a directory stands. `None`: there is none, or it was deleted.
pub(crate) async fn standing(
    tx: &mut Tx,
    organization: OrganizationId,
    directory: DirectoryId,
) -> Result<Option<Standing>> {
    let query = sql("SELECT disabled FROM directories \
         WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL")
    .bind(organization)
    .bind(directory);
    let disabled = tx.row(query, |mut row| row.take::<bool>()).await?;
    Ok(disabled.map(|disabled| if disabled { Standing::Disabled } else { Standing::Enabled }))
}

/// Adds a job. Those who can carry it out hear of it once the transaction is committed.
pub(crate) async fn insert(tx: &mut Tx, new: &NewJob, now: Timestamp) -> Result<Job> {
    let id = JobId::new();
    let insert = sql("INSERT INTO jobs (id, organization_id, kind, directory_id, state, input, created_by, \
         deadline, created_at, updated_at, idempotency_key, exclusive) \
         VALUES ($1, $2, $3, $4, 'queued', $5, $6, $7, $8, $8, $9, $10)")
    .bind(id)
    .bind(new.organization)
    .bind(&new.kind)
    .bind(new.directory)
    .bind(&new.input)
    .bind(&new.created_by)
    .bind(new.deadline)
    .bind(now)
    .bind(new.idempotency_key.as_deref())
    .bind(new.exclusive);
    tx.execute(insert).await?;
    tx.made(id.as_uuid());
    let job = required(tx, new.organization, id).await?;
    tx.wake(Wake::JobReady(new.directory));
    Ok(job)
}

async fn required(tx: &mut Tx, organization: OrganizationId, id: JobId) -> Result<Job> {
    let query = sql(select_jobs!("WHERE j.organization_id = $1 AND j.id = $2"));
    tx.row(query.bind(organization).bind(id), read).await?.ok_or(Error::NotFound { what: "the job" })
}

/// Commits a change that returns the ids of jobs. Wakes those who watch them, and if one has ended, the next job of its
/// directory.
pub(crate) async fn changed(mut tx: Tx, update: Statement) -> Result<Vec<Job>> {
    let ids = tx.rows(update, |mut row| row.take()).await?;
    let jobs = read_all(&mut tx, &ids).await?;
    for job in &jobs {
        tx.wake(Wake::JobChanged(job.id));
        if job.state.is_final() {
            tx.wake(Wake::JobReady(job.directory));
        }
    }
    tx.commit().await?;
    Ok(jobs)
}

/// The jobs with these ids, in their order.
pub(crate) async fn read_all(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<Job>> {
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        jobs.extend(tx.row(sql(select_jobs!("WHERE j.id = $1")).bind(*id), read).await?);
    }
    Ok(jobs)
}
