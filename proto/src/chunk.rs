//! A batch of entries as it travels: columnar, so that neither end allocates a message for each value.
//!
//! Attribute names stand once in a table; the lengths of everything stand together; the bytes of everything
//! follow as one blob. `docs/protocol.md` gives the layout byte by byte.

#[cfg(test)]
mod hostile;
mod read;
mod write;

pub use read::{Attributes, ChunkReader, Columns, DecodeError, EntryView, Values};
pub use write::{ChunkWriter, EntryWriter};

/// First byte of every chunk.
const LAYOUT: u8 = 2;

/// What an entry is, as the configured searches found it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Found by the users' search.
    User,
    /// Found by the groups' search.
    Group,
}

/// Whether the directory lets a user in, as the site has decided.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Switch {
    /// Unknown. Unknown is not active.
    #[default]
    Unknown,
    /// It does.
    On,
    /// It does until this time, in seconds since 1970.
    OnUntil(u64),
    /// It does not.
    Off,
}

/// What the members of a chunk's entries are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberForm {
    /// Distinguished names (`member`, `uniqueMember`).
    Dn,
    /// Values of the users' unique attribute (`memberUid`).
    UniqueValue,
    /// Groups list no members. Users name their groups instead (`memberOf`): the members of a user's entry are the names
    /// of its groups, distinguished names or plain texts.
    GroupNames,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;

    type Attribute = (String, Vec<Vec<u8>>);

    #[derive(Clone, Debug, PartialEq)]
    struct Owned {
        kind: Kind,
        external_id: String,
        dn: String,
        unique_value: Option<String>,
        attributes: Vec<Attribute>,
        members: Vec<Vec<u8>>,
        switch: Switch,
    }

    fn switch() -> impl Strategy<Value = Switch> {
        prop_oneof![Just(Switch::Unknown), Just(Switch::On), Just(Switch::Off), any::<u64>().prop_map(Switch::OnUntil)]
    }

    fn entry() -> impl Strategy<Value = Owned> {
        let attribute = ("[a-z;-]{1,12}", vec(vec(any::<u8>(), 0..40), 0..4));
        (
            any::<bool>(),
            ".{0,20}",
            ".{0,40}",
            proptest::option::of(".{0,10}"),
            vec(attribute, 0..6),
            vec(vec(any::<u8>(), 0..30), 0..6),
            switch(),
        )
            .prop_map(|(user, external_id, dn, unique_value, attributes, members, switch)| Owned {
                kind: if user { Kind::User } else { Kind::Group },
                external_id,
                dn,
                unique_value,
                attributes,
                members,
                switch,
            })
    }

    fn write(writer: &mut ChunkWriter, entry: &Owned) -> [u8; 32] {
        let mut open = writer.entry(entry.kind, &entry.external_id, &entry.dn, entry.unique_value.as_deref());
        for (name, values) in &entry.attributes {
            open.attribute(name, values.iter().map(Vec::as_slice));
        }
        entry.members.iter().for_each(|member| open.member(member));
        open.switch(entry.switch);
        open.finish()
    }

    fn read(view: &EntryView<'_>) -> Owned {
        Owned {
            kind: view.kind,
            external_id: view.external_id.to_owned(),
            dn: view.dn.to_owned(),
            unique_value: view.unique_value.map(str::to_owned),
            attributes: view
                .attributes()
                .map(|(name, values)| (name.to_owned(), values.map(<[u8]>::to_vec).collect()))
                .collect(),
            members: view.members().map(<[u8]>::to_vec).collect(),
            switch: view.switch,
        }
    }

    proptest! {
        #[test]
        fn entries_their_hashes_and_the_digest_survive_the_round_trip(entries in vec(entry(), 0..12)) {
            let mut writer = ChunkWriter::new(MemberForm::UniqueValue);
            let hashes: Vec<_> = entries.iter().map(|entry| write(&mut writer, entry)).collect();
            let digest = writer.digest();
            let payload = writer.finish();
            prop_assert!(writer.is_empty());

            let mut reader = ChunkReader::parse(&payload).unwrap();
            prop_assert_eq!(reader.len(), entries.len());
            prop_assert_eq!(reader.member_form(), MemberForm::UniqueValue);
            let (mut back, mut seen, mut sum) = (Vec::new(), Vec::new(), Digest::default());
            while let Some(view) = reader.next_entry().unwrap() {
                back.push(read(&view));
                seen.push(view.hash);
                sum.add_entry(&view.hash);
            }
            prop_assert_eq!(back, entries);
            prop_assert_eq!(seen, hashes);
            prop_assert_eq!(sum, digest);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_read_but_never_panic(payload in vec(any::<u8>(), 0..300)) {
            walk(&payload);
        }

        #[test]
        fn a_damaged_chunk_is_refused_or_hashes_differently(
            entries in vec(entry(), 1..5), place in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let mut writer = ChunkWriter::new(MemberForm::Dn);
            for entry in &entries {
                write(&mut writer, entry);
            }
            let digest = writer.digest();
            let mut payload = writer.finish().to_vec();
            let place = place.index(payload.len());
            payload[place] ^= flip;
            if let Some(sum) = walk(&payload) {
                // Only the member form (byte 1) and an attribute name that nobody uses are outside of the hashes.
                prop_assert!(sum != digest || place == 1 || entries.iter().any(|entry| !entry.attributes.is_empty()));
            }
        }
    }

    fn walk(payload: &[u8]) -> Option<Digest> {
        let mut reader = ChunkReader::parse(payload).ok()?;
        let mut sum = Digest::default();
        loop {
            match reader.next_entry() {
                Ok(Some(view)) => {
                    read(&view);
                    sum.add_entry(&view.hash);
                }
                Ok(None) => return Some(sum),
                Err(_) => return None,
            }
        }
    }

    #[test]
    fn the_hash_depends_on_every_part_and_not_on_the_chunk_around() {
        let base = Owned {
            kind: Kind::User,
            external_id: "id".into(),
            dn: "cn=a".into(),
            unique_value: Some("a".into()),
            attributes: vec![("cn".into(), vec![b"a".to_vec(), b"b".to_vec()])],
            members: vec![b"m".to_vec()],
            switch: Switch::On,
        };
        let hash = |entry: &Owned| write(&mut ChunkWriter::new(MemberForm::Dn), entry);
        let changed = [
            Owned { kind: Kind::Group, ..base.clone() },
            Owned { external_id: "ie".into(), ..base.clone() },
            Owned { external_id: "i".into(), dn: "dcn=a".into(), ..base.clone() },
            Owned { unique_value: None, ..base.clone() },
            Owned { attributes: vec![("cn".into(), vec![b"ab".to_vec()])], ..base.clone() },
            Owned { attributes: vec![("sn".into(), vec![b"a".to_vec(), b"b".to_vec()])], ..base.clone() },
            Owned { members: vec![], ..base.clone() },
            Owned { switch: Switch::Unknown, ..base.clone() },
            Owned { switch: Switch::Off, ..base.clone() },
            Owned { switch: Switch::OnUntil(7), ..base.clone() },
        ];
        for other in &changed {
            assert_ne!(hash(other), hash(&base), "{other:?}");
        }
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        write(&mut writer, &changed[5]);
        assert_eq!(write(&mut writer, &base), hash(&base));
    }

    #[test]
    fn an_abandoned_entry_leaves_nothing_behind() {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        let mut abandoned = writer.entry(Kind::Group, "id", "cn=a", None);
        abandoned.attribute("cn", [b"a".as_slice()]);
        abandoned.member(b"cn=m");
        drop(abandoned);
        assert!(writer.is_empty());
        writer.entry(Kind::User, "other", "cn=b", None).finish();
        let payload = writer.finish();
        let mut reader = ChunkReader::parse(&payload).unwrap();
        assert_eq!(reader.next_entry().unwrap().unwrap().external_id, "other");
        assert!(reader.next_entry().unwrap().is_none());
    }

    #[test]
    fn an_entry_is_the_same_whether_its_members_or_its_attributes_came_first() {
        let long = vec![b'x'; 20_000];
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        let mut entry = writer.entry(Kind::Group, "id", "cn=a", None);
        entry.attribute("cn", [b"a".as_slice(), &long]);
        entry.member(b"cn=m");
        let usual = entry.finish();
        let mut entry = writer.entry(Kind::Group, "id", "cn=a", None);
        entry.member(b"cn=m");
        entry.attribute("cn", [b"a".as_slice(), &long]);
        assert_eq!(entry.finish(), usual);
        let payload = writer.finish();
        let mut reader = ChunkReader::parse(&payload).unwrap();
        let [one, other] = [0, 1].map(|_| reader.next_entry().unwrap().unwrap());
        assert_eq!((one.hash, read(&one)), (usual, read(&other)));
    }

    /// Written down once and for all: agents and control planes of other releases, and the hashes of every account that
    /// is stored, depend on each byte.
    #[test]
    fn a_chunk_and_its_hashes_are_those_of_every_release() {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        let mut user = writer.entry(Kind::User, "id-1", "uid=a,dc=x", Some("a"));
        user.attribute("cn", [b"A".as_slice(), "\u{dc}".as_bytes()]);
        user.switch(Switch::OnUntil(300));
        let user = user.finish();
        let mut group = writer.entry(Kind::Group, "id-2", "cn=g,dc=x", None);
        group.attribute("cn", [b"g".as_slice()]);
        group.member(b"uid=a,dc=x");
        group.member(b"uid=b,dc=x");
        let group = group.finish();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let digest = writer.digest().to_bytes();
        insta::assert_snapshot!(
            [hex(&user), hex(&group), hex(&digest), hex(&writer.finish())].join("\n"),
            @"
        7ba7227110fec0b4c8f050c33be0103f47daa3af1be2dc62b090b34bcff5bd76
        f3c0e328a3b5f13b63f9323e016a5584202a750e28a9eb90ac3f7480ab0479fe
        6e68069ab3b3b2f02bea83013d4a66c3670419be438bc8f35cd027cc7afa3675
        02000102636e021900040a0201000201020003ac020104090001000101020a0a0069642d317569643d612c64633d786141c39c69642d32636e3d672c64633d78677569643d612c64633d787569643d622c64633d78
        "
        );
    }
}
