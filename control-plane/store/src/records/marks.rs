//! Notes of what may have to be carried out.

use jiff::Timestamp;

use crate::records::IdentityId;

/// A user or group whose account in a target may have to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who.
    pub identity: IdentityId,
    /// How often the mark was set. Another number says that there is something new.
    pub times: i64,
    /// When it was last set.
    pub marked_at: Timestamp,
}
