//! The users that waiting accounts may belong to: who has the user name, and whom the rules of the directory find.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use postern_store::{Account, Directory, Store, UserId, UserRow};

use super::claims::claim;
use super::place::Place;
use super::reading::rules_of;
use crate::identity::match_rules::{MatchRules, USER_NAME};
use crate::identity::stored::StoredAccount;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The users that a waiting account may belong to.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The user as the account describes it. `None`: the account cannot be read.
    pub wanted: Option<UserRow>,
    /// The users, each with the field that led to it.
    pub users: Vec<(UserRow, String)>,
}

/// The users that each of these accounts of the directory may belong to, by the rules of today. Each account comes with
/// the name that it waits for. As many queries as for a single account.
pub async fn of(
    store: &Store,
    directory: &Directory,
    waiting: &[(&Account, &str)],
    now: Timestamp,
) -> Result<Vec<Candidates>> {
    let (organization, place) = (directory.organization, Place::of(directory));
    let mapping = rules_of(store, directory).await?;
    let saved = store.matching(organization, directory.id).await?;
    let rules = MatchRules::saved(saved.as_ref());
    let mut all = Vec::with_capacity(waiting.len());
    let mut asked = Vec::with_capacity(waiting.len());
    for (account, name_key) in waiting {
        let wanted = claim(place, mapping.as_ref(), account, now).map(|claim| claim.wanted);
        let mut keys = vec![(USER_NAME, (*name_key).to_owned())];
        if let (Some(rules), Some(wanted), Some(view)) = (&rules, &wanted, StoredAccount::of(account)) {
            let by_rules = rules.keys(wanted, &view, place.flavour, now);
            keys.extend(rules.fields().zip(by_rules).filter_map(|(field, key)| Some((field, key?))));
        }
        asked.push(keys);
        all.push(Candidates { wanted, users: Vec::new() });
    }
    let found = Found::of(store, directory, &asked).await?;
    for (candidates, keys) in all.iter_mut().zip(&asked) {
        candidates.users = found.in_order(keys);
    }
    Ok(all)
}

/// The users that were found, by field and value.
struct Found<'a> {
    by_key: HashMap<(&'a str, String), Vec<UserId>>,
    users: HashMap<UserId, UserRow>,
}

impl<'a> Found<'a> {
    async fn of(store: &Store, directory: &Directory, asked: &[Vec<(&'a str, String)>]) -> Result<Self> {
        let mut keys: HashMap<&'a str, HashSet<String>> = HashMap::new();
        for (field, key) in asked.iter().flatten() {
            keys.entry(*field).or_default().insert(key.clone());
        }
        let mut found = Self { by_key: HashMap::new(), users: HashMap::new() };
        for (field, keys) in keys {
            let keys = keys.into_iter().collect();
            if field == USER_NAME {
                for user in store.users_of_names(directory.organization, keys).await? {
                    found.by_key.entry((field, user.name_key.clone())).or_default().push(user.id);
                    found.users.insert(user.id, user);
                }
            } else {
                for (key, user) in store.users_with_keys(directory.organization, field, keys).await? {
                    found.by_key.entry((field, key)).or_default().push(user);
                }
            }
        }
        let ids: HashSet<UserId> = found.by_key.values().flatten().copied().collect();
        let unknown: Vec<UserId> = ids.into_iter().filter(|id| !found.users.contains_key(id)).collect();
        let users = store.get_users(directory.organization, &unknown).await?;
        found.users.extend(users.into_iter().map(|user| (user.id, user)));
        Ok(found)
    }

    /// The users of these fields and values, each once, with the first field that led to it.
    fn in_order(&self, keys: &[(&'a str, String)]) -> Vec<(UserRow, String)> {
        let mut users: Vec<(UserRow, String)> = Vec::new();
        for (field, key) in keys {
            for id in self.by_key.get(&(*field, key.clone())).into_iter().flatten() {
                if let Some(user) = self.users.get(id)
                    && users.iter().all(|(known, _)| known.id != *id)
                {
                    users.push((user.clone(), (*field).to_owned()));
                }
            }
        }
        users
    }
}
