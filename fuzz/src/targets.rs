//! One function a fuzz target: whatever the bytes, nothing panics, and what was understood survives a round trip.
//! The ordinary tests replay the corpora through the same functions.

use postern_directory::{filter, fuzzing};
use postern_dn::Dn;
use postern_proto::chunk::{ChunkReader, ChunkWriter};
use prost::Message as _;

/// A target's name, which is also its corpus folder's, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 5] = [("dn", dn), ("filter", filter), ("entry", entry), ("chunk", chunk), ("wire", wire)];

/// A DN that parses keeps its normalized form when that form is parsed again, and lies within its parent.
pub fn dn(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(dn) = Dn::parse(text) else { return };
    let normalized = dn.normalized();
    let again = Dn::parse(&normalized).unwrap_or_else(|error| panic!("{normalized:?} from {text:?}: {error}"));
    assert_eq!(again.normalized(), normalized, "from {text:?}");
    if let Some(parent) = dn.parent() {
        assert!(dn.is_within(&parent), "{text:?}");
    }
}

/// Any bytes are a legal value once escaped; any text is accepted or refused.
pub fn filter(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = filter::validate(text);
    }
    let escaped = filter::equals("cn", bytes);
    filter::validate(&escaped).unwrap_or_else(|error| panic!("{escaped:?}: {error}"));
}

/// Whatever a server sends is an entry or an error.
pub fn entry(bytes: &[u8]) {
    fuzzing::entry(bytes);
}

/// A chunk that can be read hashes to the same digest when it is written again.
pub fn chunk(bytes: &[u8]) {
    let Ok(mut reader) = ChunkReader::parse(bytes) else { return };
    let mut writer = ChunkWriter::new(reader.member_form());
    while let Ok(Some(view)) = reader.next_entry() {
        let mut open = writer.entry(view.kind, view.external_id, view.dn, view.unique_value);
        for (name, values) in view.attributes() {
            open.attribute(name, values);
        }
        for member in view.members() {
            open.member(member);
        }
        open.switch(view.switch);
        assert_eq!(open.finish(), view.hash);
    }
    let payload = writer.finish();
    ChunkReader::parse(&payload).unwrap_or_else(|error| panic!("what was written cannot be read: {error}"));
}

/// Frames of either end are converted or refused.
pub fn wire(bytes: &[u8]) {
    if let Ok(frame) = postern_proto::v1::AgentFrame::decode(bytes) {
        postern_engine::wire::fuzzing(frame);
    }
    if let Ok(frame) = postern_proto::v1::ControlFrame::decode(bytes) {
        postern_agent::wire::fuzzing(frame);
    }
}
