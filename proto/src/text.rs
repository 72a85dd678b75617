//! Texts for people that come from the other end.

use crate::limits;

/// A text without control characters, and cut where it is too long.
#[must_use]
pub fn clean(text: &str) -> String {
    limits::cut(text).chars().map(|char| if char.is_control() && char != '\n' { ' ' } else { char }).collect()
}

/// The same for a text that may be unset.
#[must_use]
pub fn optional(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| clean(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_cut_and_cleaned() {
        assert_eq!(clean("a\u{1b}[31mb\nc"), "a [31mb\nc");
        assert!(clean(&"ü".repeat(limits::MAX_TEXT_BYTES)).len() <= limits::MAX_TEXT_BYTES);
        assert_eq!(optional(""), None);
    }
}
