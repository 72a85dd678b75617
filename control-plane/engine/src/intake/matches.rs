//! The users that new accounts match by the rules of their directory. Without rules nothing is asked.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use postern_store::{Account, AccountId, AccountKind, Intake, KeyedUser, NewAccount, UserId, UserRow};

use super::decided::{Row, Wanted};
use super::place::Place;
use crate::identity::match_rules::{MatchRules, USER_NAME};
use crate::identity::matching::{Claim, Found};
use crate::identity::stored::StoredAccount;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What rules found for accounts.
#[derive(Default)]
pub(super) struct Matches {
    has_rules: bool,
    found: HashMap<AccountId, Found>,
    /// Folded names of the users that were found.
    name_keys: HashSet<String>,
}

impl Matches {
    /// For the new accounts among these rows.
    pub(super) async fn of_rows(tx: &mut Intake, rows: &[Row], place: Place, now: Timestamp) -> Result<Self> {
        let Some(rules) = MatchRules::saved(tx.matching()) else { return Ok(Self::default()) };
        let mut asked = Vec::new();
        for row in rows.iter().filter(|row| row.account.kind == AccountKind::User && row.account.identity.is_none()) {
            let Wanted::User(wanted, _) = &row.identity else { continue };
            asked.push(ask(&rules, wanted, &as_stored(&row.account, place), place, now));
        }
        Self::find(tx, &rules, asked).await
    }

    /// For those of these waiting accounts that have no user.
    pub(super) async fn of_claims(
        tx: &mut Intake,
        claims: &[(Account, Claim)],
        place: Place,
        now: Timestamp,
    ) -> Result<Self> {
        let Some(rules) = MatchRules::saved(tx.matching()) else { return Ok(Self::default()) };
        let waiting = claims.iter().filter(|(_, claim)| claim.current.is_none());
        let asked = waiting.map(|(account, claim)| ask(&rules, &claim.wanted, account, place, now)).collect();
        Self::find(tx, &rules, asked).await
    }

    async fn find(tx: &mut Intake, rules: &MatchRules, asked: Vec<(AccountId, Vec<Option<String>>)>) -> Result<Self> {
        let mut all = Self { has_rules: true, ..Self::default() };
        for (place, field) in rules.fields().enumerate() {
            let open = |(id, keys): &(AccountId, Vec<Option<String>>)| {
                let key = keys.get(place)?.clone()?;
                (!all.found.contains_key(id)).then_some((*id, key))
            };
            let open: Vec<(AccountId, String)> = asked.iter().filter_map(open).collect();
            let keys: HashSet<String> = open.iter().map(|(_, key)| key.clone()).collect();
            let known = users(tx, field, keys.into_iter().collect()).await?;
            for (id, key) in open {
                match known.get(&key) {
                    Some(Some(KeyedUser { user, name_key })) => {
                        all.name_keys.insert(name_key.clone());
                        all.found.insert(id, Found::One(*user));
                    }
                    Some(None) => drop(all.found.insert(id, Found::Several)),
                    None => {}
                }
            }
        }
        Ok(all)
    }

    /// What was found for an account. `None`: its directory has no rules.
    pub(super) fn of(&self, account: AccountId) -> Option<Found> {
        self.has_rules.then(|| self.found.get(&account).copied().unwrap_or(Found::Nobody))
    }

    /// The folded names of the users that were found.
    pub(super) fn name_keys(&self) -> impl Iterator<Item = &String> {
        self.name_keys.iter()
    }

    /// The accounts, each with the only user that it matches.
    pub(super) fn singles(&self) -> Vec<(AccountId, Option<UserId>)> {
        let single = |(account, found): (&AccountId, &Found)| match found {
            Found::One(user) => (*account, Some(*user)),
            Found::Nobody | Found::Several => (*account, None),
        };
        self.found.iter().map(single).collect()
    }

    /// An account whose user other waiting accounts match, too, matches several.
    pub(super) async fn without_rivals(mut self, tx: &mut Intake) -> Result<Self> {
        let users: HashSet<UserId> = self.singles().into_iter().filter_map(|(_, user)| user).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let rivals: HashSet<UserId> = tx.matched_by_several(&users).await?.into_iter().collect();
        for found in self.found.values_mut() {
            if matches!(found, Found::One(user) if rivals.contains(user)) {
                *found = Found::Several;
            }
        }
        Ok(self)
    }
}

fn ask(
    rules: &MatchRules,
    wanted: &UserRow,
    account: &Account,
    place: Place,
    now: Timestamp,
) -> (AccountId, Vec<Option<String>>) {
    let keys = StoredAccount::of(account).map(|view| rules.keys(wanted, &view, place.flavour, now));
    (account.id, keys.unwrap_or_default())
}

/// For each of these values that a user has: the user, or `None` if several have it.
async fn users(tx: &mut Intake, field: &str, keys: Vec<String>) -> Result<HashMap<String, Option<KeyedUser>>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    if field == USER_NAME {
        let named = tx.users_by_name(&keys, None).await?.into_iter();
        let keyed = named.map(|named| {
            let user = KeyedUser { user: named.user, name_key: named.name_key.clone() };
            (named.name_key, Some(user))
        });
        return Ok(keyed.collect());
    }
    Ok(tx.identities().users_of_keys(field, keys).await?.into_iter().collect())
}

/// A new account as it will be stored.
fn as_stored(new: &NewAccount, place: Place) -> Account {
    Account {
        id: new.id,
        organization: place.organization,
        target: place.directory.into(),
        target_name: String::new(),
        kind: new.kind,
        external_key: new.external_key.clone(),
        dn: new.dn.clone(),
        unique_value: new.unique_value.clone(),
        attributes: new.attributes.clone(),
        missing_since: None,
        identity: new.identity,
        former_user: None,
        conflict: None,
        updated_at: Timestamp::UNIX_EPOCH,
        switch: new.switch,
        switch_hidden: false,
        outbound: false,
    }
}
