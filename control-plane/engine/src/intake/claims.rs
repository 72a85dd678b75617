//! What a stored account claims.

use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{Account, UserId};

use super::decide;
use super::place::Place;
use crate::identity::mapping::rules::Rules;
use crate::identity::matching::Claim;
use crate::identity::stored::StoredAccount;

/// What a stored account claims, by the current mapping.
pub fn claim(place: Place, rules: Option<&Arc<Rules>>, account: &Account, now: Timestamp) -> Option<Claim> {
    let view = StoredAccount::of(account)?;
    let mapping = view.mapping(place.flavour, rules);
    let (wanted, failed) = decide::user(place, &mapping, &view, now);
    Some(Claim {
        current: account.identity.map(UserId::from_uuid),
        former: account.former_user,
        wanted,
        failed,
        found: None,
        other_names: mapping.other_logins(&view),
    })
}

#[cfg(test)]
mod tests;
