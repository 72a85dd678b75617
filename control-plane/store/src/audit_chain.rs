//! The chain of the audit log: each entry has a hash over itself and over the hash of the entry before it. So no entry can
//! be edited, removed or moved without changing all hashes after it.

use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::dialect::{Bulk, Cells};
use crate::ids::OrganizationId;
use crate::records::{AuditEntry, AuditNote};

/// Where a log ends, or from where on its entries are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Place of the last entry.
    pub seq: u64,
    /// Hash of the last entry.
    pub hash: [u8; 32],
}

/// The action of an entry that says up to where older ones are no longer kept.
const FORGOTTEN: &str = "audit.forgotten";

/// The hash before the first entry.
pub(crate) const START: [u8; 32] = [0; 32];

/// The hash of an entry. Each part stands behind its length in bytes (8 bytes, the most significant first); what is absent
/// is empty. Numbers are decimal text, ids as people write them, times milliseconds since 1970.
pub(crate) fn hash(before: &[u8; 32], seq: u64, note: &AuditNote) -> [u8; 32] {
    let text = |value: Option<&serde_json::Value>| value.map(serde_json::Value::to_string).unwrap_or_default();
    let parts = [
        note.organization.to_string(),
        seq.to_string(),
        note.at.as_millisecond().to_string(),
        note.actor.clone(),
        note.actor_name.clone(),
        note.address.clone().unwrap_or_default(),
        note.action.clone(),
        note.object_id.map(|id| id.to_string()).unwrap_or_default(),
        note.object.clone(),
        text(note.before.as_ref()),
        text(note.after.as_ref()),
    ];
    let mut hasher = Sha256::new_with_prefix(before);
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The note that entries up to this one became too old to be kept.
pub(crate) fn forgotten(organization: OrganizationId, through: AuditHead, at: Timestamp) -> AuditNote {
    AuditNote {
        organization,
        at,
        actor: "machine".to_owned(),
        actor_name: "retention".to_owned(),
        address: None,
        action: FORGOTTEN.to_owned(),
        object_id: None,
        object: through.seq.to_string(),
        before: None,
        after: Some(through_as_json(through)),
    }
}

/// Whether a note says that entries up to this one became too old.
pub(crate) fn explains(note: &AuditNote, anchor: AuditHead) -> bool {
    note.action == FORGOTTEN && note.after == Some(through_as_json(anchor))
}

fn through_as_json(AuditHead { seq, hash }: AuditHead) -> serde_json::Value {
    json!({ "through": seq, "hash": blake3::Hash::from_bytes(hash).to_hex().as_str() })
}

/// The entries of notes that follow an end of a log, and the new end.
pub(crate) fn entries(notes: Vec<AuditNote>, mut seq: u64, mut last: [u8; 32]) -> (Vec<AuditEntry>, u64, [u8; 32]) {
    let mut entries = Vec::with_capacity(notes.len());
    for note in notes {
        seq += 1;
        last = hash(&last, seq, &note);
        entries.push(AuditEntry { seq, note, hash: last });
    }
    (entries, seq, last)
}

/// The statement that writes entries; `:1` is the organization.
pub(crate) fn rows(entries: &[AuditEntry]) -> Bulk {
    let text = |value: Option<&serde_json::Value>| value.map(serde_json::Value::to_string);
    Bulk::new(
        "WITH v(seq, at, actor, actor_name, address, action, object_id, object, before, after, hash) AS ({rows}) \
         {insert} audit (organization_id, seq, at, actor, actor_name, address, action, object_id, object, before, after, \
         hash) SELECT :1, v.seq, v.at, v.actor, v.actor_name, v.address, v.action, v.object_id, v.object, v.before, \
         v.after, v.hash FROM v",
    )
    .column(Cells::Ints(entries.iter().map(|entry| crate::sql::signed(entry.seq)).collect()))
    .column(Cells::Ints(entries.iter().map(|entry| entry.note.at.as_millisecond()).collect()))
    .column(Cells::Texts(entries.iter().map(|entry| entry.note.actor.clone()).collect()))
    .column(Cells::Texts(entries.iter().map(|entry| entry.note.actor_name.clone()).collect()))
    .column(Cells::MaybeTexts(entries.iter().map(|entry| entry.note.address.clone()).collect()))
    .column(Cells::Texts(entries.iter().map(|entry| entry.note.action.clone()).collect()))
    .column(Cells::MaybeUuids(entries.iter().map(|entry| entry.note.object_id).collect()))
    .column(Cells::Texts(entries.iter().map(|entry| entry.note.object.clone()).collect()))
    .column(Cells::MaybeTexts(entries.iter().map(|entry| text(entry.note.before.as_ref())).collect()))
    .column(Cells::MaybeTexts(entries.iter().map(|entry| text(entry.note.after.as_ref())).collect()))
    .column(Cells::Blobs(entries.iter().map(|entry| entry.hash.to_vec()).collect()))
}
