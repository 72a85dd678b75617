//! A look at the bytes of a message before it is decoded. A list element that takes two bytes on the wire takes a hundred
//! in memory; so the elements are counted first, and a message with too many is refused.

use crate::{limits, v1};

/// More fields than this are in no message of ours. The largest lists are far shorter, see [`limits`].
const MAX_FIELDS: usize = 8 * limits::MAX_HELD_COMMANDS;

/// A message that a peer sends.
pub trait Guarded {
    /// The messages inside of it that hold lists: the numbers of the fields that lead to each.
    const LISTS: &'static [&'static [u64]] = &[];
}

impl Guarded for v1::AgentFrame {
    // hello; outcome.import; outcome.test_connection; outcome.operate and its lists; directories_changed.
    const LISTS: &'static [&'static [u64]] = &[&[1], &[2, 11], &[2, 12], &[2, 14], &[2, 14, 3], &[2, 14, 4], &[5]];
}

impl Guarded for v1::ControlFrame {
    // welcome; command.operate with its attributes, changes and members; directories_refused.
    const LISTS: &'static [&'static [u64]] = &[
        &[1],
        &[2, 13, 10],
        &[2, 13, 10, 2],
        &[2, 13, 10, 7],
        &[2, 13, 10, 7, 1],
        &[2, 13, 11],
        &[2, 13, 11, 1],
        &[2, 13, 18],
        &[7],
    ];
}

impl Guarded for v1::ChunkAck {
    // look_again.
    const LISTS: &'static [&'static [u64]] = &[&[5]];
}

impl Guarded for v1::Chunk {
    // open.source; open.listed.
    const LISTS: &'static [&'static [u64]] = &[&[1, 3], &[1, 4]];
}

impl Guarded for v1::EnrollRequest {}
impl Guarded for v1::EnrollResponse {}
impl Guarded for v1::RenewRequest {}
impl Guarded for v1::RenewResponse {}

/// Whether the message has no more fields than it may. What is no message at all is left to the decoder.
pub(crate) fn is_bounded<M: Guarded>(message: &[u8]) -> bool {
    count(message, M::LISTS, &mut 0)
}

/// Counts the fields of a message, and those of the lists inside of it.
fn count(mut rest: &[u8], lists: &[&[u64]], seen: &mut usize) -> bool {
    while let Some((field, content)) = next(&mut rest) {
        *seen += 1;
        if *seen > MAX_FIELDS {
            return false;
        }
        let deeper: Vec<&[u64]> = lists.iter().filter_map(|list| list.strip_prefix(&[field])).collect();
        if let Some(content) = content.filter(|_| !deeper.is_empty())
            && !count(content, &deeper, seen)
        {
            return false;
        }
    }
    true
}

/// The next field with its number, and with its content where that may be a message (wire type 2). `None` at the end, and
/// where the bytes are no message.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = lenient(rest)?;
    let field = key >> 3;
    let skip = match key & 7 {
        0 => {
            lenient(rest)?;
            return Some((field, None));
        }
        // The marks around a group: what is inside counts as if it stood here.
        3 | 4 => return Some((field, None)),
        1 => 8,
        2 => usize::try_from(lenient(rest)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(skip)?;
    *rest = after;
    Some((field, (key & 7 == 2).then_some(content)))
}

/// A number of Protocol Buffers, which may be spelt longer than it needs.
fn lenient(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::v1::agent_frame::Kind;

    fn hello(directories: usize) -> Vec<u8> {
        let directories = vec![v1::ServedDirectory::default(); directories];
        let hello = v1::Hello { directories, ..v1::Hello::default() };
        v1::AgentFrame { kind: Some(Kind::Hello(hello)) }.encode_to_vec()
    }

    #[test]
    fn lists_of_millions_are_refused_before_they_are_decoded() {
        assert!(is_bounded::<v1::AgentFrame>(&hello(limits::MAX_DIRECTORIES)));
        assert!(!is_bounded::<v1::AgentFrame>(&hello(2_000_000)));
        let checks = vec![v1::CheckRow::default(); MAX_FIELDS + 1];
        let result = Some(v1::outcome::Result::TestConnection(v1::TestConnectionResult { checks }));
        let outcome = v1::Outcome { result, ..v1::Outcome::default() };
        assert!(!is_bounded::<v1::AgentFrame>(&v1::AgentFrame { kind: Some(Kind::Outcome(outcome)) }.encode_to_vec()));
    }

    #[test]
    fn a_list_of_attributes_is_counted_too() {
        let open = |count| {
            let listed = v1::chunk::Listed { users: vec![String::new(); count], ..v1::chunk::Listed::default() };
            let open = v1::chunk::Open { listed: Some(listed), ..v1::chunk::Open::default() };
            v1::Chunk { kind: Some(v1::chunk::Kind::Open(open)) }.encode_to_vec()
        };
        assert!(is_bounded::<v1::Chunk>(&open(limits::MAX_LISTED_ATTRIBUTES)));
        assert!(!is_bounded::<v1::Chunk>(&open(1_000_000)));
    }

    #[test]
    fn a_list_in_many_pieces_is_counted_as_one() {
        // Decoders put the pieces of a message that comes again and again together.
        let pieces = hello(100).repeat(MAX_FIELDS / 100 + 1);
        let whole = v1::AgentFrame::decode(&pieces[..]).unwrap();
        assert!(matches!(whole.kind, Some(Kind::Hello(hello)) if hello.directories.len() > MAX_FIELDS));
        assert!(!is_bounded::<v1::AgentFrame>(&pieces));
    }

    #[test]
    fn the_bytes_of_an_entry_are_not_taken_for_a_list() {
        let mut payload = Vec::new();
        for number in 0..50_000 {
            crate::varint::put(&mut payload, number);
        }
        let found = v1::LookupUserResult { user: payload.into(), ..v1::LookupUserResult::default() };
        let outcome = v1::Outcome { result: Some(v1::outcome::Result::LookupUser(found)), ..v1::Outcome::default() };
        let frame = v1::AgentFrame { kind: Some(Kind::Outcome(outcome)) };
        assert!(is_bounded::<v1::AgentFrame>(&frame.encode_to_vec()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            is_bounded::<v1::AgentFrame>(&bytes);
        }
    }
}
