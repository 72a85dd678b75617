//! What an import keeps aside until it is proven, and how many such changes hold it.

use serde::{Deserialize, Serialize};

use crate::ids::AccountId;
use crate::records::Switch;

named! {
    /// A change that may be a fault of the directory when it comes in great number.
    ChangeKind {
        /// A user becomes active.
        Activated = "activated",
        /// A user becomes inactive.
        Deactivated = "deactivated",
        /// A user gets another name.
        Renamed = "renamed",
        /// An attribute is gone from an account that had it.
        Vanished = "vanished",
        /// A group loses members.
        Removed = "removed",
        /// An account whose external id two entries had would pass to the other entry. One such change holds, without a
        /// threshold.
        Reassigned = "reassigned",
    }
}

/// How many changes of one kind hold an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// More than this share, percent.
    pub percent: u32,
    /// And at least this many changes.
    pub minimum: u32,
}

/// A change of a threshold. `None`: unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThresholdChange {
    /// See [`Threshold::percent`].
    pub percent: Option<u32>,
    /// See [`Threshold::minimum`].
    pub minimum: Option<u32>,
}

/// The thresholds of a directory, one for each kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thresholds {
    /// Of the users.
    pub activated: Threshold,
    /// Of the users.
    pub deactivated: Threshold,
    /// Of the users.
    pub renamed: Threshold,
    /// Of the accounts that had the attribute.
    pub vanished: Threshold,
    /// Of all memberships.
    pub removed: Threshold,
}

impl Default for Thresholds {
    fn default() -> Self {
        let usual = Threshold { percent: 10, minimum: 10 };
        // Attributes are emptied on purpose more often than people leave; but half of them is unusual.
        let vanished = Threshold { percent: 50, ..usual };
        Self { activated: usual, deactivated: usual, renamed: usual, vanished, removed: usual }
    }
}

impl Thresholds {
    /// The threshold of a kind.
    pub const fn of(&self, kind: ChangeKind) -> Threshold {
        match kind {
            ChangeKind::Activated => self.activated,
            ChangeKind::Deactivated => self.deactivated,
            ChangeKind::Renamed => self.renamed,
            ChangeKind::Vanished => self.vanished,
            ChangeKind::Removed => self.removed,
            ChangeKind::Reassigned => Threshold { percent: 0, minimum: 1 },
        }
    }

    /// The thresholds with these changes.
    #[must_use]
    pub fn changed(mut self, changes: &[(ChangeKind, ThresholdChange)]) -> Self {
        for (kind, change) in changes {
            let threshold = match kind {
                ChangeKind::Activated => &mut self.activated,
                ChangeKind::Deactivated => &mut self.deactivated,
                ChangeKind::Renamed => &mut self.renamed,
                ChangeKind::Vanished => &mut self.vanished,
                ChangeKind::Removed => &mut self.removed,
                ChangeKind::Reassigned => continue,
            };
            threshold.percent = change.percent.unwrap_or(threshold.percent);
            threshold.minimum = change.minimum.unwrap_or(threshold.minimum);
        }
        self
    }
}

/// Entries that an import keeps aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Deferred {
    /// Which entries, and what they would change.
    pub part: DeferredPart,
    /// The entries, in the caller's form.
    pub payload: Vec<u8>,
}

/// What is known of entries kept aside without reading them.
#[derive(Clone, Debug, PartialEq)]
pub struct DeferredPart {
    /// The number of the chunk that brought them.
    pub sequence: u64,
    /// What they change, as bits defined by the caller.
    pub kinds: u32,
    /// How many entries.
    pub entries: u64,
    /// How many changes of each kind, in the caller's form.
    pub counts: serde_json::Value,
}

/// The contents of an account before it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownContent {
    /// The account.
    pub account: AccountId,
    /// The entry's DN.
    pub dn: String,
    /// The value of the unique attribute.
    pub unique_value: Option<String>,
    /// A JSON object: each attribute's name with the array of its values.
    pub attributes: String,
    /// The folded name of its user.
    pub name_key: Option<String>,
    /// Whether the account was enabled.
    pub switch: Switch,
    /// Whether its user is active.
    pub active: Option<bool>,
    /// Whether it is marked missing.
    pub missing: bool,
    /// Whether two entries had its external id, see [`crate::Intake::remember_shared`].
    pub shared: bool,
}

/// An account with its name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAccount {
    /// Its id.
    pub id: AccountId,
    /// The entry's DN as the directory writes it.
    pub dn: String,
    /// The display name of its user or group.
    pub display_name: Option<String>,
}
