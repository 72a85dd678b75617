//! Profiles of users that several directories have. Each value comes from the first directory, in the order of the
//! organization, that has one. An account that is gone gives way to the next.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{Account, AccountId, DirectoryId, Identities, OrganizationId, Profile, Store, UserId, UserRow};
use serde_json::{Map, Value};

use super::claims::claim;
use super::last_good;
use super::place::Place;
use super::reading::rules_of;
use crate::identity::mapping::rules::Rules;
use crate::identity::matching::Claim;

/// Users that are read together.
const BATCH: usize = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The directories of an organization, as far as they were needed.
pub struct JoinedProfiles<'s> {
    store: &'s Store,
    organization: OrganizationId,
    directories: HashMap<DirectoryId, Option<Source>>,
    /// `None`: the order that the organization has set.
    order: Option<Vec<DirectoryId>>,
}

#[derive(Clone)]
struct Source {
    place: Place,
    rules: Option<Arc<Rules>>,
}

/// A user as the accounts describe it.
struct Merged {
    row: UserRow,
    /// The account whose login is the name, and its directory.
    named_by: (AccountId, DirectoryId),
}

/// A user as it would be written.
#[derive(Debug)]
pub struct Wanted {
    /// The user.
    pub row: UserRow,
    /// The directory whose login is the name.
    pub named_by: DirectoryId,
}

impl<'s> JoinedProfiles<'s> {
    /// None is known yet.
    pub fn new(store: &'s Store, organization: OrganizationId) -> Self {
        Self { store, organization, directories: HashMap::new(), order: None }
    }

    /// With other rules than those that a directory has.
    #[must_use]
    pub fn with_rules(mut self, place: Place, rules: Option<Arc<Rules>>) -> Self {
        self.directories.insert(place.directory, Some(Source { place, rules }));
        self
    }

    /// In another order than that of the organization.
    #[must_use]
    pub fn in_order(self, order: Vec<DirectoryId>) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Writes the profiles of these users as their present accounts describe them; without any, only what the organization
    /// says of a user is written.
    /// Settle the users first: that locks them, so that another import adds what it has written.
    pub async fn write(&mut self, tx: &mut Identities, users: &[UserId], now: Timestamp) -> Result<()> {
        for users in users.chunks(BATCH) {
            let known = tx.users_as_they_are(users).await?;
            let (merged, alone) = self.all_merged(tx, &known, now).await?;
            put(tx, &known, merged).await?;
            put_own(tx, alone).await?;
        }
        Ok(())
    }

    /// What [`JoinedProfiles::write`] would write of these users, changed or not.
    pub async fn wanted(&mut self, tx: &mut Identities, users: &[UserId], now: Timestamp) -> Result<Vec<Wanted>> {
        let mut wanted = Vec::with_capacity(users.len());
        for users in users.chunks(BATCH) {
            let known = tx.users_as_they_are(users).await?;
            let (merged, _) = self.all_merged(tx, &known, now).await?;
            let settled = settled(tx, &known, merged).await?;
            wanted
                .extend(settled.into_iter().map(|(Merged { row, named_by }, _)| Wanted { row, named_by: named_by.1 }));
        }
        Ok(wanted)
    }

    /// The users as their present accounts describe them, and those who have none.
    async fn all_merged(
        &mut self,
        tx: &mut Identities,
        known: &[UserRow],
        now: Timestamp,
    ) -> Result<(Vec<Merged>, Vec<UserRow>)> {
        let users: Vec<UserId> = known.iter().map(|user| user.id).collect();
        let mut found = tx.accounts_of_users(&users).await?;
        if let Some(order) = &self.order {
            let place = |account: &Account| order.iter().position(|id| *id == account.target.directory());
            found.sort_by_key(|account| place(account).unwrap_or(order.len()));
        }
        let mut accounts: HashMap<UserId, Vec<Account>> = HashMap::new();
        for account in found {
            let Some(user) = account.identity.map(UserId::from_uuid) else { continue };
            accounts.entry(user).or_default().push(account);
        }
        let (mut merged, mut alone) = (Vec::with_capacity(known.len()), Vec::new());
        for user in known {
            match accounts.get(&user.id) {
                Some(accounts) => merged.extend(self.merged(user, accounts, now).await?),
                None => alone.push(user.clone()),
            }
        }
        Ok((merged, alone))
    }

    /// A user as these accounts describe it, which come in the order of their directories.
    async fn merged(&mut self, known: &UserRow, accounts: &[Account], now: Timestamp) -> Result<Option<Merged>> {
        let mut merged: Option<Merged> = None;
        for account in accounts {
            let Some(source) = self.source(account.target.directory()).await? else { continue };
            let Some(mut claim) = claim(source.place, source.rules.as_ref(), account, now) else { continue };
            last_good::restore(&mut claim.wanted, &claim.failed, &profile(known));
            if let Some(merged) = &mut merged {
                fill(&mut merged.row, claim.wanted);
            } else {
                let named_by = (account.id, account.target.directory());
                merged = Some(Merged { row: named(known, account, claim), named_by });
            }
        }
        Ok(merged)
    }

    async fn source(&mut self, id: DirectoryId) -> Result<Option<Source>> {
        let place = match self.directories.entry(id) {
            Entry::Occupied(known) => return Ok(known.get().clone()),
            Entry::Vacant(place) => place,
        };
        let source = match self.store.get_directory(self.organization, id).await? {
            Some(directory) => {
                Some(Source { place: Place::of(&directory), rules: rules_of(self.store, &directory).await? })
            }
            None => None,
        };
        Ok(place.insert(source).clone())
    }
}

/// The user with the values of one account. Its name is the login, unless the account waits for that name.
fn named(known: &UserRow, account: &Account, claim: Claim) -> UserRow {
    let Claim { wanted, other_names, .. } = claim;
    let is_other = || other_names.iter().any(|name| postern_store::fold(name) == known.name_key);
    let mut row = UserRow { id: known.id, ..wanted };
    let same = row.name_key == known.name_key;
    if row.name_key.is_empty() || (!same && (account.conflict.is_some() || is_other())) {
        keep_name(&mut row, known);
    }
    row
}

fn keep_name(row: &mut UserRow, known: &UserRow) {
    row.user_name.clone_from(&known.user_name);
    row.name_key.clone_from(&known.name_key);
}

/// Adds the values of a later directory where the user has none.
fn fill(row: &mut UserRow, later: UserRow) {
    for (field, value) in [
        (&mut row.given_name, later.given_name),
        (&mut row.family_name, later.family_name),
        (&mut row.display_name, later.display_name),
        (&mut row.email, later.email),
    ] {
        if field.is_none() {
            *field = value;
        }
    }
    let mut all = further(&row.attributes);
    let before = all.len();
    for (name, value) in further(&later.attributes) {
        all.entry(name).or_insert(value);
    }
    if all.len() > before {
        row.attributes = Value::Object(all).to_string();
    }
}

fn further(attributes: &str) -> Map<String, Value> {
    serde_json::from_str(attributes).unwrap_or_default()
}

/// What rules fill of a user.
pub(super) fn profile(user: &UserRow) -> Profile {
    Profile {
        given_name: user.given_name.clone(),
        family_name: user.family_name.clone(),
        display_name: user.display_name.clone(),
        email: user.email.clone(),
        attributes: user.attributes.clone(),
        description: None,
    }
}

fn differs(row: &UserRow, known: &UserRow) -> bool {
    row.user_name != known.user_name
        || row.given_name != known.given_name
        || row.family_name != known.family_name
        || row.display_name != known.display_name
        || row.email != known.email
        || further(&row.attributes) != further(&known.attributes)
}

/// Users with the organization's own values, and whether each waits for a name that another user has.
async fn settled(tx: &mut Identities, known: &[UserRow], merged: Vec<Merged>) -> Result<Vec<(Merged, Option<String>)>> {
    let known: HashMap<UserId, &UserRow> = known.iter().map(|user| (user.id, user)).collect();
    let (mut rows, named_by): (Vec<UserRow>, Vec<_>) =
        merged.into_iter().map(|merged| (merged.row, merged.named_by)).unzip();
    tx.add_own_values(&mut rows).await?;
    let is_renamed = |row: &UserRow| known.get(&row.id).is_some_and(|known| known.name_key != row.name_key);
    let wanted = rows.iter().filter(|row| is_renamed(row)).map(|row| row.name_key.clone()).collect();
    let mut taken: HashSet<String> = tx.taken_names(wanted).await?.into_iter().collect();
    let mut settled = Vec::with_capacity(rows.len());
    for (mut row, named_by) in rows.into_iter().zip(named_by) {
        let Some(known) = known.get(&row.id) else { continue };
        let mut waits_for = None;
        if is_renamed(&row) && !taken.insert(row.name_key.clone()) {
            waits_for = Some(row.name_key.clone());
            keep_name(&mut row, known);
        }
        settled.push((Merged { row, named_by }, waits_for));
    }
    Ok(settled)
}

/// What the organization says of these users is true again: no directory has them any more. Where it says nothing, they
/// keep the last known values.
async fn put_own(tx: &mut Identities, alone: Vec<UserRow>) -> Result<()> {
    if alone.is_empty() {
        return Ok(());
    }
    let mut rows = alone.clone();
    tx.put_own_values(&mut rows).await?;
    let changed = rows.into_iter().zip(&alone).filter(|(row, known)| differs(row, known));
    tx.update_profiles(changed.map(|(row, _)| row).collect()).await
}

/// Writes users that differ. A name that another user has stays with that user, and the account waits for it.
async fn put(tx: &mut Identities, known: &[UserRow], merged: Vec<Merged>) -> Result<()> {
    let settled = settled(tx, known, merged).await?;
    let known: HashMap<UserId, &UserRow> = known.iter().map(|user| (user.id, user)).collect();
    let (mut renamed, mut unnamed, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for (Merged { row, named_by }, waits_for) in settled {
        let Some(known) = known.get(&row.id) else { continue };
        waiting.extend(waits_for.map(|name| (named_by.0, name)));
        if differs(&row, known) {
            if row.user_name == known.user_name { unnamed.push(row) } else { renamed.push(row) }
        }
    }
    tx.update_users(renamed).await?;
    tx.update_profiles(unnamed).await?;
    tx.await_names(&waiting).await
}

#[cfg(test)]
mod tests;
