//! How members are stored and found: rows of names, and hashes of names.

use crate::error::Result;
use crate::keys::bounded;
use crate::member_rows::ROW_NAMES;
use crate::records::{AccountKind, ExternalKey, MemberForm};
use crate::sql::Row;

/// The hash of a member's DN or unique value. It is long enough that nobody can find two names with the same hash.
pub(crate) fn name_hash(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bounded(name.into()).as_bytes()).as_bytes()[..16]);
    short
}

/// The hash of the name that groups of this form use for an account; in the unique form, groups are never members.
pub(crate) fn member_hash(
    form: MemberForm,
    kind: AccountKind,
    dn_key: &str,
    unique: Option<&str>,
    key: &ExternalKey,
) -> Option<[u8; 16]> {
    match (form, kind) {
        (MemberForm::GroupNames, _) => Some(name_hash(&account_name(kind, key))),
        (MemberForm::Dn, _) => Some(name_hash(dn_key)),
        (MemberForm::UniqueValue, AccountKind::User) => unique.map(name_hash),
        (MemberForm::UniqueValue, AccountKind::Group) => None,
    }
}

/// The name of an account as a member, if users name their groups. It stays the same when the entry is renamed.
pub(crate) fn account_name(kind: AccountKind, key: &ExternalKey) -> String {
    bounded(format!("{kind}:{}", key.to_text()).into()).into_owned()
}

/// Most names in a row of a group. If users name their groups, members come one by one, and each has a row of its own.
pub(crate) const fn names_in_row(form: MemberForm) -> usize {
    match form {
        MemberForm::Dn | MemberForm::UniqueValue => ROW_NAMES,
        MemberForm::GroupNames => 1,
    }
}

/// The names of one row.
pub(crate) fn read_names(row: &mut Row) -> Result<Vec<String>> {
    row.take()
}
