//! Starts the runs that are due. It takes no input: each pass reads what is due and does it. Each replica does so; the
//! store lets one of them have a run.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{OnCancel, Supervisor, chain};
use postern_store::{MissedRuns, NextRun, RunOutcome, Schedule, ScheduledJob, ScheduledRun, Store};

use super::plan::Plan;
use crate::jobs::kind::{self, Kinds};

/// A run is late by this at most.
const POLL: Duration = Duration::from_secs(2);
/// Schedules that are read at once.
const AT_ONCE: u32 = 100;
/// A run that nobody looked at for this long was missed.
const MISSED: SignedDuration = SignedDuration::from_mins(5);
/// When a run that waits for another job is looked at again.
const WAITING: SignedDuration = SignedDuration::from_mins(1);
/// When a schedule is looked at again whose times this release cannot tell.
const UNREADABLE: SignedDuration = SignedDuration::from_hours(1);

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Starts the runs that are due.
#[derive(Debug)]
pub struct Runner {
    store: Store,
    clock: SharedClock,
    kinds: Kinds,
}

impl Runner {
    /// A runner for this process.
    pub fn new(store: Store, clock: SharedClock, kinds: Kinds) -> Self {
        Self { store, clock, kinds }
    }

    /// Starts the task.
    pub fn start(self, supervisor: &Supervisor) {
        let this = Arc::new(self);
        supervisor.spawn_restarting("schedules.run", OnCancel::Abort, move || Arc::clone(&this).run());
    }

    async fn run(self: Arc<Self>) {
        loop {
            if let Err(error) = self.pass().await {
                // The next pass finds what this one left.
                tracing::warn!(error = chain(&error), "schedules.pass_failed");
            }
            self.clock.sleep(POLL).await;
        }
    }

    /// Does all that is due.
    pub async fn pass(&self) -> Result<()> {
        loop {
            let now = self.clock.now();
            let due = self.store.due_schedules(now, AT_ONCE).await?;
            let more = due.len() >= AT_ONCE as usize;
            let mut done = false;
            for schedule in due {
                match self.one(&schedule, now).await {
                    Ok(()) => done = true,
                    Err(error) => {
                        tracing::warn!(error = chain(&error), schedule = %schedule.id, "schedules.run_failed");
                    }
                }
            }
            if !more || !done {
                return Ok(());
            }
        }
    }

    /// Does the run of one schedule.
    async fn one(&self, schedule: &Schedule, now: Timestamp) -> Result<()> {
        let planned = Plan::new(schedule.id, &schedule.settings).map_err(|error| error.to_string());
        let plan = match planned {
            Ok(plan) => plan,
            Err(reason) => return self.refuse(schedule, &reason, later(now, UNREADABLE), now).await,
        };
        let late = now.duration_since(plan.run_at(schedule.next.time)) > MISSED;
        // However many were missed, the schedule goes on from now.
        let from = if late { now } else { schedule.next.time };
        let next = plan.after(from).unwrap_or(later(now, UNREADABLE));
        let waits = schedule.settings.missed_runs == MissedRuns::RunOnce;
        if late && !waits {
            let written = self.store.skip_run(schedule, RunOutcome::Missed, None, next, now).await?;
            log(schedule, RunOutcome::Missed, written);
            return Ok(());
        }
        let job = match self.job(schedule, now) {
            Ok(job) => ScheduledJob { retry_at: waits.then(|| later(now, WAITING).run_at), ..job },
            Err(reason) => return self.refuse(schedule, &reason, next, now).await,
        };
        match self.store.run_schedule(schedule, job, next, now).await? {
            ScheduledRun::Taken => {}
            ScheduledRun::NotStarted(outcome) => log(schedule, outcome, true),
            ScheduledRun::Started(job) => {
                tracing::info!(organization = %schedule.organization, schedule = %schedule.id, job = %job.id,
                    kind = %job.kind, "schedule.started");
                if let Some(kind) = kind::find(self.kinds, &job.kind) {
                    metrics::counter!("postern_jobs_created_total", "kind" => kind.name()).increment(1);
                }
            }
        }
        Ok(())
    }

    /// The job that is to be made. The error says why it cannot be.
    fn job(&self, schedule: &Schedule, now: Timestamp) -> std::result::Result<ScheduledJob, String> {
        let settings = &schedule.settings;
        let kind = kind::find(self.kinds, &settings.kind)
            .ok_or_else(|| format!("there is no job of the kind {}", settings.kind))?;
        let input = kind.input(&settings.input).map_err(|error| error.to_string())?;
        let deadline = now.checked_add(kind.deadline()).unwrap_or(Timestamp::MAX);
        Ok(ScheduledJob { input, exclusive: kind.is_exclusive(), deadline, retry_at: None })
    }

    async fn refuse(&self, schedule: &Schedule, reason: &str, next: NextRun, now: Timestamp) -> Result<()> {
        let written = self.store.skip_run(schedule, RunOutcome::Refused, Some(reason), next, now).await?;
        log(schedule, RunOutcome::Refused, written);
        Ok(())
    }
}

fn later(now: Timestamp, by: SignedDuration) -> NextRun {
    let time = now.checked_add(by).unwrap_or(Timestamp::MAX);
    NextRun { time, run_at: time }
}

fn log(schedule: &Schedule, outcome: RunOutcome, written: bool) {
    // A run that waits is looked at each minute.
    let again = schedule.last_run.as_ref().is_some_and(|last| last.outcome == outcome);
    if written && !(again && outcome == RunOutcome::Waiting) {
        tracing::info!(organization = %schedule.organization, schedule = %schedule.id, %outcome, "schedule.not_started");
    }
}

#[cfg(test)]
mod tests;
