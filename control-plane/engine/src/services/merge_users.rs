//! Merging two users that are one person, and splitting a user whose accounts are of two.

use std::collections::BTreeSet;

use postern_store::{Account, AccountId, GroupId, Identities, OwnedUser, Store, Suspension};
use serde_json::{Map, Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::again::again;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::rights::Right;
use super::write_users::{checked, empty, free, masked, unreadable};
use super::{resolve, users, versions};
use crate::identity::profile::{self, ProfileChange};
use crate::intake::joined_profiles::JoinedProfiles;
use crate::records::{UserId, UserRow};

/// Users, for somebody who may merge and split them.
#[derive(Debug)]
pub struct UserMerges<'s>(Access<'s>);

/// What merging does, or would do.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The user that stays, as it is afterwards.
    pub user: OwnedUser,
    /// The user that goes, as it was.
    pub merged: UserRow,
    /// The accounts that move.
    pub accounts: Vec<Account>,
    /// The groups of the organization that the user that stays comes into.
    pub groups: Vec<(GroupId, String)>,
}

/// What splitting does, or would do.
#[derive(Clone, Debug)]
pub struct Split {
    /// The user, as it is afterwards.
    pub user: OwnedUser,
    /// The new user.
    pub new_user: OwnedUser,
    /// The accounts that move to it.
    pub accounts: Vec<Account>,
}

impl Services {
    /// Opens the users to merge and split them.
    pub fn merge_users<'s>(&'s self, actor: &'s Actor) -> Result<UserMerges<'s>> {
        self.open(actor, Right::ChangePeople).map(UserMerges)
    }
}

impl UserMerges<'_> {
    /// Makes one user of two: what `other` has moves to `named`. `known` is the version of `named` that this is based on. With
    /// `preview` nothing is written.
    pub async fn merge(&self, named: &str, other: &str, known: Option<&str>, preview: bool) -> Result<Merge> {
        let (into, gone) = (resolve::user(self.0, named).await?, resolve::user(self.0, other).await?);
        if into == gone {
            return Err(Error::field("user", "it is the same user"));
        }
        again(|| self.merge_once((into, gone), known, preview)).await
    }

    async fn merge_once(&self, (into, gone): (UserId, UserId), known: Option<&str>, preview: bool) -> Result<Merge> {
        let mut tx = self.begin().await?;
        // Always in this order, so that two merges do not wait for each other.
        for id in BTreeSet::from([into, gone]) {
            tx.owned_user(id).await?;
        }
        let user = self.locked(&mut tx, into, known).await?;
        let merged = self.locked(&mut tx, gone, None).await?;
        let (here, accounts) = (tx.all_accounts_of(into).await?, tx.all_accounts_of(gone).await?);
        apart(&here, &accounts)?;
        let known_groups = tx.own_groups_of(into).await?;
        let mut groups = tx.own_groups_of(gone).await?;
        groups.retain(|group| !known_groups.contains(group));
        let by = self.0.actor().who.name();
        tx.merge_users(into, (gone, &merged.row.user_name), by).await?;
        let after = united(&user, &merged)?;
        if after.is_own && !user.is_own {
            tx.set_own(into).await?;
        }
        tx.write_owned(after.row, after.own).await?;
        if let Some(suspension) = after.suspension.filter(|after| Some(after) != user.suspension.as_ref()) {
            tx.suspend(into, &suspension).await?;
        }
        self.settle(&mut tx, &[into]).await?;
        let after = self.locked(&mut tx, into, None).await?;
        let merge = Merge { user: after, merged: merged.row.clone(), accounts, groups };
        let defined = tx.definitions().await?;
        let facts = |row: &UserRow| masked(profile::values(row), &defined);
        let change = Change::new("user.merged", into.as_uuid(), &user.row.user_name)
            .before(&json!({ "user": facts(&user.row), "merged": facts(&merged.row), "merged_id": gone }))
            .after(&json!({ "user": facts(&merge.user.row), "accounts": dns(&merge.accounts) }));
        tx.note(self.0.note(change));
        let change = Change::new("user.merged_away", gone.as_uuid(), &merged.row.user_name);
        tx.note(self.0.note(change.after(&json!({ "into": into, "user_name": merge.user.row.user_name }))));
        self.end(tx, preview, into, "user.merged").await?;
        Ok(merge)
    }

    /// Gives accounts of a user to a new user. `known` is the version of the user that this is based on. With `preview`
    /// nothing is written.
    pub async fn split(
        &self,
        named: &str,
        (accounts, user_name): (&[AccountId], &str),
        known: Option<&str>,
        preview: bool,
    ) -> Result<Split> {
        let name = ProfileChange { user_name: Some(user_name.to_owned()), ..ProfileChange::default() };
        let name = checked(name, &[])?;
        let chosen: BTreeSet<AccountId> = accounts.iter().copied().collect();
        let id = resolve::user(self.0, named).await?;
        again(|| self.split_once(id, (&chosen, name.clone()), known, preview)).await
    }

    async fn split_once(
        &self,
        id: UserId,
        (chosen, name): (&BTreeSet<AccountId>, ProfileChange),
        known: Option<&str>,
        preview: bool,
    ) -> Result<Split> {
        let mut tx = self.begin().await?;
        let user = self.locked(&mut tx, id, known).await?;
        let all = tx.all_accounts_of(id).await?;
        let moved: Vec<Account> = all.iter().filter(|account| chosen.contains(&account.id)).cloned().collect();
        if chosen.is_empty() || moved.len() < chosen.len() {
            return Err(Error::field("accounts", "name one or more accounts of this user"));
        }
        if moved.len() == all.len() && !user.is_own {
            return Err(Error::field("accounts", "the user must keep an account"));
        }
        let mut new = OwnedUser { row: empty(self.0, self.0.now()), is_own: false, own: None, suspension: None };
        name.apply(&mut new).map_err(|error| unreadable(&error))?;
        // Whether it is active follows from its accounts.
        new.row.active = false;
        free(&mut tx, &new.row).await?;
        let new_id = new.row.id;
        tx.insert_users(vec![new.row]).await?;
        let ids: Vec<AccountId> = chosen.iter().copied().collect();
        tx.move_accounts(&ids, id, new_id).await?;
        if let Some(suspension) = &user.suspension {
            tx.suspend(new_id, suspension).await?;
        }
        self.settle(&mut tx, &[id]).await?;
        self.settle(&mut tx, &[new_id]).await?;
        let (after, new_user) = (self.locked(&mut tx, id, None).await?, self.locked(&mut tx, new_id, None).await?);
        let split = Split { user: after, new_user, accounts: moved };
        let change = Change::new("user.split", id.as_uuid(), &user.row.user_name)
            .after(&json!({ "new_user": new_id, "accounts": dns(&split.accounts) }));
        tx.note(self.0.note(change));
        let change = Change::new("user.created", new_id.as_uuid(), &split.new_user.row.user_name);
        tx.note(self.0.note(change.after(&json!({ "split_from": id, "accounts": dns(&split.accounts) }))));
        self.end(tx, preview, id, "user.split").await?;
        Ok(split)
    }

    async fn begin(&self) -> Result<Identities> {
        let mut tx = self.store().begin_identities(self.0.organization(), self.0.now()).await?;
        tx.check_unique().await?;
        Ok(tx)
    }

    fn store(&self) -> &Store {
        self.0.store()
    }

    /// A user who cannot change until the transaction ends, if it is still the version that is known.
    async fn locked(&self, tx: &mut Identities, id: UserId, known: Option<&str>) -> Result<OwnedUser> {
        let Some(user) = tx.owned_user(id).await? else { return Err(users::no_user(self.0, id).await?) };
        if let Some(known) = known {
            // What is wanted of a directory is part of the version: the next change may be about the same.
            let pending = tx.pending_of(id).await?;
            if !versions::fits(known, &versions::of(&(&user, &pending))) {
                return Err(versions::changed(self.0, "user", id.as_uuid(), user.row.updated_at).await?);
            }
        }
        Ok(user)
    }

    /// Derives from the accounts whether users are active, and their profiles.
    async fn settle(&self, tx: &mut Identities, users: &[UserId]) -> Result<()> {
        tx.settle_users(users).await?;
        JoinedProfiles::new(self.store(), self.0.organization()).write(tx, users, self.0.now()).await?;
        Ok(())
    }

    async fn end(&self, tx: Identities, preview: bool, user: UserId, event: &'static str) -> Result<()> {
        if preview {
            return Ok(tx.rollback().await?);
        }
        tx.commit().await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, %user, "{event}");
        Ok(())
    }
}

/// Fails if a directory has an account of both: they are two entries of it, and each would go on to say what the user is.
fn apart(these: &[Account], others: &[Account]) -> Result<()> {
    let present = |account: &&Account| account.missing_since.is_none();
    for account in these.iter().filter(present) {
        if let Some(other) = others.iter().filter(present).find(|other| other.target == account.target) {
            let text = format!("{} has both: {} and {}.", account.target_name, account.dn, other.dn);
            let cure = "Delete one of the two entries there and import, then merge.";
            return Err(Error::Conflict(Message::new(text).cure(cure)));
        }
    }
    Ok(())
}

/// The user that stays, with what only the other one has. A decision to disable one of the two holds for both.
fn united(user: &OwnedUser, other: &OwnedUser) -> Result<OwnedUser> {
    let mut after = user.clone();
    let object = |text: Option<&str>| match text {
        Some(text) => serde_json::from_str::<Map<String, Value>>(text).map_err(|error| unreadable(&error)),
        None => Ok(Map::new()),
    };
    let mut own = object(user.own.as_deref())?;
    for (name, value) in object(other.own.as_deref())? {
        match (own.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => {
                for (name, value) in more {
                    known.entry(name).or_insert(value);
                }
            }
            (Some(Value::Null) | None, value) => drop(own.insert(name, value)),
            _ => {}
        }
    }
    after.is_own = user.is_own || other.is_own;
    after.own = (after.is_own || !own.is_empty()).then(|| Value::Object(own).to_string());
    after.suspension = stricter(user.suspension.as_ref(), other.suspension.as_ref()).cloned();
    Ok(after)
}

/// The decision that lasts longer.
fn stricter<'s>(one: Option<&'s Suspension>, other: Option<&'s Suspension>) -> Option<&'s Suspension> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let longer = one.until.is_none() || other.until.is_some_and(|until| Some(until) <= one.until);
            Some(if longer { one } else { other })
        }
        (one, other) => one.or(other),
    }
}

fn dns(accounts: &[Account]) -> Vec<&str> {
    accounts.iter().map(|account| account.dn.as_str()).collect()
}
