//! Many users at once, as a file lists them: each is made, changed or refused by itself, and all of a request are written in
//! one transaction.

use std::collections::{BTreeMap, HashSet};

use postern_store::{AttributeDefinition, Identities, OwnedUser, fold};
use serde_json::Value;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::change_users::{apart, checked, claim, empty, masked, owned_by, unreadable};
use super::error::{Error, Result};
use super::rights::Right;
use super::sources;
use crate::identity::profile::{self, ProfileChange};
use crate::records::UserId;

/// Most users of one request.
pub const MOST: usize = 1_000;

/// Many users, for somebody who may change them.
#[derive(Debug)]
pub struct BulkUsers<'s>(Access<'s>);

/// What became of one user of a request, or would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Created(UserId),
    /// It was changed: the values before and after.
    Changed(UserId, BTreeMap<String, Value>, BTreeMap<String, Value>),
    /// It is so already.
    Unchanged(UserId),
    /// It was left as it is, for this reason.
    Refused(String),
}

impl Services {
    /// Opens the users to change many of them.
    pub fn bulk_users<'s>(&'s self, actor: &'s Actor) -> Result<BulkUsers<'s>> {
        self.open(actor, Right::ChangePeople).map(BulkUsers)
    }
}

impl BulkUsers<'_> {
    /// Makes or changes users, who are found by their names. `dry_run`: says what would become of them, and writes nothing.
    pub async fn write(&self, users: Vec<ProfileChange>, dry_run: bool) -> Result<Vec<Outcome>> {
        if users.len() > MOST {
            return Err(Error::field("users", format!("at most {MOST} at a time")));
        }
        let (store, organization) = (self.0.store(), self.0.organization());
        let defined = store.attribute_definitions(organization).await?;
        let mut batch = Batch { access: self.0, defined, seen: HashSet::new() };
        let mut tx = store.begin_identities(organization, self.0.now()).await?;
        let mut outcomes = Vec::with_capacity(users.len());
        for user in users {
            outcomes.push(match batch.one(&mut tx, user).await {
                Ok(outcome) => outcome,
                Err(Error::Conflict(message) | Error::NotFound(message)) => Outcome::Refused(message.text),
                Err(Error::Field { field, detail }) => Outcome::Refused(format!("{field}: {detail}")),
                Err(error) => {
                    tx.rollback().await?;
                    return Err(error);
                }
            });
        }
        if dry_run {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
            let written = outcomes.iter().filter(|outcome| outcome.is_written()).count();
            tracing::info!(%organization, by = %self.0.actor().who, users = written, "users.written");
        }
        Ok(outcomes)
    }
}

impl Outcome {
    fn is_written(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Changed(..))
    }
}

/// The users of one request, one after the other.
struct Batch<'s> {
    access: Access<'s>,
    defined: Vec<AttributeDefinition>,
    seen: HashSet<String>,
}

impl Batch<'_> {
    async fn one(&mut self, tx: &mut Identities, profile: ProfileChange) -> Result<Outcome> {
        let profile = checked(profile, &self.defined)?;
        let Some(name) = profile.user_name.clone() else { return Err(Error::field("user_name", "it is missing")) };
        let key = fold(&name);
        if !self.seen.insert(key.clone()) {
            return Err(Error::field("user_name", "an earlier line has the same name"));
        }
        match tx.owned_user_of_name(&key).await? {
            Some(user) => self.change(tx, user, profile).await,
            None => self.create(tx, profile, name).await,
        }
    }

    async fn create(&self, tx: &mut Identities, profile: ProfileChange, name: String) -> Result<Outcome> {
        if let Some(name) = profile.lacks(&self.defined) {
            return Err(Error::field(profile::further(name), "it is missing; every user must have it"));
        }
        let row = empty(self.access, self.access.now());
        let mut user = OwnedUser { row, is_own: true, own: None, suspension: None };
        profile.apply(&mut user).map_err(|error| unreadable(&error))?;
        let id = user.row.id;
        // First: a refused value must leave no user behind.
        claim(tx, &self.defined, &profile, id).await?;
        let values = profile::values(&user.row);
        tx.insert_own_users(vec![(user.row, user.own.unwrap_or_else(|| "{}".to_owned()))]).await?;
        let change = Change::new("user.created", id.as_uuid(), name).after(&masked(values, &self.defined));
        tx.note(self.access.note(change));
        Ok(Outcome::Created(id))
    }

    async fn change(&self, tx: &mut Identities, mut user: OwnedUser, mut profile: ProfileChange) -> Result<Outcome> {
        let id = user.row.id;
        // The user was found by it; another spelling of it is no change.
        profile.user_name = None;
        let before = profile::values(&user.row);
        profile.apply(&mut user).map_err(|error| unreadable(&error))?;
        let after = profile::values(&user.row);
        let (old, new) = (apart(&before, &after), apart(&after, &before));
        if old.is_empty() && new.is_empty() {
            return Ok(Outcome::Unchanged(id));
        }
        let sources = sources::of(self.access, id).await?;
        let differs = old.keys().chain(new.keys());
        if let Some(field) = differs.into_iter().find(|field| sources.directory_of(field).is_some()) {
            return Err(owned_by(&sources, field));
        }
        claim(tx, &self.defined, &profile, id).await?;
        let change = Change::new("user.changed", id.as_uuid(), &user.row.user_name);
        let change = change.before(&masked(old.clone(), &self.defined)).after(&masked(new.clone(), &self.defined));
        tx.write_owned(user.row, user.own).await?;
        tx.note(self.access.note(change));
        Ok(Outcome::Changed(id, old, new))
    }
}
