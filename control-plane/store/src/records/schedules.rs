//! Schedules: jobs that start by themselves at certain times.

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::{DirectoryId, JobId, OrganizationId, ScheduleId};
use crate::records::{Job, JobState};

named! {
    /// What becomes of a run that could not start in time, because the control plane was not running or another job was under way.
    MissedRuns {
        /// It does not take place. The next one starts at its time.
        Skip = "skip",
        /// It starts as soon as possible, once, however many were missed.
        RunOnce = "run_once",
    }
}

named! {
    /// What came of a run of a schedule.
    RunOutcome {
        /// It started a job.
        Started = "started",
        /// No control plane was running at its time.
        Missed = "missed",
        /// A job was still under way, so it did not take place.
        UnderWay = "under_way",
        /// A job is still under way. The run takes place when that has ended.
        Waiting = "waiting",
        /// The directory is disabled.
        DirectoryDisabled = "directory_disabled",
        /// The directory was deleted.
        DirectoryDeleted = "directory_deleted",
        /// The job could not be made of what the schedule says.
        Refused = "refused",
    }
}

/// When a schedule runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// The time that its timing says.
    pub time: Timestamp,
    /// When the run is due: later by its jitter, or by the job that it waits for.
    pub run_at: Timestamp,
}

/// The last run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it was due and a replica looked at it.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: RunOutcome,
    /// Why, where the outcome does not say it all.
    pub detail: Option<String>,
    /// The job that it started, or that was in its way.
    pub job: Option<JobId>,
    /// The state of that job. `None`: there is no such job, or it was deleted since.
    pub job_state: Option<JobState>,
}

/// What an administrator decides about a schedule.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ScheduleSettings {
    /// What people call it; unique in the organization.
    pub name: String,
    /// On which directory its jobs work.
    pub directory: DirectoryId,
    /// The kind of its jobs, by name.
    pub kind: String,
    /// What its jobs are asked for.
    pub input: Value,
    /// When it runs, as the engine writes it.
    pub timing: Value,
    /// The IANA name of the time zone in which that is meant.
    pub time_zone: String,
    /// Runs are later by up to so many seconds.
    pub jitter_seconds: u32,
    /// What becomes of missed runs.
    pub missed_runs: MissedRuns,
    /// It does not run.
    pub paused: bool,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What an administrator has decided.
    pub settings: ScheduleSettings,
    /// The directory's name.
    pub directory_name: String,
    /// When it runs next, unless it is paused.
    pub next: NextRun,
    /// Its last run. `None`: it has not run yet.
    pub last_run: Option<LastRun>,
    /// The last job that it started.
    pub started_job: Option<JobId>,
    /// How often it has run or was changed.
    pub revision: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it, for people.
    pub created_by: String,
    /// When an administrator last changed it.
    pub updated_at: Timestamp,
    /// Who did that, for people.
    pub updated_by: String,
}

/// A schedule to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSchedule {
    /// Its id, of which its jitter is made.
    pub id: ScheduleId,
    /// What an administrator has decided.
    pub settings: ScheduleSettings,
    /// When it runs first.
    pub next: NextRun,
    /// Who creates it, for people.
    pub created_by: String,
}

/// The job that a run of a schedule is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledJob {
    /// What is asked for, as the kind stores it.
    pub input: Value,
    /// Of its directory, one such job is under way at a time.
    pub exclusive: bool,
    /// To be taken up until then.
    pub deadline: Timestamp,
    /// When to look again if another job is under way. `None`: the run does not take place then.
    pub retry_at: Option<Timestamp>,
}

/// What came of a run that was tried.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduledRun {
    /// Another replica was quicker, or the schedule was changed, paused or deleted meanwhile. Nothing was written.
    Taken,
    /// It started this job.
    Started(Box<Job>),
    /// It started none, for this reason, which is never [`RunOutcome::Started`].
    NotStarted(RunOutcome),
}
