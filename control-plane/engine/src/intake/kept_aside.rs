//! Entries with sensitive changes, kept aside in chunks of their own until their import is proven.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use foldhash::quality::RandomState;
use postern_proto::chunk::{ChunkReader, ChunkWriter, DecodeError, EntryView, Kind, MemberForm};
use postern_store::{AccountKind, Deferred, DeferredPart};

use super::keys::dn_hash;
use super::sensitive::{Changes, Counts, MOVED};

/// The entries of a chunk that are kept aside, in parts by their set of kinds.
#[derive(Default)]
pub struct KeptAside {
    parts: BTreeMap<u32, Part>,
    /// Which entries, by key and DN, and in which part. Two entries with one external id count separately.
    kept: HashMap<(u128, u128), u32, RandomState>,
    /// Their keys.
    keys: HashSet<u128, RandomState>,
}

struct Part {
    writer: ChunkWriter,
    counts: Counts,
}

impl KeptAside {
    /// Keeps an entry aside if its change is sensitive, or if an earlier entry with its external id was kept aside:
    /// applied at once, the earlier one would overwrite it later. `None`: it was not kept. Otherwise returns whether it
    /// is the first copy. An entry is identified by its key and normalized DN.
    pub fn take(
        &mut self,
        form: MemberForm,
        (recorded, dn_key): (u128, &str),
        changes: &Changes,
        view: &EntryView<'_>,
    ) -> Option<bool> {
        if changes.kinds == 0 && !self.keys.contains(&recorded) {
            return None;
        }
        let entry = (recorded, dn_hash(dn_key));
        let earlier = self.kept.get(&entry).copied();
        let kinds = earlier.unwrap_or(if changes.kinds == 0 { MOVED } else { changes.kinds });
        let part = self
            .parts
            .entry(kinds)
            .or_insert_with(|| Part { writer: ChunkWriter::new(form), counts: Counts::default() });
        copy(&mut part.writer, view);
        if earlier.is_none() {
            self.kept.insert(entry, kinds);
            self.keys.insert(recorded);
            part.counts.add(if view.kind == Kind::User { AccountKind::User } else { AccountKind::Group }, changes);
        }
        Some(earlier.is_none())
    }

    /// The stored form, for the chunk with this number.
    pub fn finish(self, sequence: u64) -> Vec<Deferred> {
        let parts = self.parts.into_iter().map(|(kinds, mut part)| {
            let entries = part.writer.entries() as u64;
            let counts = serde_json::to_value(&part.counts).unwrap_or_default();
            let payload = part.writer.finish().to_vec();
            Deferred { part: DeferredPart { sequence, kinds, entries, counts }, payload }
        });
        parts.collect()
    }
}

/// A chunk with the selected entries.
pub fn select(
    payload: &Bytes,
    mut wanted: impl FnMut(&EntryView<'_>) -> bool,
) -> std::result::Result<Bytes, DecodeError> {
    if payload.is_empty() {
        return Ok(Bytes::new());
    }
    let mut reader = ChunkReader::parse(payload)?;
    let mut writer = ChunkWriter::new(reader.member_form());
    while let Some(entry) = reader.next_entry()? {
        if wanted(&entry) {
            copy(&mut writer, &entry);
        }
    }
    Ok(writer.finish())
}

/// Copies an entry into another chunk.
fn copy(writer: &mut ChunkWriter, view: &EntryView<'_>) {
    let mut entry = writer.entry(view.kind, view.external_id, view.dn, view.unique_value);
    for (name, values) in view.attributes() {
        let values: Vec<&[u8]> = values.collect();
        entry.attribute(name, values);
    }
    for member in view.members() {
        entry.member(member);
    }
    entry.switch(view.switch);
    entry.finish();
}
