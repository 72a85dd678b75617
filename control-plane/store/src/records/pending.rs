//! Changes that somebody wants in a target and that are not there yet.

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::{PendingId, TargetId};
use crate::records::IdentityId;

/// A change of what a target is the source of.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingChange {
    /// Its id. Another request for the same gets another one.
    pub id: PendingId,
    /// The target.
    pub target: TargetId,
    /// The user or group.
    pub identity: IdentityId,
    /// The field of the user, or the id of the member of the group.
    pub what: String,
    /// The value; `null` takes it away. Of a member: whether it is to be one.
    pub wanted: Value,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// By whom.
    pub asked_by: String,
    /// Set if the target did not take it.
    pub refused: Option<Refusal>,
}

/// Why a target did not take a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}
