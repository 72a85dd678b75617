//! Which directory says which field of a user.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postern_store::{Account, Directory, DirectoryId, Store};

use super::claims::claim;
use super::place::Place;
use super::reading::saved_rules_of;
use crate::identity::profile;

/// The fields that directories say, each with the first directory that does. `accounts` come in the order of their
/// directories.
pub async fn fields(
    store: &Store,
    accounts: &[Account],
    directories: &[Directory],
    now: Timestamp,
) -> Result<BTreeMap<String, DirectoryId>, postern_store::Error> {
    let mut fields = BTreeMap::new();
    // Nothing comes from the accounts that provisioning has made.
    for account in accounts.iter().filter(|account| account.missing_since.is_none() && !account.outbound) {
        let of_account = directories.iter().find(|directory| directory.id == account.target.directory());
        let Some(directory) = of_account.filter(|directory| directory.deleted_at.is_none()) else { continue };
        let (place, rules) = (Place::of(directory), saved_rules_of(store, directory).await?);
        let Some(claim) = claim(place, rules.as_ref(), account, now) else { continue };
        // The name stays the first directory's, even while its entry has none.
        fields.entry("user_name".to_owned()).or_insert(directory.id);
        for field in profile::values(&claim.wanted).into_keys() {
            fields.entry(field).or_insert(directory.id);
        }
    }
    Ok(fields)
}
