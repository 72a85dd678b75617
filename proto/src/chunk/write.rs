//! Packing entries into a chunk.

use bytes::Bytes;

use super::{Kind, LAYOUT, MemberForm, Switch};
use crate::digest::Digest;
use crate::{CHUNK_TARGET_BYTES, varint};

/// Packs entries; used again and again, one chunk after the other.
#[derive(Debug)]
pub struct ChunkWriter {
    member_form: MemberForm,
    names: Vec<String>,
    entries: usize,
    lengths: Vec<u8>,
    blob: Vec<u8>,
    digest: Digest,
    pending: Pending,
}

/// The lengths of the entry being written; they become part of the chunk only when it is finished. Its bytes are put
/// into the chunk at once, because copying them again would cost more than taking them back.
#[derive(Debug, Default)]
struct Pending {
    /// What the hash covers before the bytes themselves: all lengths, with names instead of their places in the table.
    canonical: Vec<u8>,
    attributes: usize,
    lengths: Vec<u8>,
    members: usize,
    member_lengths: Vec<u8>,
    switch: Switch,
}

impl Pending {
    fn clear(&mut self) {
        let Self { canonical, attributes, lengths, members, member_lengths, switch } = self;
        for bytes in [canonical, lengths, member_lengths] {
            bytes.clear();
        }
        (*attributes, *members, *switch) = (0, 0, Switch::Unknown);
    }
}

impl ChunkWriter {
    /// A writer of empty chunks whose groups have members of this form.
    #[must_use]
    pub fn new(member_form: MemberForm) -> Self {
        Self {
            member_form,
            names: Vec::new(),
            entries: 0,
            lengths: Vec::new(),
            blob: Vec::new(),
            digest: Digest::default(),
            pending: Pending::default(),
        }
    }

    /// Starts an entry. It counts once [`EntryWriter::finish`] is called; dropped before, it leaves nothing.
    pub fn entry(&mut self, kind: Kind, external_id: &str, dn: &str, unique_value: Option<&str>) -> EntryWriter<'_> {
        let pending = &mut self.pending;
        pending.clear();
        pending.canonical.push(kind as u8);
        for length in [external_id.len(), dn.len(), unique_value.map_or(0, |value| value.len() + 1)] {
            varint::put(&mut pending.canonical, length as u64);
        }
        let head = pending.canonical.len();
        let start = self.blob.len();
        for text in [external_id, dn, unique_value.unwrap_or_default()] {
            self.blob.extend_from_slice(text.as_bytes());
        }
        let members = self.blob.len();
        EntryWriter { writer: self, head, start, members, finished: false }
    }

    /// Entries in the chunk so far.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Size of the chunk so far, in bytes, without its small head.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lengths.len() + self.blob.len()
    }

    /// Whether no entry was finished since the last chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// What the entries of this chunk add up to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Closes the chunk and starts an empty one.
    pub fn finish(&mut self) -> Bytes {
        let names: usize = self.names.iter().map(|name| name.len() + 2).sum();
        let mut out = Vec::with_capacity(self.bytes() + names + 32);
        out.push(LAYOUT);
        out.push(match self.member_form {
            MemberForm::Dn => 0,
            MemberForm::UniqueValue => 1,
            MemberForm::GroupNames => 2,
        });
        varint::put(&mut out, self.names.len() as u64);
        for name in self.names.drain(..) {
            varint::put(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
        }
        varint::put(&mut out, self.entries as u64);
        varint::put(&mut out, self.lengths.len() as u64);
        out.extend_from_slice(&self.lengths);
        out.extend_from_slice(&self.blob);
        // A very large group must not keep its memory for the rest of an import.
        for bytes in [&mut self.lengths, &mut self.blob, &mut self.pending.member_lengths] {
            bytes.clear();
            bytes.shrink_to(CHUNK_TARGET_BYTES);
        }
        self.entries = 0;
        self.digest = Digest::default();
        out.into()
    }

    fn place_of(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}

/// One entry on its way into a chunk.
#[derive(Debug)]
pub struct EntryWriter<'w> {
    writer: &'w mut ChunkWriter,
    /// Where the head (kind and lengths of the ids) ends in `canonical`; the same bytes open the entry's lengths.
    head: usize,
    /// Where the entry's bytes start in the blob, and where those of its members do.
    start: usize,
    members: usize,
    finished: bool,
}

impl EntryWriter<'_> {
    /// Adds an attribute with its values, in their final order. Quickest before the first member.
    pub fn attribute<'v, V>(&mut self, name: &str, values: V)
    where
        V: IntoIterator<Item = &'v [u8], IntoIter: ExactSizeIterator>,
    {
        let values = values.into_iter();
        let place = self.writer.place_of(name);
        let ChunkWriter { blob, pending, .. } = &mut *self.writer;
        pending.attributes += 1;
        varint::put(&mut pending.canonical, name.len() as u64);
        pending.canonical.extend_from_slice(name.as_bytes());
        varint::put(&mut pending.lengths, place as u64);
        let tail = pending.lengths.len();
        varint::put(&mut pending.lengths, values.len() as u64);
        for value in values {
            varint::put(&mut pending.lengths, value.len() as u64);
            if pending.members == 0 {
                blob.extend_from_slice(value);
            } else {
                blob.splice(self.members..self.members, value.iter().copied());
            }
            self.members += value.len();
        }
        pending.canonical.extend_from_slice(&pending.lengths[tail..]);
    }

    /// Adds a member of a group; give them sorted, so that the content hash does not depend on the server's order.
    pub fn member(&mut self, value: &[u8]) {
        let ChunkWriter { blob, pending, .. } = &mut *self.writer;
        pending.members += 1;
        varint::put(&mut pending.member_lengths, value.len() as u64);
        blob.extend_from_slice(value);
    }

    /// Says whether the directory lets the user in. Unless it is said, that is unknown.
    pub fn switch(&mut self, switch: Switch) {
        self.writer.pending.switch = switch;
    }

    /// Makes the entry part of the chunk and gives its content hash.
    pub fn finish(mut self) -> [u8; 32] {
        self.finished = true;
        let ChunkWriter { blob, lengths, pending, digest, entries, .. } = &mut *self.writer;

        lengths.extend_from_slice(&pending.canonical[..self.head]);
        varint::put(lengths, pending.attributes as u64);
        lengths.extend_from_slice(&pending.lengths);
        varint::put(lengths, pending.members as u64);
        lengths.extend_from_slice(&pending.member_lengths);
        put_switch(lengths, pending.switch);

        pending.canonical.push(0xff);
        varint::put(&mut pending.canonical, pending.members as u64);
        pending.canonical.extend_from_slice(&pending.member_lengths);
        put_switch(&mut pending.canonical, pending.switch);
        let hash = super::read::content_hash(&mut pending.canonical, &blob[self.start..]);
        digest.add_entry(&hash);
        *entries += 1;
        hash
    }
}

fn put_switch(out: &mut Vec<u8>, switch: Switch) {
    match switch {
        Switch::Unknown => out.push(0),
        Switch::On => out.push(1),
        Switch::Off => out.push(2),
        Switch::OnUntil(time) => {
            out.push(3);
            varint::put(out, time);
        }
    }
}

impl Drop for EntryWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.writer.blob.truncate(self.start);
        }
    }
}
