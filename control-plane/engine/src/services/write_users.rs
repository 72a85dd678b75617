//! How a user of the organization is made and how one is changed: by one request, or as a line of many.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postern_runtime::plain::quoted;
use postern_store::{AttributeDefinition, Identities, OwnedUser, PendingChange};
use serde_json::{Value, json};

use super::access::Access;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::sources;
use super::write_through::{self, Asked};
use crate::identity::attributes;
use crate::identity::profile::{self, ProfileChange};
use crate::records::{UserId, UserRow};

/// Values of a user by the names of their fields.
pub(super) type Values = BTreeMap<String, Value>;

/// Makes a user of the organization's own, and notes it. `profile` is checked. Where it is refused, nothing is written.
pub(super) async fn create(
    access: Access<'_>,
    tx: &mut Identities,
    defined: &[AttributeDefinition],
    profile: &ProfileChange,
) -> Result<UserId> {
    if let Some(name) = profile.lacks(defined) {
        return Err(Error::field(profile::further(name), "it is missing; every user must have it"));
    }
    let Some(name) = profile.user_name.clone() else {
        return Err(Error::field("user_name", "it is missing"));
    };
    let row = empty(access, access.now());
    let mut user = OwnedUser { row, is_own: true, own: None, suspension: None };
    profile.apply(&mut user).map_err(|error| unreadable(&error))?;
    bounded(&user.row)?;
    free(tx, &user.row).await?;
    let id = user.row.id;
    unwanted(tx, defined, profile, id).await?;
    // The last that may be refused: nothing is written before it.
    claim(tx, defined, profile, id).await?;
    let values = profile::values(&user.row);
    tx.insert_own_users(vec![(user.row, user.own.unwrap_or_else(|| "{}".to_owned()))]).await?;
    let change = Change::new("user.created", id.as_uuid(), name);
    tx.note(access.note(change.after(&masked(values, defined))));
    Ok(id)
}

/// Changes a user, and notes it. `profile` is checked. Returns the values that differ, before and after; `None`: none
/// does. Where it is refused or nothing differs, nothing is written. Sensitive values are masked. What a directory says is
/// asked for there, where it is written through; otherwise it is refused, unless it stays the same.
pub(super) async fn change(
    access: Access<'_>,
    tx: &mut Identities,
    defined: &[AttributeDefinition],
    mut user: OwnedUser,
    profile: &ProfileChange,
) -> Result<Option<(Values, Values)>> {
    let id = user.row.id;
    let (before, name_key) = (profile::values(&user.row), user.row.name_key.clone());
    let size = user.row.attributes.len();
    let mut wanted = user.clone();
    profile.apply(&mut wanted).map_err(|error| unreadable(&error))?;
    let after = profile::values(&wanted.row);
    let pending = pending(tx, id).await?;
    let value = |values: &Values, field: &String| values.get(field).cloned().unwrap_or_default();
    let mut changed = profile.fields();
    changed
        .retain(|field| pending.get(field).cloned().unwrap_or_else(|| value(&before, field)) != value(&after, field));
    if changed.is_empty() {
        return Ok(None);
    }
    let of = |values: &Values| {
        let shown = changed.iter().filter_map(|field| Some((field.clone(), values.get(field)?.clone())));
        hidden(shown.collect(), defined)
    };
    let (old, new) = (of(&before), of(&after));
    let mut sources = sources::of(access, id).await?;
    let is_empty = |field: &&String| value(&before, field).is_null() && sources.directory_of(field).is_none();
    let empty = changed.iter().filter(is_empty).map(|field| (field.clone(), value(&after, field))).collect();
    for (field, directory) in write_through::homes(access, id, &empty).await? {
        sources.add(field, directory);
    }
    let through = changed.iter().filter(|field| sources.directory_of(field).is_some());
    let through: Asked = through.map(|field| (field.clone(), value(&after, field))).collect();
    let asked = write_through::changes(access, id, &through, &sources).await?;
    profile.without(&through).apply(&mut user).map_err(|error| unreadable(&error))?;
    if wanted.row.attributes.len() > size {
        bounded(&wanted.row)?;
    }
    if user.row.name_key != name_key {
        free(tx, &user.row).await?;
    }
    unwanted(tx, defined, profile, id).await?;
    // The last that may be refused: nothing is written before it.
    claim(tx, defined, &profile.without(&through), id).await?;
    if through.len() < changed.len() {
        let change = Change::new("user.changed", id.as_uuid(), &user.row.user_name);
        let own = |values: &Values| -> Values {
            let own = values.iter().filter(|(field, _)| !through.contains_key(*field));
            own.map(|(field, value)| (field.clone(), value.clone())).collect()
        };
        tx.note(access.note(change.before(&json!(own(&old))).after(&json!(own(&new)))));
        tx.write_owned(user.row.clone(), user.own).await?;
    }
    if !asked.is_empty() {
        let change = Change::new("user.written_through", id.as_uuid(), &user.row.user_name);
        let sent: Values = through.iter().map(|(field, value)| (field.clone(), value.clone())).collect();
        tx.ask_changes(&asked).await?;
        tx.note(access.note(change.after(&masked(sent, defined))));
    }
    Ok(Some((old, new)))
}

/// What directories are asked for and do not have yet, by field.
async fn pending(tx: &mut Identities, user: UserId) -> Result<Values> {
    let found = tx.pending_of(user).await?;
    Ok(found.into_iter().filter(|it| it.refused.is_none()).map(|it| (it.what, it.wanted)).collect())
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
    profile.checked(defined).map_err(Error::Fields)
}

/// Takes the values of unique attributes that a profile changes. Fails if somebody else has one of them; then none is taken.
pub(super) async fn claim(
    tx: &mut Identities,
    defined: &[AttributeDefinition],
    profile: &ProfileChange,
    user: UserId,
) -> Result<()> {
    let values: Vec<(String, Option<String>)> = defined
        .iter()
        .filter(|defined| defined.unique)
        .filter_map(|defined| Some((defined.name.clone(), profile.attributes.get(&defined.name)?)))
        .map(|(name, value)| (name, value.as_ref().map(attributes::compared)))
        .collect();
    match tx.claim(user, &values).await? {
        None => Ok(()),
        Some(name) => Err(has(&name)),
    }
}

/// Fails if a directory was asked to give another user one of the unique values that a profile changes, or if another user
/// has one of them.
async fn unwanted(
    tx: &mut Identities,
    defined: &[AttributeDefinition],
    profile: &ProfileChange,
    user: UserId,
) -> Result<()> {
    for defined in defined.iter().filter(|defined| defined.unique) {
        let Some(Some(value)) = profile.attributes.get(&defined.name) else { continue };
        let (name, text) = (&defined.name, attributes::compared(value));
        let wanted = tx.wanted_by_others(user, &profile::further(name)).await?;
        let same =
            |it: &&PendingChange| postern_store::fold(&attributes::compared(&it.wanted)) == postern_store::fold(&text);
        if let Some(other) = wanted.iter().find(same) {
            let text = format!(
                "{} has asked for this {name} for the user {}, and no two users have the same.",
                other.asked_by,
                other.identity.as_uuid()
            );
            let cure = "The directory has not answered yet. `postern users show` of that user says what becomes of it.";
            return Err(Error::Conflict(Message::new(text).cure(cure).about(profile::further(name))));
        }
        if tx.is_taken(user, name, &text).await? {
            return Err(has(name));
        }
    }
    Ok(())
}

fn has(name: &str) -> Error {
    let message = Message::new(format!("Another user has this {name}, and no two users have the same."));
    Error::Conflict(message.about(profile::further(name)))
}

/// Fails if all values of further attributes together are too large.
fn bounded(user: &UserRow) -> Result<()> {
    match attributes::too_large(&user.attributes) {
        None => Ok(()),
        Some(rule) => Err(Error::field("attributes", rule)),
    }
}

/// Values as the audit log keeps them.
pub(super) fn masked(values: Values, defined: &[AttributeDefinition]) -> Value {
    json!(hidden(values, defined))
}

/// The values, with a mask in the place of each sensitive one.
fn hidden(mut values: Values, defined: &[AttributeDefinition]) -> Values {
    for defined in defined.iter().filter(|defined| defined.sensitive) {
        if let Some(value) = values.get_mut(&profile::further(&defined.name)) {
            *value = Value::from(attributes::MASK);
        }
    }
    values
}

/// Fails if somebody has the user's name.
pub(super) async fn free(tx: &mut Identities, user: &UserRow) -> Result<()> {
    let found = tx.taken_names(vec![user.name_key.clone()]).await?;
    if found.is_empty() { Ok(()) } else { Err(taken(tx, &user.user_name).await?) }
}

/// The refusal of a name that somebody has.
pub(super) async fn taken(tx: &mut Identities, name: &str) -> Result<Error> {
    let other = tx.owned_user_of_name(&postern_store::fold(name)).await?;
    let other = other.map_or_else(String::new, |user| format!(" {} ({})", user.row.user_name, user.row.id));
    let message = format!("The user{other} has the name {}; letter case does not matter.", quoted(name));
    let message = Message::new(message).cure("Choose another name, or rename the other user first.");
    Ok(Error::Conflict(message.about("user_name")))
}

pub(super) fn unreadable(error: &serde_json::Error) -> Error {
    Error::Internal(postern_store::Error::corrupt(error.to_string()))
}
