//! Changes of users: made, changed, disabled, deleted and restored by administrators.

use jiff::Timestamp;
use postern_proto::{limits, text};
use postern_store::{AttributeDefinition, Identities, OwnedUser, Suspension};
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::again::again;
use super::change::Change;
use super::deleted_users;
use super::error::{Error, Message, Result};
use super::restorable;
use super::rights::Right;
use super::write_users::{self, checked, claim, masked, taken};
use super::{users, versions};
use crate::identity::profile::{self, ProfileChange};
use crate::records::{DeletedUser, PendingChange, UserId};

/// The users, for somebody who may change them.
#[derive(Debug)]
pub struct UserChanges<'s>(Access<'s>);

/// Why and until when a user is disabled.
#[derive(Clone, Debug, Default)]
pub struct Disabling {
    /// Why, for people.
    pub reason: Option<String>,
    /// Until when. `None`: until an administrator enables the user.
    pub until: Option<Timestamp>,
}

impl Services {
    /// Opens the users to change them.
    pub fn change_users<'s>(&'s self, actor: &'s Actor) -> Result<UserChanges<'s>> {
        self.open(actor, Right::ChangePeople).map(UserChanges)
    }
}

impl UserChanges<'_> {
    /// Makes a user of the organization's own.
    pub async fn create(&self, profile: ProfileChange) -> Result<OwnedUser> {
        let id = again(|| self.create_once(profile.clone())).await?;
        self.log(id, "user.created");
        self.get(id).await
    }

    async fn create_once(&self, profile: ProfileChange) -> Result<UserId> {
        let (tx, defined) = self.begin_defined().await?;
        let (mut tx, profile) = kept(tx, checked(profile, &defined)).await?;
        let id = write_users::create(self.0, &mut tx, &defined, &profile).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Changes a user. What a directory says is changed there: it is asked to, where that is allowed. `known` is the version that the change is based on.
    pub async fn change(&self, named: &str, profile: ProfileChange, known: Option<&str>) -> Result<OwnedUser> {
        let id = deleted_users::resolve(self.0, named).await?;
        if again(|| self.change_once(id, profile.clone(), known)).await? {
            self.log(id, "user.changed");
        }
        self.get(id).await
    }

    /// Returns whether anything changed.
    async fn change_once(&self, id: UserId, profile: ProfileChange, known: Option<&str>) -> Result<bool> {
        let (tx, defined) = self.begin_defined().await?;
        let (mut tx, profile) = kept(tx, checked(profile, &defined)).await?;
        let user = self.locked(&mut tx, id, known).await?;
        if write_users::change(self.0, &mut tx, &defined, user, &profile).await?.is_none() {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Disables a user, whatever directories say. Once more changes the reason and the end that are given; the others stay.
    pub async fn disable(&self, named: &str, disabling: Disabling, known: Option<&str>) -> Result<OwnedUser> {
        let now = self.0.now();
        let reason = disabling.reason.as_deref().unwrap_or_default();
        if reason.len() > limits::MAX_TEXT_BYTES {
            return Err(Error::field("reason", format!("it is longer than {} bytes", limits::MAX_TEXT_BYTES)));
        }
        if disabling.until.is_some_and(|until| until <= now) {
            return Err(Error::field("until", "it is in the past"));
        }
        let id = deleted_users::resolve(self.0, named).await?;
        if again(|| self.disable_once(id, &disabling, known)).await? {
            self.log(id, "user.disabled");
        }
        self.get(id).await
    }

    /// Returns whether anything changed.
    async fn disable_once(&self, id: UserId, disabling: &Disabling, known: Option<&str>) -> Result<bool> {
        let now = self.0.now();
        let mut tx = self.begin().await?;
        let user = self.locked(&mut tx, id, known).await?;
        // One that has ended is over, even while nobody has noticed.
        let earlier = user.suspension.clone().filter(|it| it.until.is_none_or(|until| until > now));
        let (earlier_reason, earlier_until) = earlier.map(|it| (it.reason, it.until)).unwrap_or_default();
        let suspension = Suspension {
            at: now,
            by: self.0.actor().who.name().to_owned(),
            reason: disabling.reason.as_deref().and_then(text::optional).or(earlier_reason),
            until: disabling.until.or(earlier_until),
        };
        let (before, after) = (suspended(user.suspension.as_ref()), suspended(Some(&suspension)));
        if before == after {
            tx.rollback().await?;
            return Ok(false);
        }
        let change = Change::new("user.disabled", id.as_uuid(), user.row.user_name);
        tx.suspend(id, &suspension).await?;
        tx.note(self.0.note(change.before(&before).after(&after)));
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the decision to disable a user, and forgets that entries which are gone said off. Directories that have the
    /// user still have their say.
    pub async fn enable(&self, named: &str, known: Option<&str>) -> Result<OwnedUser> {
        let id = deleted_users::resolve(self.0, named).await?;
        if again(|| self.enable_once(id, known)).await? {
            self.log(id, "user.enabled");
        }
        self.get(id).await
    }

    /// Returns whether anything changed.
    async fn enable_once(&self, id: UserId, known: Option<&str>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let user = self.locked(&mut tx, id, known).await?;
        let forgotten = tx.forget_missing_off(id).await?;
        if user.suspension.is_none() && forgotten == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        let change = Change::new("user.enabled", id.as_uuid(), user.row.user_name);
        let change = change.before(&suspended(user.suspension.as_ref())).after(&suspended(None));
        tx.resume(id).await?;
        tx.settle_users(&[id]).await?;
        tx.note(self.0.note(change));
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes a user that no directory has any more. It can be restored for a while.
    pub async fn delete(&self, named: &str, known: Option<&str>) -> Result<()> {
        let id = deleted_users::resolve(self.0, named).await?;
        again(|| self.delete_once(id, known)).await?;
        self.log(id, "user.deleted");
        Ok(())
    }

    async fn delete_once(&self, id: UserId, known: Option<&str>) -> Result<()> {
        let (mut tx, defined) = self.begin_defined().await?;
        let user = self.locked(&mut tx, id, known).await?;
        let directories = tx.directories_with(id).await?;
        if !directories.is_empty() {
            tx.rollback().await?;
            return Err(Error::Conflict(
                Message::new(format!("The user has an account in {}.", directories.join(", ")))
                    .cure("Delete the account there and import, or disable the user here: `postern users disable`."),
            ));
        }
        let change = Change::new("user.deleted", id.as_uuid(), &user.row.user_name);
        let change = change.before(&masked(profile::values(&user.row), &defined));
        tx.delete_user(user, self.0.actor().who.name()).await?;
        tx.note(self.0.note(change));
        tx.commit().await?;
        Ok(())
    }

    /// Restores a deleted user, without the accounts that it had.
    pub async fn restore(&self, named: &str, known: Option<&str>) -> Result<OwnedUser> {
        let deleted = restorable::user(self.0, named).await?;
        versions::same_deleted(known, "user", &deleted, (deleted.deleted_at, &deleted.deleted_by))?;
        again(|| self.restore_once(&deleted)).await?;
        self.log(deleted.id, "user.restored");
        self.get(deleted.id).await
    }

    async fn restore_once(&self, deleted: &DeletedUser) -> Result<()> {
        let id = deleted.id;
        let (mut tx, defined) = self.begin_defined().await?;
        if !tx.taken_names(vec![postern_store::fold(&deleted.user_name)]).await?.is_empty() {
            let refused = taken(&mut tx, &deleted.user_name).await?;
            tx.rollback().await?;
            return Err(refused);
        }
        let row = tx.restore_user(id).await?;
        let values = profile::values(&row);
        let attributes = values
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(profile::FURTHER)?.to_owned(), Some(value.clone()))));
        let profile = ProfileChange { attributes: attributes.collect(), ..ProfileChange::default() };
        claim(&mut tx, &defined, &profile, id).await?;
        let change = Change::new("user.restored", id.as_uuid(), row.user_name.clone());
        tx.note(self.0.note(change.after(&masked(values, &defined))));
        tx.commit().await?;
        Ok(())
    }

    /// The fields that a directory was asked to change and has not changed yet, or has refused to.
    pub async fn pending(&self, id: UserId) -> Result<Vec<PendingChange>> {
        Ok(self.0.store().pending_of(self.0.organization(), id.as_uuid()).await?)
    }

    /// A transaction, and the definitions, which cannot change until it ends.
    async fn begin_defined(&self) -> Result<(Identities, Vec<AttributeDefinition>)> {
        let mut tx = self.begin().await?;
        let defined = tx.definitions().await?;
        Ok((tx, defined))
    }

    async fn begin(&self) -> Result<Identities> {
        Ok(self.0.store().begin_identities(self.0.organization(), self.0.now()).await?)
    }

    /// The user, who cannot change until the transaction ends, if it is still the version that is known.
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

    async fn get(&self, id: UserId) -> Result<OwnedUser> {
        self.0.store().get_owned_user(self.0.organization(), id).await?.ok_or_else(|| Error::no("user"))
    }

    fn log(&self, user: UserId, event: &'static str) {
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, %user, "{event}");
    }
}

/// The transaction, if this has succeeded. Otherwise it ends and keeps its connection.
async fn kept<T>(tx: Identities, result: Result<T>) -> Result<(Identities, T)> {
    match result {
        Ok(value) => Ok((tx, value)),
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

fn suspended(suspension: Option<&Suspension>) -> Value {
    json!(suspension.map(|it| json!({ "by": it.by, "reason": it.reason, "until": it.until })))
}
