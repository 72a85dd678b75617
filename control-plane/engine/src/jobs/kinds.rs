//! The kinds of job: what an administrator asks for, how long it may take, and the command that it becomes.

use std::time::Duration;

use postern_store::{Job, JobId, JobKind};
use serde::{Deserialize, Serialize};

/// Waits at most this long for an agent unless the request says otherwise.
const IMPORT_DEADLINE: Duration = Duration::from_hours(24);
/// A person waits for these.
const QUESTION_DEADLINE: Duration = Duration::from_mins(2);

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Reads all users and groups of a directory.
    Import,
    /// Runs the agent's diagnosis of a directory.
    TestConnection,
    /// Reads one user by its unique attribute, to try the mapping.
    LookupUser {
        /// The value of the unique attribute.
        unique_value: String,
    },
}

/// The stored input of a `lookup_user` job.
#[derive(Debug, Serialize, Deserialize)]
struct LookupInput {
    unique_value: String,
}

/// Why a stored job cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[error("the input of the job cannot be read")]
pub struct InputError(#[source] serde_json::Error);

impl Work {
    /// What a stored job does.
    pub fn of(job: &Job) -> Result<Self, InputError> {
        Ok(match job.kind {
            JobKind::Import => Self::Import,
            JobKind::TestConnection => Self::TestConnection,
            JobKind::LookupUser => {
                let input = LookupInput::deserialize(&job.input).map_err(InputError)?;
                Self::LookupUser { unique_value: input.unique_value }
            }
        })
    }

    /// The kind under which it is stored.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Import => JobKind::Import,
            Self::TestConnection => JobKind::TestConnection,
            Self::LookupUser { .. } => JobKind::LookupUser,
        }
    }

    /// The input as it is stored.
    pub fn input(&self) -> serde_json::Value {
        match self {
            Self::Import | Self::TestConnection => serde_json::json!({}),
            Self::LookupUser { unique_value } => serde_json::json!({ "unique_value": unique_value }),
        }
    }

    /// How long the job may wait and run unless the request says otherwise.
    pub fn default_deadline(&self) -> Duration {
        match self {
            Self::Import => IMPORT_DEADLINE,
            Self::TestConnection | Self::LookupUser { .. } => QUESTION_DEADLINE,
        }
    }
}

/// What is sent to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The job, whose id is the command's.
    pub job: JobId,
    /// The attempt, which is the command's generation.
    pub attempt: u32,
    /// Name of the directory at the agent.
    pub directory: String,
    /// What to do.
    pub work: Work,
    /// Give up after this long.
    pub timeout: Duration,
}
