//! Ids of Active Directory in their usual text: GUIDs (MS-DTYP §2.3.4) and SIDs (§2.4.2).

use std::fmt::Write as _;

use uuid::Uuid;

/// A GUID of 16 bytes, whose first three parts are little-endian.
pub(super) fn guid(bytes: &[u8]) -> Option<String> {
    Some(Uuid::from_slice_le(bytes).ok()?.to_string())
}

/// A SID: `S-1-5-21-…`.
pub(super) fn sid(bytes: &[u8]) -> Option<String> {
    let (&revision, rest) = bytes.split_first()?;
    let (&count, rest) = rest.split_first()?;
    let (authority, rest) = rest.split_at_checked(6)?;
    if rest.len() != usize::from(count) * 4 {
        return None;
    }
    let authority = authority.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut text = format!("S-{revision}-{authority}");
    for part in rest.chunks_exact(4) {
        let part = part.iter().rev().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        write!(text, "-{part}").ok()?;
    }
    Some(text)
}
