//! Many users at once, as a file lists them: each is made, changed or refused by itself, and all of a request are written in
//! one transaction.

use std::collections::HashSet;

use postern_store::{AttributeDefinition, Identities, fold};

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Result};
use super::rights::Right;
use super::write_users::{self, Values, checked};
use crate::identity::profile::ProfileChange;
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
    Changed(UserId, Values, Values),
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
            Some(user) => {
                let id = user.row.id;
                // The user was found by it; another spelling of it is no change.
                let profile = ProfileChange { user_name: None, ..profile };
                let changed = write_users::change(self.access, tx, &self.defined, user, &profile).await?;
                Ok(changed.map_or(Outcome::Unchanged(id), |(before, after)| Outcome::Changed(id, before, after)))
            }
            None => write_users::create(self.access, tx, &self.defined, &profile).await.map(Outcome::Created),
        }
    }
}
