//! Jobs: starting them, watching them, and deciding about held ones. The services only write rows; the store wakes a
//! replica that can reach the directory.

use jiff::{SignedDuration, Timestamp};
use postern_proto::{limits, text};
use postern_store::{JobFilter as StoredFilter, NewJob, Store};
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::pages::{Listed, listed, uncounted};
use super::rights::Right;
use super::{known_directories, resolve};
use crate::intake::preview::row::{Action, Row};
use crate::jobs::kind::{self, Kind};
use crate::kinds;
use crate::records::{Directory, DirectoryId, Job, JobId, JobState, Page, PageRequest};

/// Longest a job may wait and run.
const MAX_TIMEOUT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Read access to jobs.
#[derive(Debug)]
pub struct Jobs<'s>(Access<'s>);

/// Access to start, cancel and decide jobs.
#[derive(Debug)]
pub struct JobControl<'s>(Access<'s>);

/// Which jobs to list. Unset: all.
#[derive(Clone, Debug)]
pub struct JobFilter {
    directory: Option<DirectoryId>,
    kind: Option<&'static str>,
    state: Option<JobState>,
}

/// A request for a job.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The name of its kind.
    pub kind: String,
    /// Name or id of the directory.
    pub directory: String,
    /// The input of the kind.
    pub input: Value,
    /// When it must have ended. `None`: the default of its kind.
    pub deadline: Option<Timestamp>,
    /// The same as seconds from now; not together with `deadline`.
    pub timeout_seconds: Option<u64>,
    /// Requests with the same key create one job.
    pub idempotency_key: Option<String>,
}

impl Services {
    /// Opens the jobs.
    pub fn jobs<'s>(&'s self, actor: &'s Actor) -> Result<Jobs<'s>> {
        self.open(actor, Right::ReadJobs).map(Jobs)
    }

    /// Opens the jobs, to start, cancel and decide them.
    pub fn run_jobs<'s>(&'s self, actor: &'s Actor) -> Result<JobControl<'s>> {
        self.open(actor, Right::RunJobs).map(JobControl)
    }
}

impl Jobs<'_> {
    /// A filter by the name or id of a directory, the name of a kind, and the state.
    pub async fn filter(
        &self,
        directory: Option<&str>,
        kind: Option<&str>,
        state: Option<JobState>,
    ) -> Result<JobFilter> {
        let directory = known_directories::wanted(self.0, directory).await?;
        let known = |name| kind::find(kinds::ALL, name).ok_or_else(|| Error::query("kind", known_kinds()));
        Ok(JobFilter { directory, kind: kind.map(known).transpose()?.map(Kind::name), state })
    }

    /// Jobs, the latest first.
    pub async fn list(&self, filter: &JobFilter, request: &PageRequest) -> Result<Listed<Job>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let JobFilter { directory, kind, state } = filter;
        let filter = StoredFilter { state: *state, kind: kind.map(str::to_owned), directory: *directory };
        let page = store.list_jobs(organization, &filter, request).await?.map(|job| explained(self.0, job));
        listed(request, page, store.total_jobs(organization, &filter)).await
    }

    /// The job with this id or this beginning of an id.
    pub async fn get(&self, named: &str) -> Result<Job> {
        let id = resolve::job(self.0, named).await?;
        self.of_id(id).await
    }

    /// What a preview found, user by user and group by group: those with this action, or all.
    pub async fn preview(&self, named: &str, action: Option<Action>, request: &PageRequest) -> Result<Listed<Row>> {
        let job = self.get(named).await?;
        if !kind::find(kinds::ALL, &job.kind).is_some_and(Kind::uses_copy) {
            let message = Message::new("This job is not a preview.");
            return Err(Error::Conflict(message.cure("Start one: `postern jobs start import --preview`.")));
        }
        if job.state != JobState::Succeeded {
            let message = Message::new("The preview has not succeeded, so it has found nothing yet.");
            return Err(Error::Conflict(message.cure(format!("Watch it: `postern jobs watch {}`.", job.id))));
        }
        let actions = action.map_or(u32::MAX >> 1, Action::bit);
        let page = self.0.store().preview_rows(self.0.organization(), job.id, actions, request).await?;
        let rows = page.items.into_iter().map(|row| {
            Row::of(row).ok_or_else(|| Error::Internal(postern_store::Error::corrupt("a row of a preview")))
        });
        let page = Page { items: rows.collect::<Result<_>>()?, next: page.next };
        Ok(uncounted(request, page))
    }

    /// The job with this id.
    pub async fn of_id(&self, id: JobId) -> Result<Job> {
        let found = self.0.store().get_job(self.0.organization(), id).await?;
        found.map(|job| explained(self.0, job)).ok_or_else(|| Error::no("job"))
    }
}

impl JobControl<'_> {
    /// Creates a job. An agent that serves the directory runs it as soon as one is connected.
    pub async fn start(&self, request: JobRequest) -> Result<Job> {
        let now = self.0.now();
        let kind = kind::find(kinds::ALL, &request.kind).ok_or_else(|| Error::field("kind", known_kinds()))?;
        let input = kind.input(&request.input).map_err(|error| Error::field(error.field, error.detail))?;
        let deadline = deadline(&request, kind, now)?;
        let directory = known_directories::find(self.0, &request.directory).await?;
        enabled(&directory)?;
        let new = NewJob {
            organization: self.0.organization(),
            kind: kind.name().to_owned(),
            exclusive: kind.is_exclusive(),
            directory: directory.id,
            input,
            deadline,
            created_by: self.0.actor().who.name().to_owned(),
            // Keys of different actors never collide.
            idempotency_key: request.idempotency_key.map(|key| format!("{}/{key}", self.0.actor().who)),
        };
        let change = Change::new("job.created", None, format!("{} of {}", new.kind, directory.name));
        let job = self.0.recording(change.after(&new.input)).create_job(new, now).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, job = %job.id,
            kind = %job.kind, "job.created");
        metrics::counter!("postern_jobs_created_total", "kind" => kind.name()).increment(1);
        Ok(job)
    }

    /// Asks a job to end. A running job continues until its agent has stopped.
    pub async fn cancel(&self, named: &str) -> Result<Job> {
        let id = resolve::job(self.0, named).await?;
        let store = self.recording(id, "job.cancel_requested", None).await?;
        let job = store.request_cancel(self.0.organization(), id, self.0.now()).await?;
        self.log(id, "job.cancel_requested");
        Ok(job)
    }

    /// Approves a held job.
    pub async fn approve(&self, named: &str) -> Result<Job> {
        let id = resolve::job(self.0, named).await?;
        let (store, organization) = (self.0.store(), self.0.organization());
        let held = store.get_job(organization, id).await?.ok_or_else(|| Error::no("job"))?;
        if let Some(directory) = store.get_directory(organization, held.directory).await? {
            // It would end at once, and the held changes would be lost.
            enabled(&directory)?;
        }
        let held = held.hold.unwrap_or_default();
        let recording = self.recording(id, "job.approved", Some(&held)).await?;
        let job = recording.approve_job(organization, id, self.0.actor().who.name(), self.0.now()).await?;
        self.log(id, "job.approved");
        Ok(job)
    }

    /// Rejects a held job; what it was held for is not applied.
    pub async fn reject(&self, named: &str, reason: &str) -> Result<Job> {
        if reason.len() > limits::MAX_TEXT_BYTES {
            return Err(Error::field("reason", format!("it is longer than {} bytes", limits::MAX_TEXT_BYTES)));
        }
        let reason = text::optional(reason);
        let id = resolve::job(self.0, named).await?;
        let by = self.0.actor().who.name();
        let store = self.recording(id, "job.rejected", Some(&json!({ "reason": reason }))).await?;
        let job = store.reject_job(self.0.organization(), id, by, reason.as_deref(), self.0.now()).await?;
        self.log(id, "job.rejected");
        Ok(job)
    }

    /// The records, whose next transaction notes what was done to a job.
    async fn recording(&self, job: JobId, action: &'static str, with: Option<&Value>) -> Result<Store> {
        let found = self.0.store().get_job(self.0.organization(), job).await?.ok_or_else(|| Error::no("job"))?;
        let change = Change::new(action, job.as_uuid(), found.kind);
        Ok(self.0.recording(match with {
            Some(with) => change.after(with),
            None => change,
        }))
    }

    fn log(&self, job: JobId, event: &'static str) {
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, %job, "{event}");
    }
}

/// On a full disk nothing is written about the job, so this explains it.
fn explained(access: Access<'_>, job: Job) -> Job {
    const FULL: &str =
        "The volume of the control plane's database is full or cannot be written. The job goes on when there is room.";
    let stuck = access.store().is_full() && !job.state.is_final();
    if stuck { Job { message: Some(FULL.to_owned()), ..job } } else { job }
}

fn known_kinds() -> String {
    let names: Vec<&str> = kinds::ALL.iter().map(|kind| kind.name()).collect();
    format!("it must be one of {}", names.join(", "))
}

fn enabled(directory: &Directory) -> Result<()> {
    if directory.disabled {
        let message = Message::new(format!("The directory {:?} is disabled.", directory.name));
        let cure = format!("Enable it first: `postern directories enable {}`.", directory.name);
        return Err(Error::Conflict(message.cure(cure)));
    }
    Ok(())
}

fn deadline(request: &JobRequest, kind: &dyn Kind, now: Timestamp) -> Result<Timestamp> {
    let (field, wanted) = match (request.deadline, request.timeout_seconds) {
        (Some(_), Some(_)) => {
            return Err(Error::field("timeout_seconds", "give either deadline or timeout_seconds"));
        }
        (Some(deadline), None) => ("deadline", deadline.duration_since(now)),
        (None, Some(seconds)) => {
            ("timeout_seconds", SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
        }
        (None, None) => {
            let usual = kind.deadline().as_secs();
            ("deadline", SignedDuration::from_secs(i64::try_from(usual).unwrap_or(i64::MAX)))
        }
    };
    let allowed = 1..=MAX_TIMEOUT_SECONDS;
    if !u64::try_from(wanted.as_secs()).is_ok_and(|seconds| allowed.contains(&seconds)) {
        return Err(Error::field(field, "it must be within the next 30 days"));
    }
    now.checked_add(wanted).map_err(|_| Error::field(field, "it must be within the next 30 days"))
}
