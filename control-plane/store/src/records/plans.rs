//! Plans: operations that are shown, and carried out only once somebody applies them.

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::{AccountId, OrganizationId, PlanId, TargetId};
use crate::records::{IdentityId, OperationState};

named! {
    /// What has become of a plan.
    PlanState {
        /// It is being made.
        Making = "making",
        /// It can be applied.
        Ready = "ready",
        /// It could not be made.
        Failed = "failed",
        /// It was applied: its operations are carried out.
        Applied = "applied",
        /// Somebody discarded it.
        Discarded = "discarded",
        /// Nobody applied it in time.
        Expired = "expired",
    }
}

/// A plan of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The target.
    pub target: TargetId,
    /// What has become of it.
    pub state: PlanState,
    /// Whom it is about, in the caller's form.
    pub selection: Value,
    /// The settings and rules that it was made under, in the caller's form. `None`: it is not made yet.
    pub stamp: Option<String>,
    /// What it has found, in the caller's form.
    pub summary: Value,
    /// Why it could not be made, for people.
    pub problem: Option<String>,
    /// When somebody asked for it.
    pub created_at: Timestamp,
    /// Who did.
    pub created_by: String,
    /// When it was made.
    pub made_at: Option<Timestamp>,
    /// When it can no longer be applied.
    pub expires_at: Timestamp,
    /// When it was applied or discarded.
    pub decided_at: Option<Timestamp>,
    /// Who did that.
    pub decided_by: Option<String>,
}

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedOperation {
    /// Its place in the plan, from 0.
    pub seq: u32,
    /// The user or group.
    pub identity: IdentityId,
    /// The name that it had.
    pub name: String,
    /// The account that changes. `None`: there is none yet.
    pub account: Option<AccountId>,
    /// Its place among the operations of its user or group.
    pub place: u32,
    /// What is done.
    pub action: String,
    /// What is sent, in the caller's form. `None` once the plan is over.
    pub content: Option<Value>,
    /// The values before and after; secrets are masked.
    pub changes: Value,
    /// What became of it, once the plan was applied: its state, and the answer.
    pub outcome: Option<(OperationState, Option<Value>)>,
}
