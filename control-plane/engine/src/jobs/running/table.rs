//! The jobs that run at this replica, in memory. The database has the same state a little later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use postern_store::{AgentId, Job, JobId};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::copies::Copy;
use crate::jobs::reach::Route;

/// One running job.
#[derive(Debug)]
pub(crate) struct RunningJob {
    /// The job as claimed.
    pub(crate) job: Job,
    /// The agent that works on it; `None` once everything was delivered and proven.
    pub(crate) agent: Option<AgentId>,
    /// The route to the agent while it is connected.
    pub(crate) route: Option<Arc<Route>>,
    /// Since when the agent is not connected.
    pub(crate) orphaned_at: Option<Timestamp>,
    /// When the agent was asked to stop.
    pub(crate) canceled_at: Option<Timestamp>,
    /// Whether everything was delivered and proven; the rest is done here.
    pub(crate) proven: bool,
    /// Canceled when the job leaves this replica.
    pub(crate) ended: CancellationToken,
    /// The agent's answer, which is separate from the entries.
    pub(crate) report: watch::Sender<Option<Value>>,
    /// Allows one delivery at a time.
    pub(crate) delivery: Arc<tokio::sync::Mutex<()>>,
    /// Canceled when a newer delivery takes over.
    pub(crate) newest_delivery: CancellationToken,
    /// Its progress.
    pub(crate) progress: Progress,
    /// Whether it works on a copy of the data.
    pub(crate) uses_copy: bool,
    /// The copy, once there is one.
    pub(crate) copy: Option<Arc<Copy>>,
}

/// The progress of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) phase: Option<String>,
    pub(crate) entries_read: u64,
    pub(crate) pages_read: u64,
    pub(crate) entries_stored: u64,
    /// What the job's kind needs after a kill.
    pub(crate) notes: Map<String, Value>,
    /// When the first entries came, to measure entries a second.
    pub(crate) since: Option<Timestamp>,
    pub(crate) rate: u64,
    /// Whether it is not yet written to the database.
    pub(crate) dirty: bool,
}

impl Progress {
    pub(crate) fn of(stored: Option<&Value>) -> Self {
        let mut notes = stored.and_then(Value::as_object).cloned().unwrap_or_default();
        let mut number = |name: &str| notes.remove(name).and_then(|number| number.as_u64()).unwrap_or_default();
        let mut progress = Self {
            entries_read: number("entries_read"),
            pages_read: number("pages_read"),
            entries_stored: number("entries_stored"),
            ..Self::default()
        };
        // These are measured again.
        for name in ["rate_per_second", "phase"] {
            notes.remove(name);
        }
        progress.notes = notes;
        progress
    }

    pub(crate) fn measure(&mut self, now: Timestamp) {
        self.dirty = true;
        let since = *self.since.get_or_insert(now);
        let elapsed_ms = u64::try_from(now.duration_since(since).as_millis()).unwrap_or_default();
        if elapsed_ms >= 500 {
            self.rate = self.entries_read.max(self.entries_stored).saturating_mul(1000) / elapsed_ms;
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({
            "entries_read": self.entries_read.max(self.entries_stored),
            "pages_read": self.pages_read,
            "entries_stored": self.entries_stored,
            "rate_per_second": self.rate,
        });
        if let Some(phase) = &self.phase {
            value["phase"] = json!(phase);
        }
        for (name, note) in &self.notes {
            value[name] = note.clone();
        }
        value
    }
}

impl RunningJob {
    pub(crate) fn new(job: Job, agent: Option<AgentId>, route: Option<Arc<Route>>) -> Self {
        let report = job.agent_result.clone();
        Self {
            agent,
            route,
            orphaned_at: None,
            canceled_at: None,
            proven: job.proven,
            ended: CancellationToken::new(),
            report: watch::Sender::new(report),
            delivery: Arc::default(),
            newest_delivery: CancellationToken::new(),
            progress: Progress::of(job.progress.as_ref()),
            uses_copy: false,
            copy: None,
            job,
        }
    }

    /// The same job, working on a copy of the data if its kind says so.
    pub(crate) fn on_copy(self, uses_copy: bool) -> Self {
        Self { uses_copy, ..self }
    }

    /// Whether this is the entry of an agent's command with this generation.
    pub(crate) fn is(&self, agent: AgentId, attempt: u32) -> bool {
        self.agent == Some(agent) && self.job.attempt == attempt
    }
}

/// All jobs that run at this replica.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<HashMap<JobId, RunningJob>>);

impl Table {
    /// The table, locked. Never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<JobId, RunningJob>> {
        // No change is left half done, so a panic elsewhere does not corrupt the table.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a job and ends its older attempt.
    pub(crate) fn insert(&self, entry: RunningJob) {
        if let Some(older) = self.lock().insert(entry.job.id, entry) {
            older.ended.cancel();
        }
    }

    /// Removes a job, if it is still in this attempt.
    pub(crate) fn remove(&self, job: JobId, attempt: u32) -> Option<RunningJob> {
        let mut table = self.lock();
        if table.get(&job)?.job.attempt != attempt {
            return None;
        }
        let entry = table.remove(&job)?;
        drop(table);
        entry.ended.cancel();
        Some(entry)
    }

    /// Changes an entry, if the job is still in this attempt.
    pub(crate) fn change<T>(&self, job: JobId, attempt: u32, change: impl FnOnce(&mut RunningJob) -> T) -> Option<T> {
        self.lock().get_mut(&job).filter(|entry| entry.job.attempt == attempt).map(change)
    }

    /// The jobs and attempts that match.
    pub(crate) fn find(&self, fits: impl Fn(&RunningJob) -> bool) -> Vec<(JobId, u32)> {
        self.lock().values().filter(|entry| fits(entry)).map(|entry| (entry.job.id, entry.job.attempt)).collect()
    }
}
