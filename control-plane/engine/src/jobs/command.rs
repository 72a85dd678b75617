//! Commands to agents, and their outcomes.

use std::time::Duration;

use postern_proto::v1;
use postern_store::JobId;

use super::failure::Failure;

/// A command for an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The job, whose id is the command's.
    pub job: JobId,
    /// The attempt, which is the command's generation.
    pub attempt: u32,
    /// Name of the directory at the agent.
    pub directory: String,
    /// What to do, from the job's kind.
    pub work: v1::command::Kind,
    /// Give up after this long.
    pub timeout: Duration,
}

/// The end of a command, as the agent reports it.
#[derive(Debug)]
pub struct AgentOutcome {
    /// The command's job.
    pub job: JobId,
    /// Its generation.
    pub attempt: u32,
    /// How long the agent worked on it.
    pub elapsed: Duration,
    /// The result.
    pub result: Result<v1::outcome::Result, Failure>,
}

/// The progress of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProgress {
    /// The command's job.
    pub job: JobId,
    /// Its generation.
    pub attempt: u32,
    /// Entries read so far.
    pub entries_read: u64,
    /// Pages read so far.
    pub pages_read: u64,
    /// `users` or `groups`.
    pub phase: Option<String>,
}
