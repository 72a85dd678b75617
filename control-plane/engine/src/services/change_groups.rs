//! Changes of groups: made, changed, deleted and restored by administrators. What a directory has is changed there.

use std::collections::BTreeMap;

use postern_store::{Identities, fold};
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::again::again;
use super::assigned_groups::directories_that_name;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::names;
use super::resolve;
use super::restorable;
use super::rights::Right;
use super::versions;
use crate::records::{GroupId, GroupRow};

/// Longest name of a group, in characters.
const MAX_NAME_CHARS: usize = 256;
/// Longest description, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1_024;

/// The groups, for somebody who may change them.
#[derive(Debug)]
pub struct GroupChanges<'s>(pub(super) Access<'s>);

/// What to change about a group. The outer `None`: leave it as it is; the inner one: take it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// How people see it. Several groups may have the same name.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<Option<String>>,
}

impl Services {
    /// Opens the groups to change them.
    pub fn change_groups<'s>(&'s self, actor: &'s Actor) -> Result<GroupChanges<'s>> {
        self.open(actor, Right::ChangePeople).map(GroupChanges)
    }
}

impl GroupChange {
    fn checked(mut self) -> Result<Self> {
        if let Some(name) = &mut self.display_name {
            *name = line("display_name", name, MAX_NAME_CHARS)?;
            if fold(name).is_empty() {
                return Err(Error::field("display_name", "it has no visible character"));
            }
        }
        if let Some(Some(description)) = &mut self.description {
            *description = line("description", description, MAX_DESCRIPTION_CHARS)?;
        }
        Ok(self)
    }

    fn apply(self, group: &mut GroupRow) {
        if let Some(name) = self.display_name {
            group.display_name = name;
        }
        if let Some(description) = self.description {
            group.description = description;
        }
    }
}

impl GroupChanges<'_> {
    /// Makes a group of the organization's own.
    pub async fn create(&self, change: GroupChange) -> Result<GroupRow> {
        let change = change.checked()?;
        let Some(display_name) = change.display_name else {
            return Err(Error::field("display_name", "it is missing"));
        };
        let now = self.0.now();
        let group = GroupRow {
            id: GroupId::new(),
            organization: self.0.organization(),
            display_name,
            description: change.description.flatten(),
            created_at: now,
            updated_at: now,
            missing_since: None,
        };
        again(|| self.create_once(&group)).await?;
        self.log(group.id, "group.created");
        Ok(group)
    }

    async fn create_once(&self, group: &GroupRow) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.insert_groups(vec![group.clone()]).await?;
        let change = Change::new("group.created", group.id.as_uuid(), &group.display_name);
        tx.note(self.0.note(change.after(&json!(values(group)))));
        tx.commit().await?;
        Ok(())
    }

    /// Changes a group that no directory has. `known` is the version that the change is based on.
    pub async fn change(&self, named: &str, change: GroupChange, known: Option<&str>) -> Result<GroupRow> {
        let change = change.checked()?;
        let id = resolve::group(self.0, named).await?;
        if again(|| self.edit_once(id, change.clone(), known)).await? {
            self.log(id, "group.changed");
        }
        self.get(id).await
    }

    /// Returns whether anything changed.
    async fn edit_once(&self, id: GroupId, change: GroupChange, known: Option<&str>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let mut group = self.locked(&mut tx, id, known).await?;
        if let Some(directories) = holders(&mut tx, id).await? {
            tx.rollback().await?;
            let message = Message::new(format!("The name and description of this group come from {directories}."));
            return Err(Error::Conflict(message.cure(format!("Change them in {directories}, then import."))));
        }
        let before = values(&group);
        change.apply(&mut group);
        let after = values(&group);
        if before == after {
            tx.rollback().await?;
            return Ok(false);
        }
        tx.write_group(&group).await?;
        let change = Change::new("group.changed", id.as_uuid(), &group.display_name);
        tx.note(self.0.note(change.before(&json!(before)).after(&json!(after))));
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes a group that no directory has, with its memberships. It can be restored for a while. A group that settings
    /// of provisioning name is only deleted if `provisioned`.
    pub async fn delete(&self, named: &str, known: Option<&str>, provisioned: bool) -> Result<()> {
        let id = resolve::group(self.0, named).await?;
        if !provisioned && let Some(message) = directories_that_name(self.0, id).await? {
            return Err(Error::Conflict(message));
        }
        again(|| self.delete_once(id, known)).await?;
        self.log(id, "group.deleted");
        Ok(())
    }

    async fn delete_once(&self, id: GroupId, known: Option<&str>) -> Result<()> {
        let mut tx = self.begin().await?;
        let group = self.locked(&mut tx, id, known).await?;
        if let Some(directories) = holders(&mut tx, id).await? {
            tx.rollback().await?;
            let message = Message::new(format!("{directories} has this group."));
            return Err(Error::Conflict(message.cure(format!("Delete it in {directories}, then import."))));
        }
        tx.delete_group(&group, self.0.actor().who.name()).await?;
        let change = Change::new("group.deleted", id.as_uuid(), &group.display_name);
        tx.note(self.0.note(change.before(&json!(values(&group)))));
        tx.commit().await?;
        Ok(())
    }

    /// Restores a deleted group, with the memberships that the organization had added and whose other side still exists.
    pub async fn restore(&self, named: &str, known: Option<&str>) -> Result<GroupRow> {
        let deleted = restorable::group(self.0, named).await?;
        versions::same_deleted(known, "group", &deleted, (deleted.deleted_at, &deleted.deleted_by))?;
        let id = deleted.id;
        let group = again(|| self.restore_once(id)).await?;
        self.log(id, "group.restored");
        Ok(group)
    }

    async fn restore_once(&self, id: GroupId) -> Result<GroupRow> {
        let mut tx = self.begin().await?;
        let group = match tx.restore_group(id).await {
            Err(postern_store::Error::NotFound { .. }) => return Err(gone()),
            restored => restored?,
        };
        let change = Change::new("group.restored", id.as_uuid(), &group.display_name);
        tx.note(self.0.note(change.after(&json!(values(&group)))));
        tx.commit().await?;
        Ok(group)
    }

    pub(super) async fn begin(&self) -> Result<Identities> {
        Ok(self.0.store().begin_identities(self.0.organization(), self.0.now()).await?)
    }

    /// The group, which cannot change until the transaction ends, if it is still the version that is known.
    pub(super) async fn locked(&self, tx: &mut Identities, id: GroupId, known: Option<&str>) -> Result<GroupRow> {
        let group = tx.locked_group(id).await?.ok_or_else(|| Error::no("group"))?;
        match known {
            Some(known) if !versions::fits(known, &versions::of(&group)) => {
                Err(versions::changed(self.0, "group", id.as_uuid(), group.updated_at).await?)
            }
            _ => Ok(group),
        }
    }

    async fn get(&self, id: GroupId) -> Result<GroupRow> {
        self.0.store().get_group(self.0.organization(), id).await?.ok_or_else(|| Error::no("group"))
    }

    pub(super) fn log(&self, group: GroupId, event: &'static str) {
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, %group, "{event}");
    }
}

/// The directories that have a group, for people. `None`: it is the organization's own.
pub(super) async fn holders(tx: &mut Identities, group: GroupId) -> Result<Option<String>> {
    let directories = tx.directories_with_group(group).await?;
    Ok((!directories.is_empty()).then(|| directories.join(", ")))
}

fn values(group: &GroupRow) -> BTreeMap<&'static str, Value> {
    let description = group.description.clone().map(|text| ("description", Value::String(text)));
    [("display_name", Value::String(group.display_name.clone()))].into_iter().chain(description).collect()
}

fn line(field: &str, given: &str, most: usize) -> Result<String> {
    let text = given.trim();
    let fits = !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control);
    if !fits {
        return Err(Error::field(field, format!("it must be 1 to {most} characters on one line")));
    }
    names::seen(field, text)?;
    Ok(text.to_owned())
}

fn gone() -> Error {
    let message = Message::new("There is no such deleted group.");
    Error::NotFound(message.cure("`postern groups deleted` shows those that there are."))
}
