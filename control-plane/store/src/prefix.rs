//! Keys that begin with the same text.

/// Sorts after every text with the same beginning.
const LAST: char = '\u{10FFFF}';

/// Sorts after all keys with this prefix.
pub(crate) fn end_of(prefix: &str) -> String {
    format!("{prefix}{LAST}")
}
