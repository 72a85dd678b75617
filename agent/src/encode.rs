//! Records into chunks: the same record always in the same bytes, so that its content hash tells whether it changed.

use bytes::Bytes;
use postern_proto::chunk::{self, ChunkWriter, Kind, MemberForm};
use postern_proto::digest::Digest;
use postern_proto::{CHUNK_TARGET_BYTES, MAX_CHUNK_BYTES};

use crate::policy::Policy;
use crate::served::{Phase, Record, Switch, Unusable};

/// What a length takes at most, and what a chunk and its message have around the entries.
const LENGTH_BYTES: usize = 5;
const AROUND_BYTES: usize = 64 << 10;
/// An entry that is no larger fits behind any others of a chunk, which is closed at its target size.
const MAX_ENTRY_BYTES: usize = MAX_CHUNK_BYTES - CHUNK_TARGET_BYTES - AROUND_BYTES;

/// A chunk ready to be sent, and what it adds to the whole.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) payload: Bytes,
    pub(crate) users: u64,
    pub(crate) groups: u64,
    pub(crate) digest: Digest,
}

/// Gathers records into chunks of bounded size.
pub(crate) struct Encoder {
    writer: ChunkWriter,
    limit: usize,
    users: u64,
    groups: u64,
}

impl Encoder {
    pub(crate) fn new(member_form: MemberForm, limit: usize) -> Self {
        Self { writer: ChunkWriter::new(member_form), limit: limit.max(1), users: 0, groups: 0 }
    }

    /// Adds a record, less what the policy keeps here; returns a chunk once it is full. A record that no chunk can
    /// carry is not added: sent, it would be refused again and again.
    pub(crate) fn add(
        &mut self,
        phase: Phase,
        mut record: Record,
        policy: &Policy,
    ) -> Result<Option<Encoded>, Unusable> {
        policy.strip(&mut record);
        let bytes = size(&record);
        if bytes > MAX_ENTRY_BYTES {
            let reason = format!("{bytes} bytes, more than the {MAX_ENTRY_BYTES} that can be delivered");
            return Err(Unusable { dn: record.dn, reason });
        }
        write(&mut self.writer, phase, &mut record);
        match phase {
            Phase::Users => self.users += 1,
            Phase::Groups => self.groups += 1,
        }
        let full = self.writer.entries() >= self.limit || self.writer.bytes() >= CHUNK_TARGET_BYTES;
        Ok(if full { self.finish() } else { None })
    }

    /// What is left, if anything.
    pub(crate) fn finish(&mut self) -> Option<Encoded> {
        if self.writer.is_empty() {
            return None;
        }
        let digest = self.writer.digest();
        let (users, groups) = (std::mem::take(&mut self.users), std::mem::take(&mut self.groups));
        Some(Encoded { payload: self.writer.finish(), users, groups, digest })
    }
}

/// Some records as one chunk, however many.
pub(crate) fn chunk(
    member_form: MemberForm,
    phase: Phase,
    records: impl IntoIterator<Item = Record>,
    policy: &Policy,
) -> Bytes {
    let mut writer = ChunkWriter::new(member_form);
    for mut record in records {
        policy.strip(&mut record);
        write(&mut writer, phase, &mut record);
    }
    writer.finish()
}

/// What a record takes in a chunk, at most.
fn size(record: &Record) -> usize {
    let Record { external_id, dn, unique_value, attributes, members, switch: _ } = record;
    let sum = |values: &[Bytes]| values.iter().map(|value| value.len() + LENGTH_BYTES).sum::<usize>();
    let head = external_id.len() + dn.len() + unique_value.as_ref().map_or(0, String::len) + 8 * LENGTH_BYTES;
    let attributes = attributes.iter().map(|(name, values)| name.len() + 3 * LENGTH_BYTES + sum(values));
    head + attributes.sum::<usize>() + sum(members)
}

fn write(writer: &mut ChunkWriter, phase: Phase, record: &mut Record) {
    let kind = match phase {
        Phase::Users => Kind::User,
        Phase::Groups => Kind::Group,
    };
    let mut entry = writer.entry(kind, &record.external_id, &record.dn, record.unique_value.as_deref());
    for (name, values) in &record.attributes {
        entry.attribute(name, values.iter().map(AsRef::as_ref));
    }
    // Servers return members in any order; sorted, an unchanged group hashes the same.
    record.members.sort_unstable();
    for member in &record.members {
        entry.member(member);
    }
    entry.switch(switch(record.switch));
    entry.finish();
}

/// As it travels. A time before 1970 is long past, as its first second is.
fn switch(switch: Switch) -> chunk::Switch {
    match switch {
        Switch::Unknown => chunk::Switch::Unknown,
        Switch::On => chunk::Switch::On,
        Switch::OnUntil(time) => chunk::Switch::OnUntil(u64::try_from(time).unwrap_or_default()),
        Switch::Off => chunk::Switch::Off,
    }
}

#[cfg(test)]
mod tests {
    use postern_proto::chunk::ChunkReader;

    use super::*;

    fn record(external_id: &str, members: &[&'static str]) -> Record {
        Record {
            external_id: external_id.into(),
            dn: format!("cn={external_id}"),
            unique_value: None,
            attributes: Vec::new(),
            members: members.iter().map(|member| Bytes::from_static(member.as_bytes())).collect(),
            switch: Switch::On,
        }
    }

    fn user(number: usize) -> Record {
        record(&format!("id{number}"), &[])
    }

    #[test]
    fn chunks_hold_no_more_than_their_limit_and_nothing_is_lost() {
        let mut encoder = Encoder::new(MemberForm::Dn, 10);
        let policy = Policy::default();
        let mut chunks: Vec<Encoded> =
            (0..25).filter_map(|number| encoder.add(Phase::Users, user(number), &policy).unwrap()).collect();
        chunks.extend(encoder.finish());
        let sizes: Vec<usize> = chunks.iter().map(|chunk| ChunkReader::parse(&chunk.payload).unwrap().len()).collect();
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(chunks.iter().map(|chunk| chunk.users).sum::<u64>(), 25);
        assert!(encoder.finish().is_none());
    }

    #[test]
    fn the_order_of_members_does_not_change_the_digest() {
        let group = |members: &[&'static str]| record("g", members);
        let digest = |record| {
            let mut encoder = Encoder::new(MemberForm::Dn, 10);
            encoder.add(Phase::Groups, record, &Policy::default()).unwrap();
            encoder.finish().unwrap().digest
        };
        assert_eq!(digest(group(&["a", "b"])), digest(group(&["b", "a"])));
        assert_ne!(digest(group(&["a", "b"])), digest(group(&["a"])));
    }
    #[test]
    fn an_entry_that_no_chunk_can_carry_is_named_and_the_others_go_on() {
        let mebibyte = Bytes::from(vec![b'm'; 1 << 20]);
        let mut encoder = Encoder::new(MemberForm::Dn, 10);
        let policy = Policy::default();
        encoder.add(Phase::Groups, record("before", &[]), &policy).unwrap();
        let huge = Record { members: vec![mebibyte; MAX_CHUNK_BYTES >> 20], ..record("everybody", &[]) };
        let unusable = encoder.add(Phase::Groups, huge, &policy).unwrap_err();
        assert_eq!(unusable.dn, "cn=everybody");
        assert!(unusable.reason.contains("more than"), "{unusable:?}");
        encoder.add(Phase::Groups, record("after", &[]), &policy).unwrap();
        let chunk = encoder.finish().unwrap();
        assert_eq!((chunk.groups, ChunkReader::parse(&chunk.payload).unwrap().len()), (2, 2));
    }

    #[test]
    fn an_entry_takes_no_more_than_it_was_said_to() {
        let value = |length: usize| Bytes::from(vec![b'v'; length]);
        let attribute = |name: &str, lengths: &[usize]| (name.into(), lengths.iter().copied().map(value).collect());
        let attributes = vec![attribute("cn", &[0, 1, 127, 128, 70_000]), attribute("description;lang-de", &[])];
        for members in [0, 1, 300] {
            let record = Record {
                unique_value: Some("x".repeat(200)),
                attributes: attributes.clone(),
                members: vec![value(130); members],
                ..record("id", &[])
            };
            let said = size(&record);
            let taken = chunk(MemberForm::Dn, Phase::Groups, [record], &Policy::default()).len();
            assert!(taken <= said + 32, "{taken} > {said}");
        }
    }
}
