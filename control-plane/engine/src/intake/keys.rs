//! The keys of entries in an import.

use postern_proto::chunk::Kind;
use postern_store::{AccountKind, ExternalKey};

/// Set in the keys of groups, because a user and a group may have the same external id.
pub const GROUP_MARK: u128 = 1 << 127;

/// The key of an entry, as it is recorded with its chunk.
pub fn recorded_key(kind: AccountKind, key: &ExternalKey) -> u128 {
    match kind {
        AccountKind::User => key.fingerprint() & !GROUP_MARK,
        AccountKind::Group => key.fingerprint() | GROUP_MARK,
    }
}

/// Converts the kind of an entry.
pub fn stored(kind: Kind) -> AccountKind {
    match kind {
        Kind::User => AccountKind::User,
        Kind::Group => AccountKind::Group,
    }
}

/// A hash of a normalized DN, which may be long.
pub(super) fn dn_hash(normalized: &str) -> u128 {
    let hash = blake3::hash(normalized.as_bytes());
    hash.as_bytes().iter().take(size_of::<u128>()).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
