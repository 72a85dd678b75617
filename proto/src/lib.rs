//! What travels between agent and control plane, and nothing else: the generated messages and services,
//! the encoding of entries in bulk, the digest that proves completeness, and the enrollment token.

pub mod chunk;
pub mod codec;
pub mod digest;
pub mod directory_name;
pub mod enrollment_token;
pub mod guard;
pub mod limits;
pub mod operation;
pub mod sealed;
pub mod text;
mod varint;

pub use limits::{CHUNK_ENTRIES, CHUNK_TARGET_BYTES, MAX_CHUNK_BYTES, MAX_FRAME_BYTES};

/// Generated from `postern/gateway/v1/*.proto`; see there for who may call what, and what unset means.
#[expect(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code; documented in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("postern.gateway.v1");
}

/// The oldest protocol version that this release speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// The newest protocol version that this release speaks.
pub const PROTOCOL_MAX: u32 = 1;

/// Chooses the protocol version of a session: the newest that both ends speak, or none.
#[must_use]
pub fn negotiate(peer_min: u32, peer_max: u32) -> Option<u32> {
    let chosen = peer_max.min(PROTOCOL_MAX);
    (peer_min > 0 && chosen >= peer_min.max(PROTOCOL_MIN)).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen_or_none() {
        assert_eq!(negotiate(1, 1), Some(1));
        assert_eq!(negotiate(1, 9), Some(1));
        assert_eq!(negotiate(2, 9), None);
        assert_eq!(negotiate(0, 1), None, "an unset range is refused");
        assert_eq!(negotiate(1, 0), None);
    }
}
