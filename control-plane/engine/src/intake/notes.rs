//! Notes that an import stores with its progress. After a kill, the replica that finishes it uses them.

use postern_store::JobId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::source::Origin;
use crate::jobs::running::Running;

/// A container that is not found, and where its entries came from in this import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Renaming {
    /// The DN that is not found.
    pub from: String,
    /// The DN under which its entries came.
    pub to: String,
}

/// The notes of one import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    /// Accounts that the import will mark missing; counted once, even if steps are repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing_planned: Option<u64>,
    /// Entries that the directory returned and the agent could not use.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) unusable: u64,
    /// The attributes that the site lists as binary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) binary: Vec<String>,
    /// Containers that are not found and seem to be renamed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) renamings: Vec<Renaming>,
    /// The source of the entries.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_origin")]
    pub(crate) origin: Option<Origin>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads an origin; one that another release wrote differently is unknown, and the other notes still count.
fn known_origin<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Origin>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

impl Notes {
    /// Notes which containers seem to be renamed.
    pub(crate) fn seem_renamed(running: &Running, job: JobId, attempt: u32, renamings: Vec<Renaming>) {
        let _ = Self::change(running, job, attempt, |notes| notes.renamings = renamings);
    }

    /// The notes of an import that runs at this replica. `None`: it does not.
    pub(crate) fn of(running: &Running, job: JobId, attempt: u32) -> Option<Self> {
        let notes = running.table.change(job, attempt, |entry| entry.progress.notes.clone())?;
        Some(serde_json::from_value(Value::Object(notes)).unwrap_or_default())
    }

    /// Changes the notes of an import and returns them. They are written with its progress.
    pub(crate) fn change(running: &Running, job: JobId, attempt: u32, change: impl FnOnce(&mut Self)) -> Option<Self> {
        running.table.change(job, attempt, |entry| {
            let mut notes: Self =
                serde_json::from_value(Value::Object(entry.progress.notes.clone())).unwrap_or_default();
            change(&mut notes);
            if let Ok(Value::Object(noted)) = serde_json::to_value(&notes) {
                entry.progress.notes = noted;
            }
            entry.progress.dirty = true;
            notes
        })
    }
}
