//! Notes of changes that may have to be provisioned.

use jiff::Timestamp;

use crate::records::IdentityId;

/// A user or group whose account in a target may have to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The user or group.
    pub identity: IdentityId,
    /// How often the mark was set. A different number means a new change.
    pub times: i64,
    /// When it was last set.
    pub marked_at: Timestamp,
}
