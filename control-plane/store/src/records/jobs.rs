//! Jobs and their states.

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
    /// An event of a job.
    JobEvent {
        /// A replica claims it (also from a replica whose lease has expired).
        Claim = "claim",
        /// No agent serves its directory.
        MarkWaiting = "mark_waiting",
        /// Its replica hands it back.
        Release = "release",
        /// Its replica holds it for a decision.
        Hold = "hold",
        /// An administrator approves it.
        Approve = "approve",
        /// An administrator rejects it.
        Reject = "reject",
        /// It is asked to end.
        RequestCancel = "request_cancel",
        /// Its deadline has passed.
        Expire = "expire",
        /// It succeeds.
        Succeed = "succeed",
        /// It fails.
        Fail = "fail",
        /// Its replica has ended it, as asked.
        Cancel = "cancel",
    }
}

impl JobState {
    /// Nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    /// The state after an event; `None` if the event cannot happen in this state. The statements that write states follow
    /// this table; the conformance suite tries every event in every state against it.
    ///
    /// A running job that was asked to end, or that has expired, runs until its replica has stopped it.
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

/// What an administrator has approved of a held import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approvals {
    /// What the proven import would change.
    pub changes: bool,
    /// That it reads a server that is behind the one of the last import.
    pub server_behind: bool,
}

/// A unit of work that an administrator or a schedule requested.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its kind.
    pub kind: String,
    /// Its directory.
    pub directory: DirectoryId,
    /// The directory's name.
    pub directory_name: String,
    /// Its state.
    pub state: JobState,
    /// Its input.
    pub input: Value,
    /// Its progress.
    pub progress: Option<Value>,
    /// Its result, if it succeeded.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<Value>,
    /// Why it was held.
    pub hold: Option<Value>,
    /// Why it waits, for people.
    pub message: Option<String>,
    /// Who requested it, for people.
    pub created_by: String,
    /// Who decided after it was held, for people.
    pub decided_by: Option<String>,
    /// Why it was rejected, as the administrator wrote.
    pub decision_reason: Option<String>,
    /// What an administrator has approved.
    pub approvals: Approvals,
    /// Whether it was asked to end.
    pub cancel_requested: bool,
    /// How many attempts have begun; also the generation of its command and chunks.
    pub attempt: u32,
    /// How many attempts ended with an error.
    pub failures: u32,
    /// Whether all entries of the import are stored and proven complete: it needs no agent any more.
    pub proven: bool,
    /// The replica that runs it.
    pub owner: Option<ReplicaId>,
    /// When that replica's lease ends.
    pub lease_until: Option<Timestamp>,
    /// The agent that its command was sent to.
    pub agent: Option<AgentId>,
    /// The agent's answer, which is separate from the entries.
    pub agent_result: Option<Value>,
    /// It may not be claimed before this time.
    pub not_before: Option<Timestamp>,
    /// It fails unless it is claimed before this time.
    pub deadline: Timestamp,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The job of the same directory that a queued import waits for, with its state.
    pub waits_for: Option<(JobId, JobState)>,
    /// Why that job is held.
    pub waits_for_hold: Option<Value>,
}

impl Job {
    /// The lease, if a replica has one.
    pub fn lease(&self) -> Option<Lease> {
        Some(Lease { job: self.id, attempt: self.attempt, owner: self.owner? })
    }
}

/// The right to work on a job. It ends when another replica claims the job; later writes with it are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The attempt that was claimed.
    pub attempt: u32,
    /// The replica that claimed it.
    pub owner: ReplicaId,
}

/// A new job.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Its organization.
    pub organization: OrganizationId,
    /// Its kind, by name.
    pub kind: String,
    /// Whether the directory runs only one such job at a time.
    pub exclusive: bool,
    /// Its directory.
    pub directory: DirectoryId,
    /// Its input.
    pub input: Value,
    /// It fails unless it is claimed before this time.
    pub deadline: Timestamp,
    /// Who requests it, for people.
    pub created_by: String,
    /// Two requests with the same key create one job.
    pub idempotency_key: Option<String>,
}

/// The jobs to list. Unset: any.
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
    /// It may not be claimed before this time.
    pub not_before: Option<Timestamp>,
    /// Why it waits, for people.
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
