//! What an operation counts as in a policy.

use super::limits::Counted;
use crate::served::write::{Change, Kind};

/// What kind of change it is, and whether it sets a password.
pub(crate) fn kind_of(change: &Change) -> (Kind, bool) {
    match change {
        Change::Create(create) => (Kind::Create, create.password.is_some()),
        Change::Update(_) => (Kind::Update, false),
        Change::Move(_) => (Kind::Move, false),
        Change::Enable => (Kind::Enable, false),
        Change::Disable => (Kind::Disable, false),
        Change::Delete => (Kind::Delete, false),
        Change::Unlock => (Kind::Unlock, false),
        Change::SetPassword(_) => (Kind::SetPassword, true),
        Change::Members(_) => (Kind::Members, false),
    }
}

/// What a change counts as.
pub(crate) fn counted(kind: Kind, sets_password: bool) -> Vec<Counted> {
    let of_kind = match kind {
        Kind::Delete => Some(Counted::Deletes),
        Kind::Disable => Some(Counted::Disables),
        _ => None,
    };
    of_kind.into_iter().chain(sets_password.then_some(Counted::PasswordSets)).collect()
}
