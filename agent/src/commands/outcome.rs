//! What a command is, and how it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encode::LeftOut;
use crate::served::{Check, Phase};

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

/// A command as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which one.
    pub key: Key,
    /// The directory to act on.
    pub directory: String,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// What to do.
    pub kind: Kind,
}

/// What a command is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read and deliver everything.
    Import {
        /// Most entries in one chunk.
        chunk_entries: usize,
    },
    /// Diagnose one directory.
    TestConnection,
    /// Read one user.
    LookupUser {
        /// By this value of its unique attribute.
        unique_value: String,
    },
    /// Something that a newer control plane knows and this agent does not.
    Unknown,
}

impl Kind {
    /// Its name in policies, logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Import { .. } => "import",
            Self::TestConnection => "test_connection",
            Self::LookupUser { .. } => "lookup_user",
            Self::Unknown => "unknown",
        }
    }
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

/// The end of a command, held until the control plane has acknowledged it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which command.
    pub key: Key,
    /// How long it took.
    pub elapsed: Duration,
    /// How it ended.
    pub result: Result<Answer, Failure>,
}

/// What a command brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything was delivered.
    Import(Imported),
    /// The diagnosis.
    TestConnection(Vec<Check>),
    /// Encoded user and groups.
    LookupUser {
        /// A chunk of one user.
        user: Bytes,
        /// A chunk of its groups.
        groups: Bytes,
    },
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Users delivered.
    pub users: u64,
    /// Groups delivered.
    pub groups: u64,
    /// Pages read.
    pub pages: u64,
    /// Referrals returned and not followed.
    pub referrals: u64,
    /// Entries that cannot be imported.
    pub unusable: u64,
    /// Some of them, with the reason.
    pub unusable_samples: Vec<String>,
    /// Users of whom nobody can say whether the directory lets them in.
    pub unknown_switches: u64,
    /// The attribute for whose sake the first of them is unknown.
    pub unreadable: Option<&'static str>,
    /// Values that were too large to be delivered.
    pub left_out: LeftOut,
    /// Entries that were left out, and groups whose members were not read.
    pub remarks: u64,
    /// Some of them, with the reason.
    pub remark_samples: Vec<String>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// This agent does not know such a command.
    Unsupported,
    /// The command makes no sense here.
    Invalid,
    /// The site's policy forbids it.
    Forbidden,
    /// The directory cannot be reached.
    Unreachable,
    /// The directory refuses the agent's credentials.
    Credentials,
    /// The directory answered with an error, or stopped before the end.
    Directory,
    /// It took longer than allowed.
    Timeout,
    /// Canceled on request.
    Canceled,
    /// A fault in the agent.
    Internal,
    /// What was sought does not exist.
    NotFound,
    /// More than one fits.
    Ambiguous,
}

/// Why a command failed, in words that may travel: nothing of the site's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub code: Code,
    /// What failed.
    pub message: String,
    /// What to do.
    pub cure: Option<String>,
    /// Worth trying again without a change by anybody.
    pub retryable: bool,
    /// What the directory answered.
    pub ldap_result_code: Option<u32>,
    /// The whole of it with servers and names, which stays here: for the local log.
    pub local: Option<String>,
}

impl Failure {
    /// A failure that says no more than this.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cure: None, retryable: false, ldap_result_code: None, local: None }
    }

    /// What the local log is to hold.
    pub(crate) fn for_the_log(&self) -> &str {
        self.local.as_deref().unwrap_or(&self.message)
    }

    /// The same, with what to do.
    #[must_use]
    pub fn cured_by(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// The same, worth another try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    pub(crate) fn canceled() -> Self {
        Self::new(Code::Canceled, "canceled on request")
    }

    pub(crate) fn panicked() -> Self {
        Self::new(Code::Internal, "a fault in the agent ended the command; the agent's log has the details")
            .cured_by("report the fault with the agent's log")
            .retryable()
    }
}

/// How work on a command ended, before it becomes an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    Answered(Answer),
    /// With a failure.
    Failed(Failure),
    /// Nobody wants it any more: there is no outcome.
    Unwanted,
}

impl From<Result<Answer, Failure>> for End {
    fn from(result: Result<Answer, Failure>) -> Self {
        match result {
            Ok(answer) => Self::Answered(answer),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// Something that the session has to tell.
#[derive(Clone, Debug)]
pub enum Tidings {
    /// A command has ended.
    Ended(Arc<Outcome>),
    /// A command has come further.
    Progressed(Key, Progress),
}
