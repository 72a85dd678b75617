//! Changes of users: made, changed, disabled, deleted and restored by administrators.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postern_proto::{limits, text};
use postern_store::{AttributeDefinition, DeletedUser, Identities, OwnedUser, Suspension};
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::resolve;
use super::rights::Right;
use super::sources::{self, Sources};
use super::{users, versions};
use crate::identity::attributes;
use crate::identity::profile::{self, ProfileChange};
use crate::records::{UserId, UserRow};

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
        let defined = self.defined().await?;
        let profile = checked(profile, &defined)?;
        if let Some(name) = profile.lacks(&defined) {
            return Err(Error::field(profile::further(name), "it is missing; every user must have it"));
        }
        let Some(name) = profile.user_name.clone() else {
            return Err(Error::field("user_name", "it is missing"));
        };
        let now = self.0.now();
        let mut user = OwnedUser { row: empty(self.0, now), is_own: true, own: None, suspension: None };
        profile.apply(&mut user).map_err(|error| unreadable(&error))?;
        let mut tx = self.begin().await?;
        free(&mut tx, &user.row).await?;
        let own = user.own.clone().unwrap_or_else(|| "{}".to_owned());
        tx.insert_own_users(vec![(user.row.clone(), own)]).await?;
        claim(&mut tx, &defined, &profile, user.row.id).await?;
        let change = Change::new("user.created", user.row.id.as_uuid(), name);
        tx.note(self.0.note(change.after(&masked(profile::values(&user.row), &defined))));
        tx.commit().await?;
        self.log(user.row.id, "user.created");
        self.get(user.row.id).await
    }

    /// Changes a user. What a directory says is changed there. `known` is the version that the change is based on.
    pub async fn change(&self, named: &str, profile: ProfileChange, known: Option<&str>) -> Result<OwnedUser> {
        let defined = self.defined().await?;
        let profile = checked(profile, &defined)?;
        let id = resolve::user(self.0, named).await?;
        let sources = sources::of(self.0, id).await?;
        if let Some(field) = profile.fields().into_iter().find(|field| sources.directory_of(field).is_some()) {
            return Err(owned_by(&sources, &field));
        }
        let mut tx = self.begin().await?;
        let mut user = self.locked(&mut tx, id, known).await?;
        let before = profile::values(&user.row);
        let name_key = user.row.name_key.clone();
        profile.apply(&mut user).map_err(|error| unreadable(&error))?;
        let after = profile::values(&user.row);
        if before == after {
            tx.rollback().await?;
            return self.get(id).await;
        }
        if user.row.name_key != name_key {
            free(&mut tx, &user.row).await?;
        }
        let change = Change::new("user.changed", id.as_uuid(), &user.row.user_name);
        let change = change.before(&masked(apart(&before, &after), &defined));
        let change = change.after(&masked(apart(&after, &before), &defined));
        claim(&mut tx, &defined, &profile, id).await?;
        tx.write_owned(user.row, user.own).await?;
        tx.note(self.0.note(change));
        tx.commit().await?;
        self.log(id, "user.changed");
        self.get(id).await
    }

    /// Disables a user, whatever directories say. Once more replaces the reason and the end.
    pub async fn disable(&self, named: &str, disabling: Disabling, known: Option<&str>) -> Result<OwnedUser> {
        let now = self.0.now();
        let reason = disabling.reason.as_deref().unwrap_or_default();
        if reason.len() > limits::MAX_TEXT_BYTES {
            return Err(Error::field("reason", format!("it is longer than {} bytes", limits::MAX_TEXT_BYTES)));
        }
        if disabling.until.is_some_and(|until| until <= now) {
            return Err(Error::field("until", "it is in the past"));
        }
        let id = resolve::user(self.0, named).await?;
        let suspension = Suspension {
            at: now,
            by: self.0.actor().who.name().to_owned(),
            reason: text::optional(reason),
            until: disabling.until,
        };
        let mut tx = self.begin().await?;
        let user = self.locked(&mut tx, id, known).await?;
        let change = Change::new("user.disabled", id.as_uuid(), user.row.user_name);
        let change = change.before(&suspended(user.suspension.as_ref()));
        tx.suspend(id, &suspension).await?;
        tx.note(self.0.note(change.after(&suspended(Some(&suspension)))));
        tx.commit().await?;
        self.log(id, "user.disabled");
        self.get(id).await
    }

    /// Ends the decision to disable a user. Directories still have their say.
    pub async fn enable(&self, named: &str, known: Option<&str>) -> Result<OwnedUser> {
        let id = resolve::user(self.0, named).await?;
        let mut tx = self.begin().await?;
        let user = self.locked(&mut tx, id, known).await?;
        let Some(suspension) = &user.suspension else {
            tx.rollback().await?;
            return Ok(user);
        };
        let change = Change::new("user.enabled", id.as_uuid(), user.row.user_name);
        let change = change.before(&suspended(Some(suspension)));
        tx.resume(id).await?;
        tx.note(self.0.note(change));
        tx.commit().await?;
        self.log(id, "user.enabled");
        self.get(id).await
    }

    /// Deletes a user that no directory has any more. It can be restored for a while.
    pub async fn delete(&self, named: &str, known: Option<&str>) -> Result<()> {
        let id = resolve::user(self.0, named).await?;
        let mut tx = self.begin().await?;
        let user = self.locked(&mut tx, id, known).await?;
        let defined = self.defined().await?;
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
        self.log(id, "user.deleted");
        Ok(())
    }

    /// Restores a deleted user, without the accounts that it had.
    pub async fn restore(&self, named: &str) -> Result<OwnedUser> {
        let id: UserId = named.parse().map_err(|_| gone())?;
        let deleted: DeletedUser =
            self.0.store().get_deleted_user(self.0.organization(), id).await?.ok_or_else(gone)?;
        let defined = self.defined().await?;
        let mut tx = self.begin().await?;
        if !tx.taken_names(vec![postern_store::fold(&deleted.user_name)]).await?.is_empty() {
            tx.rollback().await?;
            return Err(taken(&deleted.user_name));
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
        self.log(id, "user.restored");
        self.get(id).await
    }

    async fn defined(&self) -> Result<Vec<AttributeDefinition>> {
        Ok(self.0.store().attribute_definitions(self.0.organization()).await?)
    }

    async fn begin(&self) -> Result<Identities> {
        Ok(self.0.store().begin_identities(self.0.organization(), self.0.now()).await?)
    }

    /// The user, who cannot change until the transaction ends, if it is still the version that is known.
    async fn locked(&self, tx: &mut Identities, id: UserId, known: Option<&str>) -> Result<OwnedUser> {
        let Some(user) = tx.owned_user(id).await? else { return Err(users::no_user(self.0, id).await?) };
        match known {
            Some(known) if !versions::fits(known, &versions::of(&user)) => {
                Err(versions::changed(self.0, "user", id.as_uuid(), user.row.updated_at).await?)
            }
            _ => Ok(user),
        }
    }

    async fn get(&self, id: UserId) -> Result<OwnedUser> {
        self.0.store().get_owned_user(self.0.organization(), id).await?.ok_or_else(|| Error::no("user"))
    }

    fn log(&self, user: UserId, event: &'static str) {
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, %user, "{event}");
    }
}

pub(super) fn empty(access: Access<'_>, now: Timestamp) -> UserRow {
    UserRow {
        id: UserId::new(),
        organization: access.organization(),
        user_name: String::new(),
        name_key: String::new(),
        given_name: None,
        family_name: None,
        display_name: None,
        email: None,
        active: true,
        attributes: "{}".to_owned(),
        created_at: now,
        updated_at: now,
        missing_since: None,
    }
}

pub(super) fn checked(profile: ProfileChange, defined: &[AttributeDefinition]) -> Result<ProfileChange> {
    profile.checked(defined).map_err(|wrong| Error::field(wrong.field, wrong.detail))
}

/// Takes the values of unique attributes that a profile changes. Fails if somebody else has one of them.
pub(super) async fn claim(
    tx: &mut Identities,
    defined: &[AttributeDefinition],
    profile: &ProfileChange,
    user: UserId,
) -> Result<()> {
    for defined in defined.iter().filter(|defined| defined.unique) {
        let Some(value) = profile.attributes.get(&defined.name) else { continue };
        let compared = value.as_ref().map(attributes::compared);
        if !tx.claim_value(&defined.name, user, compared.as_deref()).await? {
            let text = format!("Another user has this {}, and no two users have the same.", defined.name);
            return Err(Error::Conflict(Message::new(text)));
        }
    }
    Ok(())
}

/// Values as the audit log keeps them.
pub(super) fn masked(mut values: BTreeMap<String, Value>, defined: &[AttributeDefinition]) -> Value {
    for defined in defined.iter().filter(|defined| defined.sensitive) {
        if let Some(value) = values.get_mut(&profile::further(&defined.name)) {
            *value = Value::from(attributes::MASK);
        }
    }
    json!(values)
}

/// Fails if somebody has the user's name.
pub(super) async fn free(tx: &mut Identities, user: &UserRow) -> Result<()> {
    let found = tx.taken_names(vec![user.name_key.clone()]).await?;
    if found.is_empty() { Ok(()) } else { Err(taken(&user.user_name)) }
}

pub(super) fn taken(name: &str) -> Error {
    let message = Message::new(format!("Another user has the name {name:?}; letter case does not matter."));
    Error::Conflict(message.cure("Choose another name, or rename the other user first."))
}

fn gone() -> Error {
    Error::NotFound(
        Message::new("There is no such deleted user.")
            .cure("`postern users list --deleted` shows those that there are."),
    )
}

pub(super) fn owned_by(sources: &Sources, field: &str) -> Error {
    let directory = sources.directory_of(field).unwrap_or_default();
    let message = Message::new(format!("The directory {directory} says the {field} of this user."));
    // With write-through, which comes with provisioning, the change would be written to that directory instead.
    Error::Conflict(message.cure(format!(
        "Change it in {directory}, then import. Postern does not write changes through to directories yet."
    )))
}

fn suspended(suspension: Option<&Suspension>) -> Value {
    json!(suspension.map(|it| json!({ "by": it.by, "reason": it.reason, "until": it.until })))
}

/// The values of `these` that are not in `others`.
pub(super) fn apart(these: &BTreeMap<String, Value>, others: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let other = |(name, value): &(&String, &Value)| others.get(*name) != Some(*value);
    these.iter().filter(other).map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) fn unreadable(error: &serde_json::Error) -> Error {
    Error::Internal(postern_store::Error::corrupt(error.to_string()))
}
