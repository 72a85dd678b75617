//! Chunks that somebody made to cost their reader more than they cost him.

use proptest::prelude::*;

use super::{ChunkReader, ChunkWriter, DecodeError, Kind, MemberForm};
use crate::{limits, varint};

/// A chunk by hand: layout, form, names, how many entries it says that it holds, their lengths, their bytes.
fn chunk(names: &[&str], entries: u64, lengths: &[u8], blob: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0];
    varint::put(&mut out, names.len() as u64);
    for name in names {
        varint::put(&mut out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
    }
    varint::put(&mut out, entries);
    varint::put(&mut out, lengths.len() as u64);
    out.extend_from_slice(lengths);
    out.extend_from_slice(blob);
    out
}

/// What reading all of it fails with.
fn refused(payload: &[u8]) -> DecodeError {
    let mut reader = match ChunkReader::parse(payload) {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    loop {
        match reader.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was taken"),
            Err(error) => return error,
        }
    }
}

fn too_large(what: &'static str, limit: usize) -> DecodeError {
    DecodeError::TooLarge { what, limit }
}

/// The lengths of an entry without ids: its attributes and members follow.
const NAMELESS: [u8; 4] = [0, 0, 0, 0];

#[test]
fn six_million_entries_of_ten_bytes_are_refused_from_the_head_alone() {
    let lengths = [0, 4, 0, 0, 0, 0, 0].repeat(6_000_000);
    let payload = chunk(&[], 6_000_000, &lengths, &b"abcd".repeat(6_000_000));
    assert_eq!(ChunkReader::parse(&payload).unwrap_err(), too_large("entry count", limits::MAX_CHUNK_ENTRIES));
}

#[test]
fn a_count_is_checked_against_what_is_there() {
    assert_eq!(refused(&chunk(&[], 9_999, &[0; 100], b"")), DecodeError::Malformed("entry count"));
    let mut members = NAMELESS.to_vec();
    members.push(0);
    varint::put(&mut members, 9_000);
    assert_eq!(refused(&chunk(&[], 1, &members, b"")), DecodeError::Malformed("members"));
}

#[test]
fn whatever_is_beyond_its_limit_is_refused_by_name() {
    let entry = |attributes: &[u8], members: u64| {
        let mut lengths = NAMELESS.to_vec();
        lengths.extend_from_slice(attributes);
        varint::put(&mut lengths, members);
        // The last one is the switch.
        lengths.extend(vec![0; usize::try_from(members).unwrap() + 1]);
        lengths
    };
    let values = |count: u64, length: u64| {
        let mut attributes = vec![1, 0];
        varint::put(&mut attributes, count);
        for _ in 0..count {
            varint::put(&mut attributes, length);
        }
        attributes
    };
    let one = |lengths: Vec<u8>, blob: usize| refused(&chunk(&["cn"], 1, &lengths, &vec![b'x'; blob]));
    let over = |limit: usize| u64::try_from(limit + 1).unwrap();
    assert_eq!(one(entry(&[0], over(limits::MAX_GROUPS_OF_USER)), 0), too_large("members", limits::MAX_GROUPS_OF_USER));
    let many = values(over(limits::MAX_VALUES), 0);
    assert_eq!(one(entry(&many, 0), 0), too_large("attribute values", limits::MAX_VALUES));
    let long = values(1, over(limits::MAX_VALUE_BYTES));
    assert_eq!(
        one(entry(&long, 0), limits::MAX_VALUE_BYTES + 1),
        too_large("attribute values", limits::MAX_VALUE_BYTES)
    );
    let much = values(9, limits::MAX_VALUE_BYTES as u64);
    let limit = limits::MAX_ENTRY_VALUE_BYTES;
    assert_eq!(one(entry(&much, 0), 9 * limits::MAX_VALUE_BYTES), too_large("attribute values of an entry", limit));
    let long_name = "n".repeat(limits::MAX_NAME_BYTES + 1);
    assert_eq!(refused(&chunk(&[&long_name], 0, &[], b"")), too_large("attribute name", limits::MAX_NAME_BYTES));
    for (place, what, limit) in [
        (1, "external id", limits::MAX_EXTERNAL_ID_BYTES),
        (2, "DN", limits::MAX_DN_BYTES),
        (3, "unique value", limits::MAX_UNIQUE_VALUE_BYTES),
    ] {
        let mut lengths = NAMELESS[..place].to_vec();
        varint::put(&mut lengths, over(limit + 1));
        lengths.extend([0; 6]);
        assert_eq!(one(lengths, limit + 2), too_large(what, limit));
    }
}

#[test]
fn long_names_used_again_and_again_are_counted() {
    let names: Vec<String> = (0..limits::MAX_NAMES).map(|number| format!("{number:0>255}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lengths = NAMELESS.to_vec();
    varint::put(&mut lengths, names.len() as u64);
    for place in 0..names.len() {
        varint::put(&mut lengths, place as u64);
        lengths.push(0);
    }
    lengths.extend([0, 0]);
    let payload = chunk(&names, 5_000, &lengths.repeat(5_000), b"");
    assert_eq!(refused(&payload), too_large("attribute names", limits::MAX_CHUNK_NAME_BYTES));
    assert!(ChunkReader::parse(&payload).unwrap().weight() > payload.len() + limits::MAX_CHUNK_NAME_BYTES);
}

#[test]
fn the_weight_of_an_ordinary_chunk_is_small() {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    for number in 0..limits::CHUNK_ENTRIES {
        let id = format!("{number:0>36}");
        let mut entry = writer.entry(Kind::User, &id, "uid=somebody,ou=people,dc=corp,dc=example", Some("somebody"));
        for name in ["cn", "sn", "givenName", "mail", "telephoneNumber", "title", "description", "employeeNumber"] {
            entry.attribute(name, [b"an ordinary value".as_slice()]);
        }
        entry.finish();
    }
    let payload = writer.finish();
    let weight = ChunkReader::parse(&payload).unwrap().weight();
    assert!((payload.len()..4 << 20).contains(&weight), "{weight} for {} bytes", payload.len());
}

proptest! {
    /// However it is written, what a reader is given is within the limits.
    #[test]
    fn no_chunk_says_more_than_it_may(lengths in prop::collection::vec(any::<u8>(), 7..200), entries in 0_u64..40) {
        let payload = chunk(&["cn", "sn"], entries, &lengths, &[b'x'; 300]);
        let Ok(mut reader) = ChunkReader::parse(&payload) else { return Ok(()) };
        prop_assert!(reader.len() * 7 <= lengths.len());
        while let Ok(Some(view)) = reader.next_entry() {
            let values: usize = view.attributes().map(|(_, values)| values.len()).sum();
            prop_assert!(values + view.members().len() <= lengths.len());
        }
    }
}
