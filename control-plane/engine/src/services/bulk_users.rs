//! Many users at once, as a file lists them: each is made, changed or refused by itself, and all of a request are written in
//! one transaction.

use std::collections::{HashMap, HashSet};

use postern_store::{AttributeDefinition, Identities, OwnedUser, fold};
use uuid::Uuid;

use super::access::{Access, Services};
use super::actor::Actor;
use super::again::again;
use super::error::{Error, Message, Result};
use super::rights::Right;
use super::write_users::{self, Values, checked};
use crate::identity::profile::ProfileChange;
use crate::records::UserId;

/// Most users of one request.
pub const MOST: usize = 1_000;

/// Many users, for somebody who may change them.
#[derive(Debug)]
pub struct BulkUsers<'s>(Access<'s>);

/// One user of a request.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The user to change. `None`: the user with the name, or a new one.
    pub id: Option<UserId>,
    /// Whether the file says that the user is active. It must be so; nothing changes it here.
    pub active: Option<bool>,
    /// The values.
    pub profile: ProfileChange,
}

/// What became of one user of a request, or would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Created(UserId),
    /// It was changed: the values before and after; sensitive ones are masked.
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
    /// Makes or changes users, who are found by their ids or names. `dry_run`: says what would become of them, and writes nothing.
    pub async fn write(&self, users: Vec<Line>, dry_run: bool) -> Result<Vec<Outcome>> {
        if users.len() > MOST {
            return Err(Error::field("users", format!("at most {MOST} at a time")));
        }
        again(|| self.write_once(&users, dry_run)).await
    }

    async fn write_once(&self, users: &[Line], dry_run: bool) -> Result<Vec<Outcome>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let mut tx = store.begin_identities(organization, self.0.now()).await?;
        let defined = tx.definitions_alone().await?;
        let known = known(&mut tx, users).await?;
        let mut batch = Batch { access: self.0, defined, known, names: HashSet::new(), ids: HashSet::new() };
        let mut outcomes = Vec::with_capacity(users.len());
        for user in users {
            outcomes.push(match batch.one(&mut tx, user.clone()).await {
                Ok(outcome) => outcome,
                Err(Error::Conflict(message) | Error::NotFound(message)) => Outcome::Refused(message.text),
                Err(Error::Field { field, detail }) => Outcome::Refused(format!("{field}: {detail}")),
                Err(Error::Fields(wrong)) => {
                    let wrong = wrong.into_iter().map(|wrong| format!("{}: {}", wrong.field, wrong.detail));
                    Outcome::Refused(wrong.collect::<Vec<_>>().join("; "))
                }
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

/// The users that have the names of a request, read at once. `None`: a line may rename a user, so that each line must look
/// for itself.
async fn known(tx: &mut Identities, users: &[Line]) -> Result<Option<HashMap<String, OwnedUser>>> {
    if users.iter().any(|line| line.id.is_some()) {
        return Ok(None);
    }
    let names = users.iter().filter_map(|line| line.profile.user_name.as_deref()).map(fold).collect();
    let found = tx.owned_users_of_names(names).await?;
    Ok(Some(found.into_iter().map(|user| (user.row.name_key.clone(), user)).collect()))
}

/// The users of one request, one after the other.
struct Batch<'s> {
    access: Access<'s>,
    defined: Vec<AttributeDefinition>,
    known: Option<HashMap<String, OwnedUser>>,
    names: HashSet<String>,
    ids: HashSet<Uuid>,
}

impl Batch<'_> {
    async fn one(&mut self, tx: &mut Identities, line: Line) -> Result<Outcome> {
        let profile = checked(line.profile, &self.defined)?;
        let Some(name) = profile.user_name.clone() else { return Err(Error::field("user_name", "it is missing")) };
        let key = fold(&name);
        if !self.names.insert(key.clone()) {
            return Err(Error::field("user_name", "an earlier line has the same name"));
        }
        let found = self.find(tx, line.id, &key).await?;
        if found.as_ref().is_some_and(|user| !self.ids.insert(user.row.id.as_uuid())) {
            return Err(Error::field("id", "an earlier line is about the same user"));
        }
        let is_active = found.as_ref().is_none_or(|user| user.row.active);
        if line.active.is_some_and(|active| active != is_active) {
            let is = if is_active { "active" } else { "not active" };
            return Err(Error::field("active", format!("the user is {is}; disable or enable the user to change that")));
        }
        let Some(user) = found else {
            return write_users::create(self.access, tx, &self.defined, &profile).await.map(Outcome::Created);
        };
        let id = user.row.id;
        // Where the user was found by the name, another spelling of it is no change.
        let user_name = profile.user_name.filter(|_| line.id.is_some());
        let profile = ProfileChange { user_name, ..profile };
        let changed = write_users::change(self.access, tx, &self.defined, user, &profile).await?;
        Ok(changed.map_or(Outcome::Unchanged(id), |(before, after)| Outcome::Changed(id, before, after)))
    }

    async fn find(&mut self, tx: &mut Identities, id: Option<UserId>, name_key: &str) -> Result<Option<OwnedUser>> {
        match (id, &mut self.known) {
            (Some(id), _) => {
                let user = tx.owned_user(id).await?;
                user.ok_or_else(|| Error::NotFound(Message::new(format!("There is no user with the id {id}."))))
                    .map(Some)
            }
            (None, Some(known)) => Ok(known.remove(name_key)),
            (None, None) => Ok(tx.owned_user_of_name(name_key).await?),
        }
    }
}
