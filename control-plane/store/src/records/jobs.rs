//! Jobs and the states that they go through.

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::{AgentId, DirectoryId, JobId, OrganizationId, ReplicaId};

named! {
    /// Where a job stands.
    JobState {
        /// Ready to be taken up.
        Queued = "queued",
        /// No agent that served its directory was connected; `message` says what it waits for now.
        Waiting = "waiting",
        /// Being worked on.
        Running = "running",
        /// Stopped by a safeguard until it is approved or rejected.
        Held = "held",
        /// Done.
        Succeeded = "succeeded",
        /// Ended with an error.
        Failed = "failed",
        /// Ended on request.
        Canceled = "canceled",
    }
}

named! {
    /// What can happen to a job.
    JobEvent {
        /// A replica takes it up (also from a replica whose lease is over).
        Claim = "claim",
        /// No agent serves its directory.
        MarkWaiting = "mark_waiting",
        /// Its replica hands it back.
        Release = "release",
        /// Its replica stops it for an administrator to decide.
        Hold = "hold",
        /// An administrator lets it go on.
        Approve = "approve",
        /// An administrator does not.
        Reject = "reject",
        /// Somebody wants it to end.
        RequestCancel = "request_cancel",
        /// Its deadline has passed.
        Expire = "expire",
        /// It is done.
        Succeed = "succeed",
        /// It ended with an error.
        Fail = "fail",
        /// It ended because it was asked to.
        Cancel = "cancel",
    }
}

impl JobState {
    /// Nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The state after an event; `None` when the event cannot happen in this state.
    ///
    /// A running job that somebody wants to end goes on running until its replica has stopped it. An expired job that
    /// runs is its replica's to end.
    #[must_use]
    pub const fn after(self, event: JobEvent) -> Option<Self> {
        use JobEvent as E;
        Some(match (self, event) {
            (Self::Queued | Self::Waiting | Self::Running, E::Claim) | (Self::Running, E::RequestCancel) => {
                Self::Running
            }
            (Self::Queued, E::MarkWaiting) => Self::Waiting,
            (Self::Running, E::Release) | (Self::Held, E::Approve) => Self::Queued,
            (Self::Running, E::Hold) => Self::Held,
            (Self::Running, E::Succeed) => Self::Succeeded,
            (Self::Queued | Self::Waiting, E::Expire) | (Self::Running, E::Fail) => Self::Failed,
            (Self::Queued | Self::Waiting | Self::Held, E::RequestCancel)
            | (Self::Held, E::Reject)
            | (Self::Running, E::Cancel) => Self::Canceled,
            _ => return None,
        })
    }
}

/// What an administrator has approved of an import that was held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approvals {
    /// What the proven import would change.
    pub changes: bool,
    /// That it reads a server which is behind the one of the last import.
    pub server_behind: bool,
}

/// A unit of work that an administrator or a schedule asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What it does.
    pub kind: String,
    /// On which directory.
    pub directory: DirectoryId,
    /// The directory's name.
    pub directory_name: String,
    /// Where it stands.
    pub state: JobState,
    /// What was asked for.
    pub input: Value,
    /// How far it has come.
    pub progress: Option<Value>,
    /// What came of it, when it succeeded.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<Value>,
    /// Why it was held.
    pub hold: Option<Value>,
    /// For those who watch it wait.
    pub message: Option<String>,
    /// Who asked for it, for people.
    pub created_by: String,
    /// Who decided after it was held, for people.
    pub decided_by: Option<String>,
    /// Why it was rejected, in the words of the one who decided.
    pub decision_reason: Option<String>,
    /// What an administrator has approved.
    pub approvals: Approvals,
    /// Somebody wants it to end.
    pub cancel_requested: bool,
    /// How often it was taken up anew; also the generation of its command and chunks.
    pub attempt: u32,
    /// How many attempts ended with an error.
    pub failures: u32,
    /// All of the import is here and proven complete: from now on it needs no agent.
    pub proven: bool,
    /// The replica that runs it.
    pub owner: Option<ReplicaId>,
    /// Until when it is that replica's.
    pub lease_until: Option<Timestamp>,
    /// The agent to which its command was sent.
    pub agent: Option<AgentId>,
    /// What the agent answered beside the entries.
    pub agent_result: Option<Value>,
    /// Not to be taken up before.
    pub not_before: Option<Timestamp>,
    /// To be taken up until then, or it fails.
    pub deadline: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was first taken up.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// An import that has not begun waits for the end of this one of the same directory, which is in this state.
    pub waits_for: Option<(JobId, JobState)>,
    /// Why that import is held.
    pub waits_for_hold: Option<Value>,
}

impl Job {
    /// The right to work on it, if a replica has that.
    pub fn lease(&self) -> Option<Lease> {
        Some(Lease { job: self.id, attempt: self.attempt, owner: self.owner? })
    }
}

/// The right to work on a job. It ends when another replica takes the job up; every write under it is refused then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The attempt that was claimed.
    pub attempt: u32,
    /// The replica that claimed it.
    pub owner: ReplicaId,
}

/// A job to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Whose it is.
    pub organization: OrganizationId,
    /// What it does, by name.
    pub kind: String,
    /// Of its directory, one such job is under way at a time.
    pub exclusive: bool,
    /// On which directory.
    pub directory: DirectoryId,
    /// What is asked for.
    pub input: Value,
    /// To be taken up until then.
    pub deadline: Timestamp,
    /// Who asks, for people.
    pub created_by: String,
    /// Asking twice with the same key makes one job.
    pub idempotency_key: Option<String>,
}

/// Which jobs to list. Unset: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// Of this kind.
    pub kind: Option<String>,
    /// On this directory.
    pub directory: Option<DirectoryId>,
}

/// How a job is handed back to be taken up again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Not to be taken up before.
    pub not_before: Option<Timestamp>,
    /// For those who watch it wait.
    pub message: Option<String>,
    /// The attempt ended with an error.
    pub count_failure: bool,
}

/// How a job ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Done, with this result.
    Succeeded(Value),
    /// Failed, with this error.
    Failed(Value),
    /// Stopped on request.
    Canceled,
}
