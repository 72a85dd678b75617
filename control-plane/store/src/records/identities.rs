//! The organization's own users and groups, and who is a member of what.

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::ids::{GroupId, OrganizationId, UserId};
use crate::records::AccountKind;

/// A user of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The name by which the user is known, unique in the organization.
    pub user_name: String,
    /// The same, folded ([`crate::fold`]); it is this form that is unique.
    pub name_key: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// How people see the user.
    pub display_name: Option<String>,
    /// Address of the first mailbox.
    pub email: Option<String>,
    /// Whether the user may sign in.
    pub active: bool,
    /// Further attributes, a JSON object.
    pub attributes: String,
    /// When it was created; not changed by updates.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when no directory has it any more.
    pub missing_since: Option<Timestamp>,
}

/// Which users or groups of a list are wanted. Unset: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// Users: those who may sign in, or those who may not.
    pub active: Option<bool>,
    /// Those whom no directory has any more, or those whom one has.
    pub missing: Option<bool>,
}

impl IdentityFilter {
    /// Whether a user is wanted.
    pub fn fits(self, user: &UserRow) -> bool {
        self.active.is_none_or(|active| active == user.active)
            && self.missing.is_none_or(|missing| missing == user.missing_since.is_some())
    }
}

/// A group of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Its id.
    pub id: GroupId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// How people see it; not unique.
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was created; not changed by updates.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when no directory has it any more.
    pub missing_since: Option<Timestamp>,
}

/// A user or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityId {
    /// A user.
    User(UserId),
    /// A group.
    Group(GroupId),
}

impl IdentityId {
    /// The bare UUID.
    pub const fn as_uuid(self) -> Uuid {
        match self {
            Self::User(id) => id.as_uuid(),
            Self::Group(id) => id.as_uuid(),
        }
    }

    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::User(_) => AccountKind::User.code(),
            Self::Group(_) => AccountKind::Group.code(),
        }
    }

    pub(crate) fn from_code(code: i64, id: Uuid) -> Result<Self> {
        Ok(match AccountKind::from_code(code)? {
            AccountKind::User => Self::User(UserId::from_uuid(id)),
            AccountKind::Group => Self::Group(GroupId::from_uuid(id)),
        })
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member's normalized DN or unique value in its directory. `None`: the organization has added it itself.
    pub key: Option<String>,
    /// Who that is. `None`: nobody known, outside of the imported scope.
    pub identity: Option<MemberIdentity>,
}

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberIdentity {
    /// A user.
    User {
        /// Its id.
        id: UserId,
        /// Its name.
        user_name: String,
        /// How people see it.
        display_name: Option<String>,
    },
    /// A nested group.
    Group {
        /// Its id.
        id: GroupId,
        /// How people see it.
        display_name: String,
    },
}
