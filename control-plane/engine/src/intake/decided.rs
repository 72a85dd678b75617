//! A decided chunk: what is written, and what is kept aside.

use std::sync::Arc;

use postern_proto::chunk::MemberForm;
use postern_proto::digest::Digest;
use postern_store::{Deferred, GroupRow, NewAccount, RuleFailures, UserId, UserRow};

use super::group_name::GroupName;
use super::keys::recorded_key;
use crate::identity::mapping::rules::{Failed, Rules};

/// A chunk, decided.
#[derive(Debug)]
pub struct Decided {
    /// Its number.
    pub sequence: u64,
    /// Entries of users.
    pub users: u64,
    /// Entries of groups.
    pub groups: u64,
    /// New entries.
    pub created: u64,
    /// How many of those are groups.
    pub created_groups: u64,
    /// Entries with changed content.
    pub changed: u64,
    /// Entries whose accounts were missing.
    pub returned: u64,
    /// Users for whom it is unknown whether they are enabled.
    pub unknown_switches: u64,
    /// Sum over the content hashes.
    pub digest: Digest,
    /// Keys of all entries, 16 bytes each.
    pub keys: Vec<u8>,
    /// How groups name their members.
    pub member_form: MemberForm,
    /// What is to be written.
    pub rows: Vec<Row>,
    /// What waits until the import is proven.
    pub deferred: Vec<Deferred>,
    /// The rules by which it was mapped.
    pub rules: Option<Arc<Rules>>,
    /// How often a rule failed on what is written, and some of the entries.
    pub failures: RuleFailures,
}

impl Decided {
    /// A chunk of this many entries, none decided yet.
    pub(super) fn empty(sequence: u64, member_form: MemberForm, entries: usize) -> Self {
        Self {
            sequence,
            users: 0,
            groups: 0,
            created: 0,
            created_groups: 0,
            changed: 0,
            returned: 0,
            unknown_switches: 0,
            digest: Digest::default(),
            keys: Vec::with_capacity(entries * size_of::<u128>()),
            member_form,
            rows: Vec::new(),
            deferred: Vec::new(),
            rules: None,
            failures: RuleFailures::default(),
        }
    }

    /// All entries.
    pub fn entries(&self) -> u64 {
        self.users + self.groups
    }

    /// Keys of the accounts that are written.
    pub fn row_keys(&self) -> impl Iterator<Item = u128> {
        self.rows.iter().map(|row| recorded_key(row.account.kind, &row.account.external_key))
    }
}

/// An account to write, with its user or group.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts about one entry")]
pub struct Row {
    /// The account; its identity and conflict are set while writing.
    pub account: NewAccount,
    /// Whether it is new.
    pub new: bool,
    /// Whether its user or group gets nothing from it: provisioning has made it, or the directory's entries are not imported.
    pub outbound: bool,
    /// Whether it was missing until now. Another account may have taken its user over since.
    pub returning: bool,
    /// The user that passed to a newer account while it was missing.
    pub former: Option<UserId>,
    /// The user or group that it claims.
    pub identity: Wanted,
    /// Whether the claimed name is certainly free: in the organization, or for a group in this directory.
    pub name_is_free: bool,
    /// The rules that failed on the entry.
    pub failed: Vec<Failed>,
    /// The groups that the entry of a user names. `None`: users do not name their groups.
    pub named: Option<Vec<GroupName>>,
}

/// The user or group that an account claims.
#[derive(Debug)]
pub enum Wanted {
    /// A user, without a name key if the entry has no login; and the other values of its login.
    User(Box<UserRow>, Vec<String>),
    /// A group with its members' keys.
    Group(Box<GroupRow>, Vec<String>),
}
