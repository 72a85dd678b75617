//! What an import would do.

use serde_json::Value;

use crate::ids::{AccountId, GroupId, UserId};
use crate::records::AccountKind;

/// An account that an import would change, now and before.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own, now and before")]
pub struct ChangedAccount {
    /// Its number. Later accounts have larger ones.
    pub seq: i64,
    /// Its id.
    pub id: AccountId,
    /// What it is.
    pub kind: AccountKind,
    /// Its DN.
    pub dn: String,
    /// Its login.
    pub login: Option<String>,
    /// Whether its name is taken.
    pub conflict: bool,
    /// Whether it is missing.
    pub missing: bool,
    /// Its attributes, as JSON.
    pub attributes: String,
    /// Whether it was there before.
    pub known: bool,
    /// Its DN before.
    pub dn_before: Option<String>,
    /// Whether its name was taken.
    pub conflict_before: bool,
    /// Whether it was missing.
    pub missing_before: bool,
    /// Its attributes before.
    pub attributes_before: Option<String>,
    /// Its user.
    pub user: Option<IdentityState<UserId>>,
    /// The same user before.
    pub user_before: Option<IdentityState<UserId>>,
    /// Its group.
    pub group: Option<IdentityState<GroupId>>,
    /// The same group before.
    pub group_before: Option<IdentityState<GroupId>>,
}

/// A user or group.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityState<I> {
    /// Its id.
    pub id: I,
    /// Its name.
    pub name: String,
    /// Whether the user is active. A group is.
    pub active: bool,
    /// Whether it is missing.
    pub missing: bool,
    /// Its fields, a JSON object.
    pub fields: Value,
    /// Its further attributes, a JSON object. A group has none.
    pub attributes: Value,
}

/// How the members of a group change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChanges {
    /// Members that come.
    pub added: u64,
    /// Members that leave.
    pub removed: u64,
    /// Names of some that come.
    pub added_names: Vec<String>,
    /// Names of some that leave.
    pub removed_names: Vec<String>,
}

/// A row of a preview.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewRow {
    /// What would happen, a set of bits.
    pub actions: u32,
    /// The row.
    pub content: Value,
}
