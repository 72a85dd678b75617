//! The kinds of change that an operation can make, by the names that a policy uses.

use serde::Deserialize;

/// What kind of change it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A new entry.
    Create,
    /// Attributes are changed.
    Update,
    /// The entry gets another name or container.
    Move,
    /// The user is let in.
    Enable,
    /// The user is kept out.
    Disable,
    /// The entry is removed.
    Delete,
    /// A lock after wrong passwords is lifted.
    Unlock,
    /// The password is set.
    SetPassword,
    /// Members are added or removed.
    Members,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Update,
        Self::Move,
        Self::Enable,
        Self::Disable,
        Self::Delete,
        Self::Unlock,
        Self::SetPassword,
        Self::Members,
    ];

    /// Its name in policies and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Move => "move",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Unlock => "unlock",
            Self::SetPassword => "set_password",
            Self::Members => "members",
        }
    }
}
