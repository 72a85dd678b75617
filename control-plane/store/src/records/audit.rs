//! What the audit log keeps: who changed what, when, and from where.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::ids::OrganizationId;

/// A change, as it is written into the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditNote {
    /// The organization whose log it is.
    pub organization: OrganizationId,
    /// When the change was made.
    pub at: Timestamp,
    /// Who made it: the id of an API token or a schedule, `machine`, or `system` for what happens by itself.
    pub actor: String,
    /// What people call them.
    pub actor_name: String,
    /// The network address that the request came from. `None`: from this machine, or from a schedule.
    pub address: Option<String>,
    /// What was done, such as `user.created`.
    pub action: String,
    /// The id of the object that was changed. `None`: the organization itself, or an object without an id.
    pub object_id: Option<Uuid>,
    /// What people call the object.
    pub object: String,
    /// What the object was before, secrets masked. `None`: it did not exist, or nothing of it is kept.
    pub before: Option<Value>,
    /// What it is after the change. `None`: it does not exist any more, or the action says it all.
    pub after: Option<Value>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log of its organization, from 1.
    pub seq: u64,
    /// The change.
    pub note: AuditNote,
    /// Hash of the entry and of the one before it.
    pub hash: [u8; 32],
}

/// Which entries are wanted. Unset: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only changes by this actor: an id or a name.
    pub actor: Option<String>,
    /// Only this action, or with a dot at the end all that start so.
    pub action: Option<String>,
    /// Only changes of the object of this name.
    pub object: Option<String>,
    /// Only changes of the object of this id.
    pub object_id: Option<Uuid>,
    /// Only changes made at this time or later.
    pub since: Option<Timestamp>,
    /// Only changes made before this time.
    pub until: Option<Timestamp>,
}
