//! What was decided about a chunk: what is written, and what is kept aside.

use postern_proto::chunk::MemberForm;
use postern_proto::digest::Digest;
use postern_store::{Deferred, GroupRow, NewAccount, UserId, UserRow};

use super::keys::recorded_key;

/// A chunk, decided.
#[derive(Debug)]
pub struct Decided {
    /// Its number.
    pub sequence: u64,
    /// Entries of users.
    pub users: u64,
    /// Entries of groups.
    pub groups: u64,
    /// Entries not known before.
    pub created: u64,
    /// How many of those are groups.
    pub created_groups: u64,
    /// Entries with another content than before.
    pub changed: u64,
    /// Entries that had been missing.
    pub returned: u64,
    /// Users of whom nobody can say whether the directory lets them in.
    pub unknown_switches: u64,
    /// Sum over the content hashes.
    pub digest: Digest,
    /// Keys of all entries, 16 bytes each.
    pub keys: Vec<u8>,
    /// What members of groups are.
    pub member_form: MemberForm,
    /// What is to be written.
    pub rows: Vec<Row>,
    /// What waits for the proof.
    pub deferred: Vec<Deferred>,
}

impl Decided {
    /// A chunk of this many entries, before any of them is decided.
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
        }
    }

    /// All entries.
    pub fn entries(&self) -> u64 {
        self.users + self.groups
    }

    /// Whether everything to be written is surely new, users' names included: then it depends on nothing that another
    /// chunk writes.
    pub fn brings_only_newcomers(&self) -> bool {
        let nobodys =
            |row: &Row| row.name_is_free || matches!(&row.identity, Wanted::User(user, _) if user.name_key.is_empty());
        self.rows.iter().all(|row| row.new && nobodys(row))
    }

    /// Keys of the accounts that are written.
    pub fn row_keys(&self) -> impl Iterator<Item = u128> {
        self.rows.iter().map(|row| recorded_key(row.account.kind, &row.account.external_key))
    }
}

/// An account to write, and what it becomes.
#[derive(Debug)]
pub struct Row {
    /// The account; its identity and conflict are settled while writing.
    pub account: NewAccount,
    /// It was not known before.
    pub new: bool,
    /// It was missing until now. Somebody else may have taken its user over meanwhile.
    pub returning: bool,
    /// The user that passed on to a newer account while it was missing.
    pub former: Option<UserId>,
    /// What it becomes.
    pub identity: Wanted,
    /// Nobody in the organization has the name that it wants, for sure; of a group, nobody in this directory.
    pub name_is_free: bool,
}

/// What an account becomes.
#[derive(Debug)]
pub enum Wanted {
    /// A user, without a name key where the entry has no login; and the other values of its login.
    User(Box<UserRow>, Vec<String>),
    /// A group with its members' keys.
    Group(Box<GroupRow>, Vec<String>),
}
