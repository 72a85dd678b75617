//! Tells what is certainly new. If the directory or organization was empty when an import began, the first occurrence
//! of a key or name is new and needs no look-up, which saves a first import one for every entry. If another import
//! brings the same name at the same time, the database refuses the later one, and its delivery is repeated with
//! look-ups.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash};

use foldhash::quality::RandomState;
use postern_store::{Result, Store};

use super::place::Place;

/// Most keys that are remembered, to bound memory to a few megabytes. Later ones are looked up.
const MOST: usize = 400_000;

/// The index of one import.
#[derive(Debug, Default)]
pub struct FirstImportIndex {
    /// Keys of entries; absent if the directory has accounts.
    entries: Option<SeenHashes>,
    /// Names of users; absent if the organization has users.
    names: Option<SeenHashes>,
}

impl FirstImportIndex {
    /// The index of an import that begins now.
    pub async fn of(store: &Store, place: Place) -> Result<Self> {
        let entries = !store.has_accounts(place.organization, place.directory).await?;
        let names = !store.has_users(place.organization).await?;
        Ok(Self { entries: entries.then(SeenHashes::default), names: names.then(SeenHashes::default) })
    }

    /// Whether the directory had no accounts when the import began.
    pub fn is_first_import(&self) -> bool {
        self.entries.is_some()
    }

    /// Whether the entry with this key is certainly new.
    pub fn is_new_entry(&mut self, key: u128) -> bool {
        self.entries.as_mut().is_some_and(|entries| entries.is_first(&key))
    }

    /// Whether this folded name is certainly free.
    pub fn is_new_name(&mut self, name_key: &str) -> bool {
        self.names.as_mut().is_some_and(|names| names.is_first(name_key))
    }
}

/// The hashes seen so far. Two values with one hash count as one: the second is looked up.
#[derive(Debug, Default)]
struct SeenHashes {
    hashes: HashSet<u64, RandomState>,
    hasher: RandomState,
}

impl SeenHashes {
    fn is_first(&mut self, it: &(impl Hash + ?Sized)) -> bool {
        self.hashes.len() < MOST && self.hashes.insert(self.hasher.hash_one(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_up_is_new_once_where_nothing_was_before() {
        let mut newcomers =
            FirstImportIndex { entries: Some(SeenHashes::default()), names: Some(SeenHashes::default()) };
        assert!(newcomers.is_new_entry(1));
        assert!(newcomers.is_new_entry(2));
        assert!(!newcomers.is_new_entry(1));
        assert!(newcomers.is_new_name("ada"));
        assert!(!newcomers.is_new_name("ada"));
        let mut newcomers = FirstImportIndex::default();
        assert!(!newcomers.is_new_entry(1));
        assert!(!newcomers.is_new_name("ada"));
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let mut heard = SeenHashes::default();
        let first = (0..=MOST).filter(|number| heard.is_first(number)).count();
        assert_eq!((first, heard.hashes.len()), (MOST, MOST));
    }
}
