//! The keys by which an import knows entries.

use postern_proto::chunk::Kind;
use postern_store::{AccountKind, ExternalKey};

/// Set in the keys of groups, so that a user and a group of one external id are two.
pub const GROUP_MARK: u128 = 1 << 127;

/// The keys of all entries of a chunk, as they are recorded.
pub fn recorded_key(kind: AccountKind, key: &ExternalKey) -> u128 {
    match kind {
        AccountKind::User => key.fingerprint() & !GROUP_MARK,
        AccountKind::Group => key.fingerprint() | GROUP_MARK,
    }
}

/// The store's word for a kind.
pub fn stored(kind: Kind) -> AccountKind {
    match kind {
        Kind::User => AccountKind::User,
        Kind::Group => AccountKind::Group,
    }
}

/// Stands for a normalized DN, which may be long.
pub(super) fn dn_hash(normalized: &str) -> u128 {
    let hash = blake3::hash(normalized.as_bytes());
    hash.as_bytes().iter().take(size_of::<u128>()).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
