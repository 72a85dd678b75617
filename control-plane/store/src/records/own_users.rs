//! What the organization itself says of its users, and the users and groups that it has deleted.

use jiff::Timestamp;

use super::UserRow;
use crate::ids::{GroupId, UserId};

/// A user with what only the organization says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedUser {
    /// The user.
    pub row: UserRow,
    /// Whether the organization has made the user itself.
    pub is_own: bool,
    /// What the organization says: a JSON object of the profile's fields and, under `attributes`, further ones. It holds
    /// where no directory says something. `None`: nothing.
    pub own: Option<String>,
    /// Set while an administrator has disabled the user.
    pub suspension: Option<Suspension>,
}

/// An administrator's decision that a user may not sign in. No directory lifts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub at: Timestamp,
    /// Who decided it, for people.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Until when. `None`: until an administrator enables the user.
    pub until: Option<Timestamp>,
}

/// A deleted user that can still be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedUser {
    /// Its id.
    pub id: UserId,
    /// Its name when it was deleted.
    pub user_name: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Who deleted it, for people.
    pub deleted_by: String,
}

/// A user that was merged into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedUser {
    /// Its id.
    pub id: UserId,
    /// Its name when it was merged.
    pub user_name: String,
    /// The user that has its accounts now.
    pub into: UserId,
    /// When it was merged.
    pub at: Timestamp,
    /// Who merged it, for people.
    pub by: String,
}

/// A deleted group that can still be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedGroup {
    /// Its id.
    pub id: GroupId,
    /// Its name when it was deleted.
    pub display_name: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Who deleted it, for people.
    pub deleted_by: String,
}
