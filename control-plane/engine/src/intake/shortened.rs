//! Texts of bounded length, for reports.

/// Most bytes of a listed text.
pub(super) const MOST_TEXT: usize = 1 << 10;

/// A text of bounded length, for reports.
pub(super) fn shortened(text: &str) -> String {
    text.get(..text.floor_char_boundary(MOST_TEXT)).unwrap_or_default().to_owned()
}
