//! Which directory says which field of a user.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{Account, Directory, DirectoryId, Store};

use super::claims::claim;
use super::place::Place;
use super::reading::saved_rules_of;
use crate::identity::mapping::rules::Rules;
use crate::identity::profile;

/// The saved rules of directories.
#[derive(Debug, Default)]
pub struct SavedRules(HashMap<DirectoryId, Option<Arc<Rules>>>);

impl SavedRules {
    /// Reads the rules of the directories that these accounts are in, each once.
    pub async fn of(
        store: &Store,
        accounts: &[Account],
        directories: &[Directory],
    ) -> Result<Self, postern_store::Error> {
        let mut rules = HashMap::new();
        for account in accounts {
            let Some(directory) = directory_of(account, directories) else { continue };
            if let Entry::Vacant(place) = rules.entry(directory.id) {
                place.insert(saved_rules_of(store, directory).await?);
            }
        }
        Ok(Self(rules))
    }
}

fn directory_of<'d>(account: &Account, directories: &'d [Directory]) -> Option<&'d Directory> {
    let of_account = directories.iter().find(|directory| directory.id == account.target.directory());
    of_account.filter(|directory| directory.deleted_at.is_none())
}

/// The fields that directories say, each with the first directory that does. `accounts` come in the order of their
/// directories.
pub fn fields(
    rules: &SavedRules,
    accounts: &[Account],
    directories: &[Directory],
    now: Timestamp,
) -> BTreeMap<String, DirectoryId> {
    let mut fields = BTreeMap::new();
    // Nothing comes from the accounts that provisioning has made.
    for account in accounts.iter().filter(|account| account.missing_since.is_none() && !account.outbound) {
        let Some(directory) = directory_of(account, directories) else { continue };
        let rules = rules.0.get(&directory.id).and_then(Option::as_ref);
        let Some(claim) = claim(Place::of(directory), rules, account, now) else { continue };
        // The name stays the first directory's, even while its entry has none.
        fields.entry("user_name".to_owned()).or_insert(directory.id);
        for field in profile::values(&claim.wanted).into_keys() {
            fields.entry(field).or_insert(directory.id);
        }
    }
    fields
}
