//! How members are found and kept: by hashes of their names, and rows of names.

use crate::error::Result;
use crate::keys::bounded;
use crate::records::{AccountKind, MemberForm};
use crate::sql::Row;

/// The hash by which a member is found: of a DN or a unique value. Long enough that nobody makes two names of one hash.
pub(crate) fn name_hash(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bounded(name.into()).as_bytes()).as_bytes()[..16]);
    short
}

/// The hash of what groups of this form name an account by; in the unique form, groups are never members.
pub(crate) fn member_hash(form: MemberForm, kind: AccountKind, dn_key: &str, unique: Option<&str>) -> Option<[u8; 16]> {
    match (form, kind) {
        (MemberForm::Dn, _) => Some(name_hash(dn_key)),
        (MemberForm::UniqueValue, AccountKind::User) => unique.map(name_hash),
        (MemberForm::UniqueValue, AccountKind::Group) => None,
    }
}

/// The names that one row holds.
pub(crate) fn read_names(row: &mut Row) -> Result<Vec<String>> {
    row.take()
}
