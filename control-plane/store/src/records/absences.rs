//! What a second look says of accounts that an import did not bring.

use super::accounts::{AccountKind, ExternalKey};
use crate::ids::AccountId;

named! {
    /// The result of a second, direct search for an account that an import did not bring.
    Sight {
        /// It does not exist, and its last place is readable.
        Absent = "absent",
        /// It exists, outside of base DN, scope or filter.
        LeftScope = "left_scope",
        /// The same, and the directory does not let the user in.
        LeftScopeDisabled = "left_scope_disabled",
        /// An entry has its DN, but the external id of that entry is not readable.
        NoExternalId = "no_external_id",
        /// A referral stands in its place.
        Referral = "referral",
        /// Its container exists but is not readable.
        ContainerUnreadable = "container_unreadable",
        /// Its container is not found, and may be hidden or deleted.
        ContainerNotFound = "container_not_found",
        /// Its container has more entries than the agent can see.
        HiddenChildren = "hidden_children",
        /// This part of the directory does not answer.
        Unavailable = "unavailable",
        /// Unknown.
        NotVisible = "not_visible",
    }
}

impl Sight {
    /// Whether the account may be marked missing.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Absent | Self::LeftScope | Self::LeftScopeDisabled)
    }
}

/// An account to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoughtAccount {
    /// Its id.
    pub id: AccountId,
    /// What the entry was.
    pub kind: AccountKind,
    /// The entry's external id.
    pub external_key: ExternalKey,
    /// Its last known DN.
    pub dn: String,
}

/// An account whose presence is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Its last known DN.
    pub dn: String,
    /// The entry's external id.
    pub external_key: ExternalKey,
    /// Why.
    pub sight: Sight,
}
