//! Schedules: jobs that start by themselves. What is written here is read again by the runner of each replica.

use jiff::Timestamp;
use postern_store::{NewSchedule, NextRun, ScheduleSettings};
use serde_json::Value;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::pages::{Listed, listed};
use super::rights::Right;
use super::{known_directories, names, resolve};
use crate::jobs::kind::{self, InputError};
use crate::kinds;
use crate::records::{LastRun, MissedRuns, PageRequest, RunOutcome, Schedule, ScheduleId};
use crate::schedules::plan::{self, Plan};
use crate::schedules::timing::Timing;

/// Most schedules of an organization.
const MOST: u32 = 1_000;
/// How many of the next runs are shown.
const SHOWN_RUNS: usize = 5;
/// Where a schedule counts its hours unless it says otherwise.
const TIME_ZONE: &str = "UTC";
/// How often a change is tried that meets a run.
const TRIES: u32 = 5;

/// The schedules, for somebody who may see them.
#[derive(Debug)]
pub struct Schedules<'s>(Access<'s>);

/// The schedules, for somebody who may change them.
#[derive(Debug)]
pub struct ScheduleChanges<'s>(Access<'s>);

/// A schedule with what follows from it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The schedule.
    pub schedule: Schedule,
    /// When it runs, in words.
    pub timing_text: String,
    /// Its next five runs; none while it is paused.
    pub next_runs: Vec<Timestamp>,
    /// Why its last run started no job, and what to do. `None`: it started one, or it has not run yet.
    pub problem: Option<String>,
}

/// A schedule to be. Unset: as usual.
#[derive(Clone, Debug)]
pub struct ScheduleRequest {
    /// What people call it.
    pub name: String,
    /// Name or id of the directory.
    pub directory: String,
    /// The kind of its jobs, by name.
    pub kind: String,
    /// What its jobs are asked for.
    pub input: Value,
    /// When it runs.
    pub timing: Timing,
    /// Where that is the time.
    pub time_zone: Option<String>,
    /// Runs are later by up to so many seconds.
    pub jitter_seconds: Option<u32>,
    /// What becomes of missed runs.
    pub missed_runs: Option<MissedRuns>,
    /// It does not run until it is resumed.
    pub paused: bool,
}

/// What to change. `None`: leave as it is.
#[derive(Clone, Debug, Default)]
pub struct ScheduleChange {
    /// What people call it.
    pub name: Option<String>,
    /// Name or id of the directory.
    pub directory: Option<String>,
    /// The kind of its jobs, by name.
    pub kind: Option<String>,
    /// What its jobs are asked for.
    pub input: Option<Value>,
    /// When it runs.
    pub timing: Option<Timing>,
    /// Where that is the time.
    pub time_zone: Option<String>,
    /// Runs are later by up to so many seconds.
    pub jitter_seconds: Option<u32>,
    /// What becomes of missed runs.
    pub missed_runs: Option<MissedRuns>,
    /// It does not run until it is resumed.
    pub paused: Option<bool>,
}

impl Services {
    /// Opens the schedules.
    pub fn schedules<'s>(&'s self, actor: &'s Actor) -> Result<Schedules<'s>> {
        self.open(actor, Right::ReadJobs).map(Schedules)
    }

    /// Opens the schedules to change them.
    pub fn change_schedules<'s>(&'s self, actor: &'s Actor) -> Result<ScheduleChanges<'s>> {
        self.open(actor, Right::RunJobs).map(ScheduleChanges)
    }
}

impl Schedules<'_> {
    /// Schedules, oldest first.
    pub async fn list(&self, request: &PageRequest) -> Result<Listed<Shown>> {
        let (store, organization, now) = (self.0.store(), self.0.organization(), self.0.now());
        let page = store.list_schedules(organization, request).await?.map(|schedule| Shown::new(schedule, now));
        listed(request, page, store.total_schedules(organization)).await
    }

    /// The schedule of this name, or whose id begins so.
    pub async fn get(&self, named: &str) -> Result<Shown> {
        let id = resolve::schedule(self.0, named).await?;
        Ok(Shown::new(get(self.0, id).await?, self.0.now()))
    }
}

impl ScheduleChanges<'_> {
    /// Makes a schedule.
    pub async fn create(&self, request: ScheduleRequest) -> Result<Shown> {
        let (id, now) = (ScheduleId::new(), self.0.now());
        let settings = ScheduleSettings {
            name: names::valid("name", &request.name)?,
            directory: known_directories::find(self.0, &request.directory).await?.id,
            kind: request.kind,
            input: request.input,
            timing: stored(&request.timing)?,
            time_zone: request.time_zone.unwrap_or_else(|| TIME_ZONE.to_owned()),
            jitter_seconds: request.jitter_seconds.unwrap_or_default(),
            missed_runs: request.missed_runs.unwrap_or(MissedRuns::Skip),
            paused: request.paused,
        };
        let (settings, next) = checked(id, settings, now)?;
        let new = NewSchedule { id, settings, next, created_by: self.0.actor().who.name().to_owned() };
        let note = Change::new("schedule.created", id.as_uuid(), &new.settings.name).after(&facts(&new.settings));
        let made = self.0.recording(note).create_schedule(self.0.organization(), new, MOST, now).await?;
        self.log(id, "schedule.created");
        Ok(Shown::new(made, now))
    }

    /// Changes a schedule. Where its times change, or it is resumed, it goes on from now.
    pub async fn change(&self, named: &str, change: ScheduleChange) -> Result<Shown> {
        self.carry_out(named, change, "schedule.changed").await
    }

    async fn carry_out(&self, named: &str, change: ScheduleChange, action: &'static str) -> Result<Shown> {
        let id = resolve::schedule(self.0, named).await?;
        let directory = match &change.directory {
            Some(directory) => Some(known_directories::find(self.0, directory).await?.id),
            None => None,
        };
        for _ in 0..TRIES {
            let (known, now) = (get(self.0, id).await?, self.0.now());
            let mut wanted = changed(&known.settings, &change)?;
            wanted.directory = directory.unwrap_or(wanted.directory);
            let (settings, fresh) = checked(id, wanted, now)?;
            let next = if keeps_its_times(&known.settings, &settings) { known.next } else { fresh };
            if settings == known.settings {
                return Ok(Shown::new(known, now));
            }
            let note = Change::new(action, id.as_uuid(), &known.settings.name);
            let recording = self.0.recording(note.before(&facts(&known.settings)).after(&facts(&settings)));
            let by = self.0.actor().who.name();
            if let Some(changed) = recording.change_schedule(&known, &settings, next, by, now).await? {
                self.log(id, action);
                return Ok(Shown::new(changed, now));
            }
        }
        let message = Message::new("The schedule is being changed by somebody else.");
        Err(Error::Conflict(message.cure("Look at it again, and repeat the change if it is still wanted.")))
    }

    /// Deletes a schedule, and gives it as it was. The jobs that it has started go on.
    pub async fn delete(&self, named: &str) -> Result<Shown> {
        let id = resolve::schedule(self.0, named).await?;
        let known = get(self.0, id).await?;
        let note = Change::new("schedule.deleted", id.as_uuid(), &known.settings.name).before(&facts(&known.settings));
        self.0.recording(note).delete_schedule(self.0.organization(), id).await?;
        self.log(id, "schedule.deleted");
        Ok(Shown::new(known, self.0.now()))
    }

    /// Stops a schedule until it is resumed; once more changes nothing.
    pub async fn pause(&self, named: &str) -> Result<Shown> {
        let change = ScheduleChange { paused: Some(true), ..ScheduleChange::default() };
        self.carry_out(named, change, "schedule.paused").await
    }

    /// Lets a schedule run again. What it missed while it was paused is not made up for.
    pub async fn resume(&self, named: &str) -> Result<Shown> {
        let change = ScheduleChange { paused: Some(false), ..ScheduleChange::default() };
        self.carry_out(named, change, "schedule.resumed").await
    }

    fn log(&self, schedule: ScheduleId, event: &'static str) {
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, %schedule, "{event}");
    }
}

impl Shown {
    fn new(schedule: Schedule, now: Timestamp) -> Self {
        let next_runs = plan::next_runs(&schedule, now, SHOWN_RUNS);
        let problem = schedule.last_run.as_ref().and_then(|last| problem(last, &schedule.directory_name));
        let timing = serde_json::from_value::<Timing>(schedule.settings.timing.clone());
        let timing_text = timing.map_or_else(|_| schedule.settings.timing.to_string(), |timing| timing.to_string());
        Self { schedule, timing_text, next_runs, problem }
    }
}

async fn get(access: Access<'_>, id: ScheduleId) -> Result<Schedule> {
    let found = access.store().get_schedule(access.organization(), id).await?;
    found.ok_or_else(|| Error::no("schedule"))
}

/// A schedule as the audit log keeps it.
fn facts(settings: &ScheduleSettings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn stored(timing: &Timing) -> Result<Value> {
    serde_json::to_value(timing).map_err(|error| Error::field("timing", error.to_string()))
}

/// The settings after a change, without its directory.
fn changed(known: &ScheduleSettings, change: &ScheduleChange) -> Result<ScheduleSettings> {
    let known = known.clone();
    Ok(ScheduleSettings {
        name: change.name.as_deref().map(|name| names::valid("name", name)).transpose()?.unwrap_or(known.name),
        directory: known.directory,
        kind: change.kind.clone().unwrap_or(known.kind),
        input: change.input.clone().unwrap_or(known.input),
        timing: change.timing.as_ref().map(stored).transpose()?.unwrap_or(known.timing),
        time_zone: change.time_zone.clone().unwrap_or(known.time_zone),
        jitter_seconds: change.jitter_seconds.unwrap_or(known.jitter_seconds),
        missed_runs: change.missed_runs.unwrap_or(known.missed_runs),
        paused: change.paused.unwrap_or(known.paused),
    })
}

/// Whether a change leaves the next run where it is.
fn keeps_its_times(known: &ScheduleSettings, wanted: &ScheduleSettings) -> bool {
    let times = |settings: &ScheduleSettings| {
        (settings.timing.clone(), settings.time_zone.clone(), settings.jitter_seconds, settings.paused)
    };
    times(known) == times(wanted)
}

/// Settings that can be run, with their next run.
fn checked(id: ScheduleId, settings: ScheduleSettings, now: Timestamp) -> Result<(ScheduleSettings, NextRun)> {
    let wrong = |error: InputError| Error::field(error.field, error.detail);
    let kind = kind::find(kinds::ALL, &settings.kind).filter(|kind| kind.is_scheduled()).ok_or_else(|| {
        let known: Vec<&str> = kinds::ALL.iter().filter(|kind| kind.is_scheduled()).map(|kind| kind.name()).collect();
        Error::field("kind", format!("it must be one of {}", known.join(", ")))
    })?;
    let input = kind.input(&settings.input);
    let input = input.map_err(|error| Error::field(format!("input.{}", error.field), error.detail))?;
    let plan = Plan::new(id, &settings).and_then(|plan| plan.checked(now)).map_err(wrong)?;
    let next = plan.after(now).ok_or_else(|| Error::field("timing", "it never comes"))?;
    Ok((ScheduleSettings { input, ..settings }, next))
}

/// Why a run started no job, and what to do about it.
fn problem(last: &LastRun, directory: &str) -> Option<String> {
    let job = last.job.map_or_else(|| "the job before".to_owned(), |job| format!("job {job}"));
    Some(match last.outcome {
        RunOutcome::Started => return None,
        RunOutcome::Missed => "No control plane was running at its time, and it skips missed runs.".to_owned(),
        RunOutcome::UnderWay => format!("It was skipped, because {job} was still under way."),
        RunOutcome::Waiting => format!("It starts when {job} has ended. Where that is held, approve or reject it."),
        RunOutcome::DirectoryDisabled => {
            format!("The directory was disabled. Enable it: `postern directories enable {directory}`.")
        }
        RunOutcome::DirectoryDeleted => {
            "The directory was deleted. It comes back when an agent that serves it connects.".to_owned()
        }
        RunOutcome::Refused => {
            let detail = last.detail.as_deref().unwrap_or_default();
            format!("The job could not be made: {detail}. Change the schedule.")
        }
    })
}
