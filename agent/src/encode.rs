//! Entries into chunks: the same entry always in the same bytes, so that its content hash shows whether it changed.

use bytes::Bytes;
use postern_proto::chunk::{self, ChunkWriter, Kind, MemberForm};
use postern_proto::digest::Digest;
use postern_proto::{CHUNK_TARGET_BYTES, MAX_CHUNK_BYTES, limits};

use crate::policy::Policy;
use crate::served::{Entry, Phase, Switch, Unusable};

/// What a length takes at most, and what a chunk and its message have around the entries.
const LENGTH_BYTES: usize = 5;
const AROUND_BYTES: usize = 64 << 10;
/// Left-out values that are named.
const MAX_SAMPLES: usize = 20;
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

/// Gathers entries into chunks of bounded size.
pub(crate) struct Encoder {
    writer: ChunkWriter,
    limit: usize,
    users: u64,
    groups: u64,
    /// Names of groups in the chunk so far, of all users.
    group_names: usize,
    left_out: LeftOut,
}

/// Values that were too large or too many to be delivered, see [`limits`]. Their entries travel without them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// How many.
    pub values: u64,
    /// Some of them, by entry and attribute.
    pub samples: Vec<String>,
}

impl Encoder {
    pub(crate) fn new(member_form: MemberForm, limit: usize) -> Self {
        let writer = ChunkWriter::new(member_form);
        Self { writer, limit: limit.max(1), users: 0, groups: 0, group_names: 0, left_out: LeftOut::default() }
    }

    /// What was left out so far.
    pub(crate) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Adds an entry, less what the policy keeps here and less the values that are too large; returns a chunk once it is
    /// full. An entry that no chunk can carry is not added: sent, it would be refused again and again.
    pub(crate) fn add(&mut self, phase: Phase, mut entry: Entry, policy: &Policy) -> Result<Option<Encoded>, Unusable> {
        policy.strip(&mut entry);
        shorten(phase, &mut entry, &mut self.left_out);
        if let Some(reason) = nameless(&entry, phase) {
            return Err(Unusable { dn: limits::cut(&entry.dn).to_owned(), reason });
        }
        let bytes = size(&entry);
        if bytes > MAX_ENTRY_BYTES {
            let reason = format!("{bytes} bytes; the limit is {MAX_ENTRY_BYTES}");
            return Err(Unusable { dn: entry.dn, reason });
        }
        write(&mut self.writer, phase, &mut entry);
        match phase {
            Phase::Users => {
                self.users += 1;
                self.group_names += entry.members.len();
            }
            Phase::Groups => self.groups += 1,
        }
        let full = self.writer.entries() >= self.limit
            || self.writer.bytes() >= CHUNK_TARGET_BYTES
            || self.group_names > limits::MAX_CHUNK_GROUP_NAMES - limits::MAX_GROUPS_OF_USER;
        Ok(if full { self.finish() } else { None })
    }

    /// What is left, if anything.
    pub(crate) fn finish(&mut self) -> Option<Encoded> {
        if self.writer.is_empty() {
            return None;
        }
        let digest = self.writer.digest();
        self.group_names = 0;
        let (users, groups) = (std::mem::take(&mut self.users), std::mem::take(&mut self.groups));
        Some(Encoded { payload: self.writer.finish(), users, groups, digest })
    }
}

/// Some entries as one chunk, however many.
pub(crate) fn chunk(
    member_form: MemberForm,
    phase: Phase,
    entries: impl IntoIterator<Item = Entry>,
    policy: &Policy,
) -> Bytes {
    let mut writer = ChunkWriter::new(member_form);
    for mut entry in entries {
        policy.strip(&mut entry);
        shorten(phase, &mut entry, &mut LeftOut::default());
        if nameless(&entry, phase).is_none() {
            write(&mut writer, phase, &mut entry);
        }
    }
    writer.finish()
}

/// Why an entry cannot be known by its names, if it cannot.
fn nameless(entry: &Entry, phase: Phase) -> Option<String> {
    let beyond = |what: &str, bytes: usize, limit: usize| {
        (bytes > limit).then(|| format!("its {what} has {bytes} bytes; the limit is {limit}"))
    };
    let unique_value = entry.unique_value.as_ref().map_or(0, String::len);
    beyond("external id", entry.external_id.len(), limits::MAX_EXTERNAL_ID_BYTES)
        .or_else(|| beyond("DN", entry.dn.len(), limits::MAX_DN_BYTES))
        .or_else(|| beyond("unique value", unique_value, limits::MAX_UNIQUE_VALUE_BYTES))
        .or_else(|| {
            let members = entry.members.len();
            let what = what_members_are(phase);
            let limit = if phase == Phase::Users { limits::MAX_GROUPS_OF_USER } else { limits::MAX_MEMBERS };
            (members > limit).then(|| format!("it has {members} {what}; the limit is {limit}"))
        })
}

/// A user's entry has groups in place of members, if users name their groups.
fn what_members_are(phase: Phase) -> &'static str {
    match phase {
        Phase::Users => "groups",
        Phase::Groups => "members",
    }
}

/// Takes out what no chunk may hold. An attribute of which no value is left stays, without values: it is there, and was
/// left out.
fn shorten(phase: Phase, entry: &mut Entry, left_out: &mut LeftOut) {
    let mut room = limits::MAX_ENTRY_VALUE_BYTES;
    entry.attributes.truncate(limits::MAX_NAMES);
    entry.attributes.retain(|(name, _)| name.len() <= limits::MAX_NAME_BYTES);
    for (name, values) in &mut entry.attributes {
        let before = values.len();
        values.truncate(limits::MAX_VALUES);
        values.retain(|value| {
            let fits = value.len() <= limits::MAX_VALUE_BYTES.min(room);
            if fits {
                room -= value.len();
            }
            fits
        });
        left_out.note(before - values.len(), &entry.dn, name);
    }
    let before = entry.members.len();
    entry.members.retain(|member| member.len() <= limits::MAX_DN_BYTES);
    left_out.note(before - entry.members.len(), &entry.dn, what_members_are(phase));
}

impl LeftOut {
    fn note(&mut self, values: usize, dn: &str, attribute: &str) {
        self.values += values as u64;
        if values > 0 && self.samples.len() < MAX_SAMPLES {
            self.samples.push(format!("{}: {attribute}", limits::cut(dn)));
        }
    }
}

/// What an entry takes in a chunk, at most.
fn size(entry: &Entry) -> usize {
    let Entry { external_id, dn, unique_value, attributes, members, switch: _ } = entry;
    let sum = |values: &[Bytes]| values.iter().map(|value| value.len() + LENGTH_BYTES).sum::<usize>();
    let head = external_id.len() + dn.len() + unique_value.as_ref().map_or(0, String::len) + 8 * LENGTH_BYTES;
    let attributes = attributes.iter().map(|(name, values)| name.len() + 3 * LENGTH_BYTES + sum(values));
    head + attributes.sum::<usize>() + sum(members)
}

fn write(writer: &mut ChunkWriter, phase: Phase, entry: &mut Entry) {
    let kind = match phase {
        Phase::Users => Kind::User,
        Phase::Groups => Kind::Group,
    };
    let mut out = writer.entry(kind, &entry.external_id, &entry.dn, entry.unique_value.as_deref());
    for (name, values) in &entry.attributes {
        out.attribute(name, values.iter().map(AsRef::as_ref));
    }
    // Servers return members in any order; sorted, an unchanged group hashes the same.
    entry.members.sort_unstable();
    for member in &entry.members {
        out.member(member);
    }
    out.switch(switch(entry.switch));
    out.finish();
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

    fn entry(external_id: &str, members: &[&'static str]) -> Entry {
        Entry {
            external_id: external_id.into(),
            dn: format!("cn={external_id}"),
            unique_value: None,
            attributes: Vec::new(),
            members: members.iter().map(|member| Bytes::from_static(member.as_bytes())).collect(),
            switch: Switch::On,
        }
    }

    fn user(number: usize) -> Entry {
        entry(&format!("id{number}"), &[])
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
        let group = |members: &[&'static str]| entry("g", members);
        let digest = |entry| {
            let mut encoder = Encoder::new(MemberForm::Dn, 10);
            encoder.add(Phase::Groups, entry, &Policy::default()).unwrap();
            encoder.finish().unwrap().digest
        };
        assert_eq!(digest(group(&["a", "b"])), digest(group(&["b", "a"])));
        assert_ne!(digest(group(&["a", "b"])), digest(group(&["a"])));
    }
    #[test]
    fn an_entry_that_no_chunk_can_carry_is_named_and_the_others_go_on() {
        let member = Bytes::from(vec![b'm'; limits::MAX_DN_BYTES]);
        let mut encoder = Encoder::new(MemberForm::Dn, 10);
        let policy = Policy::default();
        encoder.add(Phase::Groups, entry("before", &[]), &policy).unwrap();
        let huge = Entry { members: vec![member; MAX_CHUNK_BYTES / limits::MAX_DN_BYTES], ..entry("everybody", &[]) };
        let unusable = encoder.add(Phase::Groups, huge, &policy).unwrap_err();
        assert_eq!(unusable.dn, "cn=everybody");
        assert!(unusable.reason.contains("the limit is"), "{unusable:?}");
        encoder.add(Phase::Groups, entry("after", &[]), &policy).unwrap();
        let chunk = encoder.finish().unwrap();
        assert_eq!((chunk.groups, ChunkReader::parse(&chunk.payload).unwrap().len()), (2, 2));
    }

    #[test]
    fn values_that_are_too_large_are_left_out_and_counted_and_the_entry_goes_on() {
        let value = |length: usize| Bytes::from(vec![b'v'; length]);
        let photo = value(20 << 20);
        let attributes = vec![
            ("jpegPhoto".into(), vec![photo.clone()]),
            ("cn".into(), vec![value(5), photo]),
            ("description".into(), vec![value(limits::MAX_VALUE_BYTES); 9]),
        ];
        let entry = Entry { attributes, members: vec![value(9), value(limits::MAX_DN_BYTES + 1)], ..user(1) };
        let mut encoder = Encoder::new(MemberForm::Dn, 10);
        encoder.add(Phase::Groups, entry, &Policy::default()).unwrap();
        let names = ["jpegPhoto", "cn", "description", "members"].map(|name| format!("cn=id1: {name}"));
        assert_eq!(encoder.left_out(), &LeftOut { values: 5, samples: names.to_vec() });
        let chunk = encoder.finish().unwrap();
        let mut reader = ChunkReader::parse(&chunk.payload).unwrap();
        let entry = reader.next_entry().unwrap().unwrap();
        let kept: Vec<(&str, usize)> = entry.attributes().map(|(name, values)| (name, values.len())).collect();
        assert_eq!(kept, [("jpegPhoto", 0), ("cn", 1), ("description", 7)]);
        assert_eq!(entry.members().len(), 1);
        assert!(reader.next_entry().unwrap().is_none());
    }

    #[test]
    fn an_entry_whose_name_is_too_long_is_listed_and_the_others_go_on() {
        let mut encoder = Encoder::new(MemberForm::Dn, 10);
        let long = |limit: usize| "x".repeat(limit + 1);
        let entries = [
            Entry { external_id: long(limits::MAX_EXTERNAL_ID_BYTES), ..user(1) },
            Entry { dn: long(limits::MAX_DN_BYTES), ..user(2) },
            Entry { unique_value: Some(long(limits::MAX_UNIQUE_VALUE_BYTES)), ..user(3) },
            Entry { members: vec![Bytes::new(); limits::MAX_GROUPS_OF_USER + 1], ..user(4) },
        ];
        for (entry, what) in entries.into_iter().zip(["external id", "DN", "unique value", "groups"]) {
            let unusable = encoder.add(Phase::Users, entry, &Policy::default()).unwrap_err();
            assert!(unusable.reason.contains(what) && unusable.dn.len() <= limits::MAX_TEXT_BYTES, "{unusable:?}");
        }
        encoder.add(Phase::Users, user(5), &Policy::default()).unwrap();
        assert_eq!(encoder.finish().unwrap().users, 1);
    }

    #[test]
    fn an_entry_takes_no_more_than_it_was_said_to() {
        let value = |length: usize| Bytes::from(vec![b'v'; length]);
        let attribute = |name: &str, lengths: &[usize]| (name.into(), lengths.iter().copied().map(value).collect());
        let attributes = vec![attribute("cn", &[0, 1, 127, 128, 70_000]), attribute("description;lang-de", &[])];
        for members in [0, 1, 300] {
            let entry = Entry {
                unique_value: Some("x".repeat(200)),
                attributes: attributes.clone(),
                members: vec![value(130); members],
                ..entry("id", &[])
            };
            let said = size(&entry);
            let taken = chunk(MemberForm::Dn, Phase::Groups, [entry], &Policy::default()).len();
            assert!(taken <= said + 32, "{taken} > {said}");
        }
    }
}
