//! The users that a waiting account may belong to: who has its user name, and whom the rules of its directory find.

use jiff::Timestamp;
use postern_store::{Account, Directory, Store, UserId, UserRow};

use super::claims::claim;
use super::place::Place;
use super::reading::rules_of;
use crate::identity::match_rules::{MatchRules, USER_NAME};
use crate::identity::stored::StoredAccount;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// A waiting account, with the users that it may belong to.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// The user as the account describes it. `None`: the account cannot be read.
    pub wanted: Option<UserRow>,
    /// The users, each with the field that led to it.
    pub users: Vec<(UserId, String)>,
}

/// The users that this account of the directory may belong to, by the rules of today.
pub async fn of(
    store: &Store,
    directory: &Directory,
    account: &Account,
    name_key: &str,
    now: Timestamp,
) -> Result<Candidates> {
    let (organization, place) = (directory.organization, Place::of(directory));
    let mapping = rules_of(store, directory).await?;
    let wanted = claim(place, mapping.as_ref(), account, now).map(|claim| claim.wanted);
    let mut found: Vec<(UserId, String)> = Vec::new();
    let mut add = |user: UserId, field: &str| {
        if found.iter().all(|(known, _)| *known != user) {
            found.push((user, field.to_owned()));
        }
    };
    if let Some(holder) = store.find_user(organization, name_key).await? {
        add(holder.id, USER_NAME);
    }
    let saved = store.matching(organization, directory.id).await?;
    let (rules, view) = (MatchRules::saved(saved.as_ref()), StoredAccount::of(account));
    if let (Some(rules), Some(wanted), Some(view)) = (rules, &wanted, view) {
        let keys = rules.keys(wanted, &view, place.flavour, now);
        for (field, key) in rules.fields().zip(keys) {
            let Some(key) = key else { continue };
            if field == USER_NAME {
                let user = store.find_user(organization, &key).await?;
                if let Some(user) = user {
                    add(user.id, field);
                }
            } else {
                let users = store.users_with_key(organization, field, &key).await?;
                for user in users {
                    add(user, field);
                }
            }
        }
    }
    Ok(Candidates { wanted, users: found })
}
