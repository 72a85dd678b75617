//! What is known of a command while it runs and after it has ended, whatever its kind.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use postern_proto::v1;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::Failure;
use crate::served::Phase;

/// Id of a command: that of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One start of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The command.
    pub id: CommandId,
    /// Which of its starts.
    pub generation: u32,
}

/// How far a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries read.
    pub entries: u64,
    /// Pages read.
    pub pages: u64,
    /// What is being read.
    pub phase: Phase,
}

/// How work on a command ended, before it becomes an outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With an answer.
    Answered(v1::outcome::Result),
    /// With a failure.
    Failed(Failure),
    /// The control plane does not want it any more: there is no outcome.
    Unwanted,
}

impl From<Result<v1::outcome::Result, Failure>> for End {
    fn from(result: Result<v1::outcome::Result, Failure>) -> Self {
        match result {
            Ok(answer) => Self::Answered(answer),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// The end of a command, held until the control plane has acknowledged it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which command.
    pub key: Key,
    /// How long it took.
    pub elapsed: Duration,
    /// How it ended.
    pub result: Result<v1::outcome::Result, Failure>,
}

/// Something that the session has to send.
#[derive(Clone, Debug)]
pub enum Event {
    /// A command has ended.
    Ended(Arc<Outcome>),
    /// A command has come further.
    Progressed(Key, Progress),
}

/// A held command, for a status report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCommand {
    /// Its id.
    pub id: CommandId,
    /// Which of its starts.
    pub generation: u32,
    /// Its kind.
    pub kind: String,
    /// Whether it still runs; otherwise its outcome waits for an acknowledgement.
    pub running: bool,
}
