//! Directories: announced by agents, and changed by administrators.

use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Result};
use super::known_directories::find;
use super::names;
use super::pages::{Listed, listed};
use super::rights::Right;
use crate::records::{Directory, DirectoryChange, PageRequest, ThresholdChange};

/// Read access to directories.
#[derive(Debug)]
pub struct Directories<'s>(Access<'s>);

/// Access to change directories.
#[derive(Debug)]
pub struct DirectoryChanges<'s>(Access<'s>);

impl Services {
    /// Opens the directories.
    pub fn directories<'s>(&'s self, actor: &'s Actor) -> Result<Directories<'s>> {
        self.open(actor, Right::ReadDirectories).map(Directories)
    }

    /// Opens the directories, to change them.
    pub fn change_directories<'s>(&'s self, actor: &'s Actor) -> Result<DirectoryChanges<'s>> {
        self.open(actor, Right::ChangeDirectories).map(DirectoryChanges)
    }
}

impl Directories<'_> {
    /// Directories.
    pub async fn list(&self, request: &PageRequest) -> Result<Listed<Directory>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_directories(organization, request).await?;
        listed(request, page, store.total_directories(organization)).await
    }

    /// The directory of this name, display name or id.
    pub async fn get(&self, named: &str) -> Result<Directory> {
        find(self.0, named).await
    }
}

impl DirectoryChanges<'_> {
    /// Changes a directory, and returns it.
    pub async fn change(&self, named: &str, mut change: DirectoryChange) -> Result<Directory> {
        at_most_all("missing", change.missing_threshold_percent)?;
        for (kind, threshold) in &change.thresholds {
            at_most_all(kind.as_str(), threshold.percent)?;
        }
        change.display_name =
            change.display_name.as_deref().map(|name| names::valid("display_name", name)).transpose()?;
        let directory = find(self.0, named).await?;
        let note = Change::new("directory.changed", directory.id.as_uuid(), &directory.name);
        let note = note.before(&facts(&directory)).after(&asked(&change));
        let changed = self.0.recording(note).update_directory(self.0.organization(), directory.id, change).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, directory = %directory.id,
            "directory.changed");
        Ok(changed)
    }

    /// Deletes a directory, and returns it as it was. It is restored when an agent announces it again.
    pub async fn delete(&self, named: &str) -> Result<Directory> {
        let directory = find(self.0, named).await?;
        let note = Change::new("directory.deleted", directory.id.as_uuid(), &directory.name);
        let note = note.before(&facts(&directory));
        self.0.recording(note).delete_directory(self.0.organization(), directory.id, self.0.now()).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, directory = %directory.id,
            "directory.deleted");
        Ok(directory)
    }
}

/// What an administrator can change of a directory, as the audit log keeps it.
fn facts(directory: &Directory) -> Value {
    json!({
        "display_name": directory.display_name,
        "disabled": directory.disabled,
        "missing_threshold_percent": directory.missing_threshold_percent,
        "missing_threshold_minimum": directory.missing_threshold_minimum,
        "thresholds": directory.thresholds,
    })
}

/// The same, where a change was asked for.
fn asked(change: &DirectoryChange) -> Value {
    let threshold = |wanted: &ThresholdChange| json!({ "percent": wanted.percent, "minimum": wanted.minimum });
    let thresholds = change.thresholds.iter().map(|(kind, wanted)| (kind.as_str().to_owned(), threshold(wanted)));
    let mut asked = json!({
        "display_name": change.display_name,
        "disabled": change.disabled,
        "missing_threshold_percent": change.missing_threshold_percent,
        "missing_threshold_minimum": change.missing_threshold_minimum,
        "thresholds": thresholds.collect::<serde_json::Map<_, _>>(),
    });
    if let Some(fields) = asked.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|object| !object.is_empty()));
    }
    asked
}

fn at_most_all(kind: &str, percent: Option<u32>) -> Result<()> {
    match percent {
        Some(101..) => Err(Error::field(format!("{kind}_threshold_percent"), "it must be from 0 to 100")),
        _ => Ok(()),
    }
}
