//! What the hand-written agents deliver.

use std::ops::Range;

use bytes::Bytes;
use postern_proto::chunk::{ChunkWriter, Kind, MemberForm, Switch};
use postern_proto::digest::Digest;

/// A payload with its digest and counts.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) payload: Bytes,
    pub(super) users: u64,
    pub(super) groups: u64,
    pub(super) digest: Digest,
}

/// These users, ten in a chunk, and a group of all of them.
pub(super) fn entries(numbers: Range<u32>) -> Vec<Chunk> {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let mut chunks = Vec::new();
    let all: Vec<u32> = numbers.collect();
    for ten in all.chunks(10) {
        for number in ten {
            let name = format!("user{number}");
            let id = uuid::Uuid::from_u128(u128::from(*number) + (7 << 64)).to_string();
            let dn = format!("uid={name},ou=people,dc=x");
            let mut entry = writer.entry(Kind::User, &id, &dn, Some(&name));
            entry.attribute("uid", [name.as_bytes()]);
            entry.attribute("mail", [format!("{name}@x.example").as_bytes()]);
            entry.switch(Switch::On);
            entry.finish();
        }
        let digest = writer.digest();
        chunks.push(Chunk { users: ten.len() as u64, groups: 0, digest, payload: writer.finish() });
    }
    let mut entry = writer.entry(Kind::Group, "group of all", "cn=all,dc=x", None);
    entry.attribute("cn", [b"all".as_slice()]);
    for number in &all {
        entry.member(format!("UID=user{number}, ou=people,dc=x").as_bytes());
    }
    entry.finish();
    let digest = writer.digest();
    chunks.push(Chunk { users: 0, groups: 1, digest, payload: writer.finish() });
    chunks
}

/// A user, and a group whose members take this many bytes.
pub(super) fn group_of(bytes: usize) -> Vec<Chunk> {
    const MEMBER_BYTES: usize = 8 << 10;
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let mut user = writer.entry(Kind::User, "one", "uid=user1,dc=x", Some("user1"));
    user.switch(Switch::On);
    user.finish();
    let mut entry = writer.entry(Kind::Group, "large", "cn=large,dc=x", None);
    entry.attribute("cn", [b"large".as_slice()]);
    for number in 0..bytes / MEMBER_BYTES {
        entry.member(format!("uid={number:0>width$}", width = MEMBER_BYTES - 4).as_bytes());
    }
    entry.finish();
    let digest = writer.digest();
    vec![Chunk { users: 1, groups: 1, digest, payload: writer.finish() }]
}

/// Users with these external ids and names, in one chunk.
pub(super) fn people(people: &[(&str, &str)]) -> Vec<Chunk> {
    people_switched(people, &[], Switch::On)
}

/// Like [`people`], all with these further attributes and this switch.
pub(super) fn people_switched(people: &[(&str, &str)], further: &[(&str, &str)], switch: Switch) -> Vec<Chunk> {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    for (id, name) in people {
        let mut entry = writer.entry(Kind::User, id, &format!("uid={name},ou={id},dc=x"), Some(name));
        entry.attribute("uid", [name.as_bytes()]);
        for (name, value) in further {
            entry.attribute(name, [value.as_bytes()]);
        }
        entry.switch(switch);
        entry.finish();
    }
    let digest = writer.digest();
    vec![Chunk { users: people.len() as u64, groups: 0, digest, payload: writer.finish() }]
}

/// An entry as a test writes it: a user with a login, or a group with members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'w> {
    pub(super) id: &'w str,
    pub(super) dn: &'w str,
    pub(super) login: Option<&'w str>,
    pub(super) enabled: bool,
    pub(super) attributes: &'w [(&'w str, &'w str)],
    /// Only of a group.
    pub(super) members: Option<&'w [&'w str]>,
}

/// These entries, each in a chunk of its own.
pub(super) fn written(entries: &[Written<'_>]) -> Vec<Chunk> {
    entries.iter().map(|entry| together(std::slice::from_ref(entry))).collect()
}

/// These entries in one chunk.
pub(super) fn together(entries: &[Written<'_>]) -> Chunk {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    for entry in entries {
        let kind = if entry.members.is_some() { Kind::Group } else { Kind::User };
        let mut open = writer.entry(kind, entry.id, entry.dn, entry.login);
        for (name, value) in entry.attributes {
            let values: Vec<&[u8]> = value.split('|').map(str::as_bytes).collect();
            open.attribute(name, values);
        }
        for member in entry.members.into_iter().flatten() {
            open.member(member.as_bytes());
        }
        open.switch(if entry.enabled { Switch::On } else { Switch::Off });
        open.finish();
    }
    let digest = writer.digest();
    let groups = entries.iter().filter(|entry| entry.members.is_some()).count() as u64;
    Chunk { users: entries.len() as u64 - groups, groups, digest, payload: writer.finish() }
}
