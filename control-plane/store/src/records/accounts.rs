//! Accounts: what is known of the entries of directories, and what an import records.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::ids::{AccountId, OrganizationId, TargetId, UserId};
use crate::keys::bounded;
use crate::records::Switch;

/// Precedes an external id that is no UUID. UTF-8 never contains it.
const TEXT_MARK: u8 = 0xFF;
/// Begins the key of a group that users name.
const NAMED_GROUP: &str = "named-group:";
const UUID_BYTES: usize = 16;

named! {
    /// What an account's entry is.
    AccountKind {
        /// A person or service that signs in.
        User = "user",
        /// A group.
        Group = "group",
    }
}

named! {
    /// How the groups of a directory name their members.
    MemberForm {
        /// By distinguished name.
        Dn = "dn",
        /// By the value of the users' unique attribute (`memberUid`).
        UniqueValue = "unique_value",
        /// Not at all: users name their groups (`memberOf`). A member is stored by the external id of its account.
        GroupNames = "group_names",
    }
}

impl AccountKind {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::User => 1,
            Self::Group => 2,
        }
    }

    pub(crate) fn from_code(code: i64) -> Result<Self> {
        match code {
            1 => Ok(Self::User),
            2 => Ok(Self::Group),
            other => Err(Error::corrupt(format!("unknown kind of account {other}"))),
        }
    }
}

/// A stored external id: the 16 bytes of a UUID in canonical lower-case text, or a mark and any other text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalKey(Key);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Uuid([u8; UUID_BYTES]),
    Text(Box<[u8]>),
}

impl ExternalKey {
    /// The key of an external id. A text that is too long for an index becomes its beginning and a hash.
    pub fn from_text(text: &str) -> Self {
        if let Some(uuid) = canonical_uuid(text) {
            return Self(Key::Uuid(uuid));
        }
        let text = bounded(text.into());
        let mut bytes = Vec::with_capacity(text.len() + 2);
        bytes.push(TEXT_MARK);
        bytes.extend_from_slice(text.as_bytes());
        if bytes.len() == UUID_BYTES {
            // Without the mark it would be read as a UUID.
            bytes.push(TEXT_MARK);
        }
        Self(Key::Text(bytes.into_boxed_slice()))
    }

    /// The key of a group that users name, by its normalized name. No entry has it.
    pub fn of_named_group(normalized: &str) -> Self {
        let hash = blake3::hash(normalized.as_bytes()).to_hex();
        Self::from_text(&format!("{NAMED_GROUP}{}", hash.get(..32).unwrap_or_default()))
    }

    /// Whether it is the key of a group that users name.
    pub fn is_named_group(&self) -> bool {
        self.text_bytes().is_some_and(|text| text.starts_with(NAMED_GROUP.as_bytes()))
    }

    /// The key with these stored bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if let Ok(uuid) = <[u8; UUID_BYTES]>::try_from(bytes) {
            return Ok(Self(Key::Uuid(uuid)));
        }
        let key = Self(Key::Text(bytes.into()));
        match key.text_bytes().map(std::str::from_utf8) {
            Some(Ok(_)) => Ok(key),
            _ => Err(Error::corrupt("an external id is neither a UUID nor text")),
        }
    }

    /// The stored form. Sorts by bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Key::Uuid(uuid) => uuid,
            Key::Text(bytes) => bytes,
        }
    }

    /// The external id.
    pub fn to_text(&self) -> String {
        match &self.0 {
            Key::Uuid(uuid) => Uuid::from_bytes(*uuid).to_string(),
            Key::Text(_) => String::from_utf8_lossy(self.text_bytes().unwrap_or_default()).into_owned(),
        }
    }

    /// Stands for the key among an import's seen keys: the UUID, or the start of the text's BLAKE3 hash.
    pub fn fingerprint(&self) -> u128 {
        match &self.0 {
            Key::Uuid(uuid) => u128::from_be_bytes(*uuid),
            Key::Text(bytes) => {
                let hash = blake3::hash(bytes);
                hash.as_bytes().iter().take(UUID_BYTES).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
            }
        }
    }

    fn text_bytes(&self) -> Option<&[u8]> {
        let text = self.as_bytes().strip_prefix(&[TEXT_MARK])?;
        Some(text.strip_suffix(&[TEXT_MARK]).unwrap_or(text))
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ExternalKey({})", self.to_text())
    }
}

fn canonical_uuid(text: &str) -> Option<[u8; UUID_BYTES]> {
    let shaped = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let uuid = if shaped { Uuid::try_parse_ascii(text.as_bytes()).ok()? } else { return None };
    Some(*uuid.as_bytes())
}

/// What an import needs of an account to compare it with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAccount {
    /// Its id.
    pub id: AccountId,
    /// The entry's external id.
    pub external_key: ExternalKey,
    /// Start of the entry's content hash.
    pub hash: [u8; 16],
    /// Id of its user or group.
    pub identity: Option<Uuid>,
    /// The user that passed to a newer account while this one was missing.
    pub former_user: Option<UserId>,
    /// Whether it is marked missing.
    pub missing: bool,
    /// Whether another user has its user name.
    pub conflict: bool,
    /// Whether provisioning made or adopted it: its user or group gets nothing from it.
    pub outbound: bool,
}

/// How an entry compares with its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// No account yet.
    New,
    /// Its account has the same content and is neither missing nor in conflict: nothing to do.
    Unchanged,
    /// Its account differs.
    Known(KnownAccount),
}

/// The accounts that a proven import has not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// How many accounts there are that are not marked missing, seen or not.
    pub present: u64,
    /// Those that were not seen.
    pub accounts: Vec<PresentAccount>,
}

/// An account as an import writes it, new or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// What the entry is.
    pub kind: AccountKind,
    /// The entry's external id.
    pub external_key: ExternalKey,
    /// The entry's DN as the directory writes it.
    pub dn: String,
    /// The DN in the form in which groups name members: equal if only case and the way of writing differ.
    pub dn_key: String,
    /// The value of the unique attribute.
    pub unique_value: Option<String>,
    /// A JSON object: each attribute's name with the array of its values.
    pub attributes: String,
    /// Start of the entry's content hash.
    pub hash: [u8; 16],
    /// Id of its user or group.
    pub identity: Option<Uuid>,
    /// The folded user name that it claims and another user has.
    pub conflict: Option<String>,
    /// For users: whether the account is enabled.
    pub switch: Switch,
}

/// An account as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its target.
    pub target: TargetId,
    /// The target's name.
    pub target_name: String,
    /// What the entry is.
    pub kind: AccountKind,
    /// The entry's external id.
    pub external_key: ExternalKey,
    /// The entry's DN as the directory writes it.
    pub dn: String,
    /// The value of the unique attribute.
    pub unique_value: Option<String>,
    /// A JSON object: each attribute's name with the array of its values.
    pub attributes: String,
    /// Since when complete imports do not find it.
    pub missing_since: Option<Timestamp>,
    /// Id of its user or group.
    pub identity: Option<Uuid>,
    /// The user that passed to a newer account while this one was missing.
    pub former_user: Option<UserId>,
    /// The folded user name that it claims and another user has.
    pub conflict: Option<String>,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// For users: whether the account is enabled, as last known.
    pub switch: Switch,
    /// Whether the entry does not say so now.
    pub switch_hidden: bool,
    /// Whether provisioning made or adopted it: its user or group gets nothing from it.
    pub outbound: bool,
}

/// An account that is not marked missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentAccount {
    /// Its id.
    pub id: AccountId,
    /// The entry's external id.
    pub external_key: ExternalKey,
}

/// A chunk whose entries were applied; it is recorded in the same transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagedChunk {
    /// Its number in the generation, from 0.
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
    /// Entries whose accounts had been marked missing.
    pub returned: u64,
    /// Users for whom it is unknown whether they are enabled.
    pub unknown_switches: u64,
    /// Sum of the content hashes of its entries.
    pub digest: [u8; 32],
    /// The keys of its entries, in the caller's form.
    pub keys: Vec<u8>,
}

/// The sums over the recorded chunks of a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// The first sequence number that is not recorded.
    pub next_sequence: u64,
    /// Chunks.
    pub chunks: u64,
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
    /// Entries whose accounts had been marked missing.
    pub returned: u64,
    /// Users for whom it is unknown whether they are enabled.
    pub unknown_switches: u64,
    /// Sum of the content hashes of all entries: four lanes of 64 bits, each little-endian.
    pub digest: [u8; 32],
}

impl Staged {
    /// How many entries of a kind are new.
    pub const fn created_of(&self, kind: AccountKind) -> u64 {
        match kind {
            AccountKind::User => self.created.saturating_sub(self.created_groups),
            AccountKind::Group => self.created_groups,
        }
    }
}

/// The keys of one recorded chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedKeys {
    /// The chunk's number.
    pub sequence: u64,
    /// The keys of its entries, in the caller's form.
    pub keys: Vec<u8>,
}

/// How many members of a directory's groups are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberStats {
    /// Users or groups of the organization.
    pub resolved: u64,
    /// Members that are none: their names belong to no imported entry, or to several.
    pub unresolved: u64,
    /// Of these, those whose names several entries have.
    pub shared: u64,
    /// Accounts of the directory without a user, because they have no login or are in a conflict.
    pub without_user: u64,
}

/// A member of a group whose name belongs to no imported entry, or to several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedMember {
    /// The group.
    pub group: crate::ids::GroupId,
    /// The group's name.
    pub group_name: String,
    /// The member's DN, without regard to case, or unique value.
    pub key: String,
    /// The DNs of entries that all have this name; at most five. Empty: no imported entry has it.
    pub shared_by: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_keys_keep_every_text() {
        let uuid = "ff0f3a52-8a9c-4a51-9c2e-3f1a5d0a77aa";
        for text in
            [uuid, &uuid.to_uppercase(), "", "x", "fifteen letters", "fourteen chars", "sixteen letters.", "Ämter"]
        {
            let key = ExternalKey::from_text(text);
            assert_eq!(key.to_text(), text);
            assert_eq!(ExternalKey::from_bytes(key.as_bytes()).unwrap(), key);
        }
        assert_eq!(ExternalKey::from_text(uuid).as_bytes().len(), 16);
        assert_ne!(ExternalKey::from_text(uuid), ExternalKey::from_text(&uuid.to_uppercase()));
        assert_ne!(ExternalKey::from_text(uuid).fingerprint(), ExternalKey::from_text("x").fingerprint());
        assert!(ExternalKey::from_bytes(b"no mark").is_err());
    }
}
