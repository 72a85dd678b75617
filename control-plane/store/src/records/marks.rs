//! Notes of changes that may have to be provisioned.

use jiff::Timestamp;

use crate::records::IdentityId;

/// A user or group whose account in a target may have to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The user or group.
    pub identity: IdentityId,
    /// How often the mark was set. A different number means a new change.
    pub times: i64,
    /// When it was last set.
    pub marked_at: Timestamp,
    /// How often in a row it could not be carried out.
    pub failures: u32,
    /// When it is tried again.
    pub not_before: Timestamp,
    /// Why it failed last.
    pub problem: Option<String>,
    /// Of a group: its members have changed, which may concern the groups above.
    pub members_changed: bool,
    /// Of a group: it has joined or left a group, which may concern its members.
    pub has_moved: bool,
}
