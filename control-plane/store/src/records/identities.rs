//! The organization's users and groups, and the members of groups.

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::ids::{DirectoryId, GroupId, OrganizationId, UserId};
use crate::records::AccountKind;

/// A user of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// Its organization.
    pub organization: OrganizationId,
    /// The user name, unique in the organization.
    pub user_name: String,
    /// The folded user name ([`crate::fold`]), which is what is unique.
    pub name_key: String,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// The display name.
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

/// The users or groups to list. Unset: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// For users: those who may sign in, or those who may not.
    pub active: Option<bool>,
    /// Those that no directory has any more, or the others.
    pub missing: Option<bool>,
}

impl IdentityFilter {
    /// Whether a user matches.
    pub fn fits(self, user: &UserRow) -> bool {
        self.active.is_none_or(|active| active == user.active)
            && self.missing.is_none_or(|missing| missing == user.missing_since.is_some())
    }
}

/// Where users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSource {
    /// The organization has made them itself.
    Organization,
    /// They have an account in this directory.
    Directory(DirectoryId),
}

/// The users to list, by more than their own fields. Unset: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// By their own fields.
    pub fields: IdentityFilter,
    /// Only direct members of this group.
    pub group: Option<GroupId>,
    /// Only users that changed after this time.
    pub updated_after: Option<Timestamp>,
    /// Only users from here.
    pub source: Option<UserSource>,
}

impl UserFilter {
    /// Whether it selects by nothing but users' own fields.
    pub fn is_by_fields(&self) -> bool {
        *self == Self { fields: self.fields, ..Self::default() }
    }
}

/// A group of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Its id.
    pub id: GroupId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its display name; not unique.
    pub display_name: String,
    /// Its description.
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
    /// The UUID.
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
    /// The member's DN, without regard to case, or unique value in its directory. `None`: the organization has added it.
    pub key: Option<String>,
    /// The user or group. `None`: unknown; no imported entry has the name, or several have it.
    pub identity: Option<MemberIdentity>,
}

/// The user or group that a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberIdentity {
    /// A user.
    User {
        /// Its id.
        id: UserId,
        /// Its name.
        user_name: String,
        /// Its display name.
        display_name: Option<String>,
    },
    /// A nested group.
    Group {
        /// Its id.
        id: GroupId,
        /// Its display name.
        display_name: String,
    },
}
