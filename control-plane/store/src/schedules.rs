//! Schedules: what administrators decide about them, and their runs. A run makes its job and moves the schedule on in one
//! transaction, so that of several replicas one runs it, and a process that dies loses no run and repeats none.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{JobId, OrganizationId, ScheduleId};
use crate::jobs::{Standing, insert, standing};
use crate::open_jobs::open_jobs;
use crate::records::{
    AuditNote, Job, LastRun, NewJob, NewSchedule, NextRun, Page, PageRequest, Room, RunOutcome, Schedule,
    ScheduleSettings, ScheduledJob, ScheduledRun,
};
use crate::sql::{Row, named, sql};
use crate::transaction::Tx;

/// The columns that [`read`] reads.
macro_rules! select_schedules {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.organization_id, s.name, s.directory_id, s.kind, s.input, s.timing, s.time_zone, ",
            "s.jitter_seconds, s.missed_runs, s.paused, d.name, s.next_time, s.next_run_at, s.last_run_at, ",
            "s.last_outcome, s.last_detail, s.last_job_id, j.state, s.started_job_id, s.revision, s.created_at, ",
            "s.created_by, s.updated_at, s.updated_by FROM schedules s JOIN directories d ON d.id = s.directory_id ",
            "LEFT JOIN jobs j ON j.id = s.last_job_id ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Schedule> {
    let (id, organization) = (row.take()?, row.take()?);
    let settings = ScheduleSettings {
        name: row.take()?,
        directory: row.take()?,
        kind: row.take()?,
        input: row.take()?,
        timing: row.take()?,
        time_zone: row.take()?,
        jitter_seconds: row.take()?,
        missed_runs: named(&mut row)?,
        paused: row.take()?,
    };
    let directory_name = row.take()?;
    let next = NextRun { time: row.take()?, run_at: row.take()? };
    let (at, outcome): (Option<Timestamp>, Option<String>) = (row.take()?, row.take()?);
    let (detail, job, job_state) = (row.take()?, row.take()?, row.take::<Option<String>>()?);
    let last_run = match (at, outcome) {
        (Some(at), Some(outcome)) => {
            let job_state = job_state.map(|state| state.parse()).transpose()?;
            Some(LastRun { at, outcome: outcome.parse()?, detail, job, job_state })
        }
        _ => None,
    };
    Ok(Schedule {
        id,
        organization,
        settings,
        directory_name,
        next,
        last_run,
        started_job: row.take()?,
        revision: row.take()?,
        created_at: row.take()?,
        created_by: row.take()?,
        updated_at: row.take()?,
        updated_by: row.take()?,
    })
}

impl Store {
    /// Creates a schedule. [`Error::Conflict`]: the name is taken, or the organization has `most` schedules already.
    /// [`Error::NotFound`]: the directory does not exist or was deleted.
    pub async fn create_schedule(
        &self,
        organization: OrganizationId,
        new: NewSchedule,
        most: u32,
        now: Timestamp,
    ) -> Result<Schedule> {
        let mut tx = self.database.begin().await?;
        let count = sql("SELECT count(*) FROM schedules WHERE organization_id = $1").bind(organization);
        let count: i64 = tx.row(count, |mut row| row.take()).await?.unwrap_or_default();
        if count >= i64::from(most) {
            return refused(tx, Error::conflict(format!("an organization has at most {most} schedules"))).await;
        }
        if standing(&mut tx, organization, new.settings.directory).await?.is_none() {
            return refused(tx, Error::NotFound { what: "the directory" }).await;
        }
        let NewSchedule { id, settings, next, created_by } = new;
        let insert = sql("INSERT INTO schedules (id, organization_id, name, directory_id, kind, input, timing, \
             time_zone, jitter_seconds, missed_runs, paused, next_time, next_run_at, revision, created_at, \
             created_by, updated_at, updated_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $14, $15)")
        .bind(id)
        .bind(organization)
        .bind(&settings.name)
        .bind(settings.directory)
        .bind(&settings.kind)
        .bind(&settings.input)
        .bind(&settings.timing)
        .bind(&settings.time_zone)
        .bind(settings.jitter_seconds)
        .bind(settings.missed_runs.as_str())
        .bind(settings.paused)
        .bind(next.time)
        .bind(next.run_at)
        .bind(now)
        .bind(created_by);
        tx.execute(insert).await.map_err(|error| taken(error, &settings.name))?;
        let schedule = required(&mut tx, organization, id).await?;
        tx.commit().await?;
        Ok(schedule)
    }

    /// One schedule.
    pub async fn get_schedule(&self, organization: OrganizationId, id: ScheduleId) -> Result<Option<Schedule>> {
        let query = sql(select_schedules!("WHERE s.organization_id = $1 AND s.id = $2"));
        self.database.row(query.bind(organization).bind(id), read).await
    }

    /// The organization's schedules, oldest first.
    pub async fn list_schedules(&self, organization: OrganizationId, page: &PageRequest) -> Result<Page<Schedule>> {
        let after: Option<ScheduleId> = page.cursor()?;
        let query = sql(select_schedules!("WHERE s.organization_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3"))
            .bind(organization)
            .bind(after.unwrap_or(ScheduleId::from_uuid(uuid::Uuid::nil())))
            .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(found, page, &room, |last| last.id.to_string()))
    }

    /// Changes a schedule that was read at this revision. `None`: it has run, or was changed or deleted, since; read it
    /// again. [`Error::Conflict`]: the name is taken. [`Error::NotFound`]: the directory does not exist or was deleted.
    pub async fn change_schedule(
        &self,
        known: &Schedule,
        settings: &ScheduleSettings,
        next: NextRun,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Schedule>> {
        let (organization, id) = (known.organization, known.id);
        let mut tx = self.database.begin().await?;
        let moves = settings.directory != known.settings.directory;
        if moves && standing(&mut tx, organization, settings.directory).await?.is_none() {
            return refused(tx, Error::NotFound { what: "the directory" }).await;
        }
        let update = sql("UPDATE schedules SET name = $1, directory_id = $2, kind = $3, input = $4, timing = $5, \
             time_zone = $6, jitter_seconds = $7, missed_runs = $8, paused = $9, next_time = $10, \
             next_run_at = $11, updated_at = $12, updated_by = $13, revision = revision + 1 \
             WHERE organization_id = $14 AND id = $15 AND revision = $16")
        .bind(&settings.name)
        .bind(settings.directory)
        .bind(&settings.kind)
        .bind(&settings.input)
        .bind(&settings.timing)
        .bind(&settings.time_zone)
        .bind(settings.jitter_seconds)
        .bind(settings.missed_runs.as_str())
        .bind(settings.paused)
        .bind(next.time)
        .bind(next.run_at)
        .bind(now)
        .bind(by)
        .bind(organization)
        .bind(id)
        .bind(known.revision);
        if tx.execute(update).await.map_err(|error| taken(error, &settings.name))? == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        let schedule = required(&mut tx, organization, id).await?;
        tx.commit().await?;
        Ok(Some(schedule))
    }

    /// Deletes a schedule. The jobs that it has started stay. [`Error::NotFound`]: there is no such schedule.
    pub async fn delete_schedule(&self, organization: OrganizationId, id: ScheduleId) -> Result<()> {
        let delete = sql("DELETE FROM schedules WHERE organization_id = $1 AND id = $2").bind(organization).bind(id);
        match self.database.execute(delete).await? {
            0 => Err(Error::NotFound { what: "the schedule" }),
            _ => Ok(()),
        }
    }

    /// The schedules of all organizations whose run is due, those that wait longest first.
    pub async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<Schedule>> {
        let query =
            sql(select_schedules!("WHERE NOT s.paused AND s.next_run_at <= $1 ORDER BY s.next_run_at LIMIT $2"));
        self.database.rows(query.bind(now).bind(limit), read).await
    }

    /// Carries out the run that is due of a schedule: starts its job, unless one is under way or the directory may not be
    /// used, notes what came of it, and moves the schedule on.
    pub async fn run_schedule(
        &self,
        known: &Schedule,
        job: ScheduledJob,
        next: NextRun,
        now: Timestamp,
    ) -> Result<ScheduledRun> {
        let mut tx = self.database.begin().await?;
        if !claim(&mut tx, known).await? {
            tx.rollback().await?;
            return Ok(ScheduledRun::Taken);
        }
        let in_the_way = under_way(&mut tx, known, job.exclusive).await?;
        let found = standing(&mut tx, known.organization, known.settings.directory).await?;
        let retry_at = job.retry_at;
        let (outcome, next, about) = match (found, in_the_way) {
            (None, _) => (RunOutcome::DirectoryDeleted, next, None),
            (Some(Standing::Disabled), _) => (RunOutcome::DirectoryDisabled, next, None),
            (Some(Standing::Enabled), Some(other)) => match retry_at {
                Some(run_at) => (RunOutcome::Waiting, NextRun { run_at, ..known.next }, Some(other)),
                None => (RunOutcome::UnderWay, next, Some(other)),
            },
            (Some(Standing::Enabled), None) => {
                let job = insert(&mut tx, &new_job(known, job), now).await?;
                tx.note(audit_note(known, &job));
                note(&mut tx, known.id, RunOutcome::Started, None, Some(job.id), next, now).await?;
                let started = sql("UPDATE schedules SET started_job_id = $1 WHERE id = $2").bind(job.id).bind(known.id);
                tx.execute(started).await?;
                tx.commit().await?;
                return Ok(ScheduledRun::Started(Box::new(job)));
            }
        };
        note(&mut tx, known.id, outcome, None, about, next, now).await?;
        tx.commit().await?;
        Ok(ScheduledRun::NotStarted(outcome))
    }

    /// Notes that the run that was due did not take place, and moves the schedule on. False: another replica was quicker,
    /// or the schedule was changed meanwhile.
    pub async fn skip_run(
        &self,
        known: &Schedule,
        outcome: RunOutcome,
        detail: Option<&str>,
        next: NextRun,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        if !claim(&mut tx, known).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        note(&mut tx, known.id, outcome, detail, None, next, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Makes the run that is due this transaction's. False: somebody else has run or changed the schedule.
async fn claim(tx: &mut Tx, known: &Schedule) -> Result<bool> {
    let claim = sql("UPDATE schedules SET revision = revision + 1 \
         WHERE organization_id = $1 AND id = $2 AND revision = $3 AND NOT paused")
    .bind(known.organization)
    .bind(known.id)
    .bind(known.revision);
    Ok(tx.execute(claim).await? > 0)
}

/// The job that a run may not overlap: the last one of the schedule, and any of the same kind on the directory where only
/// one can be under way.
async fn under_way(tx: &mut Tx, known: &Schedule, exclusive: bool) -> Result<Option<JobId>> {
    let query = sql(concat!(
        "SELECT id FROM jobs WHERE ",
        open_jobs!(),
        " AND organization_id = $1 AND (id = $2 OR ($3 AND exclusive AND directory_id = $4 AND kind = $5)) \
         ORDER BY id LIMIT 1"
    ))
    .bind(known.organization)
    .bind(known.started_job)
    .bind(exclusive)
    .bind(known.settings.directory)
    .bind(&known.settings.kind);
    tx.row(query, |mut row| row.take()).await
}

/// What the audit log says of a job that a schedule has started.
fn audit_note(known: &Schedule, job: &Job) -> AuditNote {
    AuditNote {
        organization: job.organization,
        at: job.created_at,
        actor: known.id.to_string(),
        actor_name: job.created_by.clone(),
        address: None,
        action: "job.created".to_owned(),
        object_id: Some(job.id.as_uuid()),
        object: format!("{} of {}", job.kind, job.directory_name),
        before: None,
        after: Some(job.input.clone()),
    }
}

fn new_job(known: &Schedule, job: ScheduledJob) -> NewJob {
    NewJob {
        organization: known.organization,
        kind: known.settings.kind.clone(),
        exclusive: job.exclusive,
        directory: known.settings.directory,
        input: job.input,
        deadline: job.deadline,
        created_by: format!("schedule {}", known.settings.name),
        idempotency_key: None,
    }
}

async fn note(
    tx: &mut Tx,
    id: ScheduleId,
    outcome: RunOutcome,
    detail: Option<&str>,
    job: Option<JobId>,
    next: NextRun,
    now: Timestamp,
) -> Result<()> {
    let update = sql("UPDATE schedules SET last_run_at = $1, last_outcome = $2, last_detail = $3, last_job_id = $4, \
         next_time = $5, next_run_at = $6 WHERE id = $7")
    .bind(now)
    .bind(outcome.as_str())
    .bind(detail)
    .bind(job)
    .bind(next.time)
    .bind(next.run_at)
    .bind(id);
    tx.execute(update).await.map(drop)
}

async fn required(tx: &mut Tx, organization: OrganizationId, id: ScheduleId) -> Result<Schedule> {
    let query = sql(select_schedules!("WHERE s.organization_id = $1 AND s.id = $2"));
    tx.row(query.bind(organization).bind(id), read).await?.ok_or(Error::NotFound { what: "the schedule" })
}

async fn refused<T>(tx: Tx, error: Error) -> Result<T> {
    tx.rollback().await?;
    Err(error)
}

fn taken(error: Error, name: &str) -> Error {
    match error {
        Error::Conflict { source, .. } => {
            Error::Conflict { what: format!("a schedule named {name:?} exists already"), source }
        }
        other => other,
    }
}
