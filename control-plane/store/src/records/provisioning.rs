//! What is provisioned to targets, and the operations that carry it out.

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::{AccountId, OperationId, OrganizationId, PlanId, TargetId};
use crate::records::IdentityId;

/// What is provisioned to a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Provisioning {
    /// The target.
    pub target: TargetId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The settings, in the caller's form.
    pub settings: Value,
    /// Whether nothing is sent for now.
    pub paused: bool,
    /// Counts the changes of the settings.
    pub revision: u32,
    /// When they changed last.
    pub updated_at: Timestamp,
    /// Who changed them.
    pub updated_by: String,
}

named! {
    /// What has become of an operation.
    OperationState {
        /// It waits for those before it, or for an agent.
        Waiting = "waiting",
        /// A threshold holds it, and an administrator decides.
        Held = "held",
        /// It was sent, and its outcome is not known yet.
        Sent = "sent",
        /// The target is as wanted.
        Succeeded = "succeeded",
        /// It failed. The user or group is compared again later.
        Failed = "failed",
        /// The site's policy or the target does not allow it, or it is not what its plan has shown.
        Refused = "refused",
        /// It was not sent, because an operation before it failed or something else was wanted meanwhile.
        Dropped = "dropped",
    }
}

/// One wanted change of one object in a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The target.
    pub target: TargetId,
    /// The user or group.
    pub identity: IdentityId,
    /// The name that it had.
    pub name: String,
    /// The account that changes. `None`: there is none yet.
    pub account: Option<AccountId>,
    /// Its place among the operations that one comparison gave.
    pub place: u32,
    /// What is done: `create`, `update`, …
    pub action: String,
    /// What is sent, in the caller's form. `None` once it is over.
    pub content: Option<Value>,
    /// The values before and after; secrets are masked.
    pub changes: Value,
    /// Why it is done.
    pub cause: String,
    /// Who caused it.
    pub actor: Option<String>,
    /// What has become of it.
    pub state: OperationState,
    /// How often it was sent.
    pub generation: u32,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it was sent last.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long the target took, milliseconds.
    pub elapsed_ms: Option<u64>,
    /// The answer, in the caller's form.
    pub answer: Option<Value>,
    /// Who has approved it, after it was held or planned.
    pub approved_by: Option<String>,
    /// The plan that it comes from, and its place there.
    pub plan: Option<(PlanId, u32)>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The operation.
    pub id: OperationId,
    /// The state that it ends in.
    pub state: OperationState,
    /// How long the target took, milliseconds.
    pub elapsed_ms: u64,
    /// The answer.
    pub answer: Value,
}

/// The operations to list. Unset: all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperationFilter {
    /// Of this user or group.
    pub identity: Option<uuid::Uuid>,
    /// In this target.
    pub target: Option<TargetId>,
    /// Of this kind.
    pub action: Option<String>,
    /// In this state.
    pub state: Option<OperationState>,
    /// Of this plan.
    pub plan: Option<PlanId>,
    /// Not decided before this time.
    pub from: Option<Timestamp>,
    /// Decided before this time.
    pub until: Option<Timestamp>,
}
