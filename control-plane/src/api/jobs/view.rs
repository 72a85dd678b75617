//! A job as it is shown.

use jiff::Timestamp;
use postern_engine::intake::hold::Hold;
use postern_engine::kinds::test_connection::Check;
use postern_engine::records::{DirectoryId, Job, JobId, JobState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::types::{self, KindName};

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: JobId,
    /// What it does.
    pub kind: KindName,
    /// On which directory.
    pub directory: DirectoryRef,
    /// Its state.
    pub state: JobState,
    /// What was asked for beside the directory.
    #[schema(schema_with = types::input)]
    pub input: Value,
    /// How far it has come.
    pub progress: Progress,
    /// What came of it. `null`: it has not succeeded.
    #[schema(schema_with = types::result)]
    pub result: Option<Value>,
    /// Why it failed. `null`: it has not.
    pub error: Option<JobError>,
    /// Why it was held. `null`: it was not.
    #[schema(value_type = Option<Hold>)]
    pub hold: Option<Value>,
    /// What it waits for, for people. `null`: nothing to say.
    pub message: Option<String>,
    /// Whether its end was requested.
    pub cancel_requested: bool,
    /// How often it was taken up anew.
    pub attempt: u32,
    /// The API token that started it, by name, or `schedule NAME`.
    pub created_by: String,
    /// Who approved or rejected it after it was held. `null`: nobody.
    pub decided_by: Option<String>,
    /// Why it was rejected. `null`: no reason was given.
    pub decision_reason: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was first taken up. `null`: not yet.
    pub started_at: Option<Timestamp>,
    /// When it ended. `null`: not yet.
    pub finished_at: Option<Timestamp>,
    /// Until when it must be over, or it fails.
    pub deadline: Timestamp,
}

/// A directory by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryRef {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: DirectoryId,
    /// Its name.
    pub name: String,
}

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Progress {
    /// Entries read from the directory.
    pub entries_read: u64,
    /// Pages read from the directory.
    pub pages_read: u64,
    /// Entries a second, at present.
    pub rate_per_second: f64,
    /// What is being done, `users` or `groups` while it reads. `null`: not said.
    pub phase: Option<String>,
}

/// Why a job failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct JobError {
    /// Names the kind of failure; programs decide by it.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it. `null`: nothing to suggest.
    pub cure: Option<String>,
    /// `test_connection` only: all checks that were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Check>>)]
    pub checks: Option<Vec<Value>>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let message = waits_for(&job).or(job.message).filter(|_| !job.state.is_final());
        Self {
            id: job.id,
            kind: KindName::from(job.kind.as_str()),
            directory: DirectoryRef { id: job.directory, name: job.directory_name },
            state: job.state,
            input: job.input,
            progress: job.progress.map(read_progress).unwrap_or_default(),
            result: job.result,
            error: job.error.as_ref().map(read_error),
            hold: job.hold,
            message,
            cancel_requested: job.cancel_requested,
            attempt: job.attempt,
            created_by: job.created_by,
            decided_by: job.decided_by,
            decision_reason: job.decision_reason,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            deadline: job.deadline,
        }
    }
}

/// Of a directory's imports one is under way at a time.
fn waits_for(job: &Job) -> Option<String> {
    let (other, state) = job.waits_for?;
    Some(match state {
        JobState::Held => {
            let reason = job.waits_for_hold.as_ref().and_then(|hold| hold["reason"].as_str()).unwrap_or_default();
            format!(
                "Waits for job {other}, an import of the same directory, which is held until somebody decides: `postern \
                 jobs approve {other}` lets it go on, `postern jobs reject {other}` ends it. {reason}"
            )
        }
        _ => format!(
            "Waits for job {other}, an import of the same directory, which is running. It starts when that ends."
        ),
    })
}

/// Progress that cannot be read is left out.
fn read_progress(stored: Value) -> Progress {
    serde_json::from_value(stored).unwrap_or_default()
}

/// What cannot be read as an error is shown as it is, never lost.
fn read_error(stored: &Value) -> JobError {
    JobError::deserialize(stored).unwrap_or_else(|_| JobError {
        code: "internal".to_owned(),
        message: stored.to_string(),
        ..JobError::default()
    })
}
