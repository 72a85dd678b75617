//! The rules of a directory.

use jiff::Timestamp;
use serde_json::Value;

use super::accounts::{Account, AccountKind};
use crate::ids::{AccountId, DirectoryId, OrganizationId};

named! {
    /// Which way rules map.
    MappingDirection {
        /// From accounts to users and groups.
        Inbound = "inbound",
        /// From users and groups to what the directory gets.
        Outbound = "outbound",
    }
}

impl MappingDirection {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Inbound => 1,
            Self::Outbound => 2,
        }
    }
}

/// A version of the rules of a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingVersion {
    /// Its number; the first is 1.
    pub version: u32,
    /// The rules, in the caller's form.
    pub rules: Value,
    /// The version whose rules it brought back.
    pub restored_from: Option<u32>,
    /// Who saved it, for people.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// Rules to be saved.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMapping {
    /// The rules, in the caller's form.
    pub rules: Value,
    /// The version whose rules it brings back.
    pub restored_from: Option<u32>,
    /// Who saves it, for people.
    pub created_by: String,
}

/// What mapping fills of a user or group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// The display name.
    pub display_name: Option<String>,
    /// Address of the first mailbox.
    pub email: Option<String>,
    /// Further attributes of a user, a JSON object.
    pub attributes: String,
    /// What a group is for.
    pub description: Option<String>,
}

/// Rules that failed on the entries of a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleFailures {
    /// How often.
    pub count: u64,
    /// Some of them, in the caller's form.
    pub samples: Value,
}

/// Mapping the accounts of a directory anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRun {
    /// The organization.
    pub organization: OrganizationId,
    /// The directory.
    pub directory: DirectoryId,
    /// The version of the rules.
    pub version: u32,
    /// The kind of account that is mapped: users come first.
    pub kind: AccountKind,
    /// The external key of the last account.
    pub after: Vec<u8>,
    /// The claim ends then.
    pub claimed_until: Timestamp,
}

/// Mapping the users of several directories anew, after the order of the directories has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRun {
    /// The organization.
    pub organization: OrganizationId,
    /// Each change of the order has another one.
    pub revision: i64,
    /// When it began, no import was under way that may write by the former order.
    pub settled: bool,
    /// The internal number of the directory whose accounts it reads. 0: none yet.
    pub target: i64,
    /// The external key of the last account.
    pub after: Vec<u8>,
    /// The claim ends then.
    pub claimed_until: Timestamp,
}

/// What was done of a mapping anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingStep {
    /// Users and groups that were changed.
    pub changed: u64,
    /// Rules that failed.
    pub failures: RuleFailures,
}

/// How far the accounts of a directory are mapped by the current rules.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingProgress {
    /// The version.
    pub version: u32,
    /// Whether all are.
    pub done: bool,
    /// How often a rule failed meanwhile.
    pub failures: u64,
    /// Users and groups that were changed meanwhile.
    pub changed: u64,
    /// Some of the failures, in the caller's form.
    pub samples: Value,
    /// When the last account was mapped. `None`: not yet.
    pub finished_at: Option<Timestamp>,
}

/// An account that another version of the rules has mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleAccount {
    /// The account.
    pub account: Account,
    /// Its state.
    pub hash: [u8; 16],
}

/// Another state for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restamp {
    /// The account.
    pub account: AccountId,
    /// The state that it has.
    pub before: [u8; 16],
    /// The state that it gets.
    pub after: [u8; 16],
}
