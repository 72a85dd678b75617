//! Keys of indexes, which are short for any value: PostgreSQL refuses an index row of more than about 2,700 bytes, and
//! one value of one user would end the whole import.

use std::borrow::Cow;

/// The longest text that an index holds unchanged.
pub(crate) const KEY_BYTES: usize = 512;
/// How much of a longer text's beginning is kept. A search by prefix finds it by that much.
const BEGINNING_BYTES: usize = 448;
/// Separates the beginning and the hash.
const CUT: char = '\u{2026}';

/// A text as an index holds it. A text over `KEY_BYTES` becomes its beginning and a hash of all of it, so two long
/// texts with the same beginning stay different. Bounding a bounded text changes nothing.
pub fn bounded(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= KEY_BYTES {
        return text;
    }
    let beginning = &text[..text.floor_char_boundary(BEGINNING_BYTES)];
    let hash = blake3::hash(text.as_bytes()).to_hex();
    Cow::Owned(format!("{beginning}{CUT}{}", hash.get(..32).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_its_own_key() {
        for text in ["", "anna", &"x".repeat(KEY_BYTES)] {
            assert_eq!(bounded(text.into()), text);
        }
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_stays_apart_from_others() {
        let long = |end: &str| format!("{}{end}", "x".repeat(5_000));
        let (one, other) = (bounded(long("a").into()).into_owned(), bounded(long("b").into()).into_owned());
        assert_ne!(one, other);
        assert!(one.len() <= KEY_BYTES, "{}", one.len());
        assert!(one.starts_with(&"x".repeat(BEGINNING_BYTES)));
        assert_eq!(bounded(one.as_str().into()), one, "a bounded key is its own key");
    }

    #[test]
    fn it_is_cut_between_characters() {
        for text in ["ä", "€", "😀"] {
            for shift in 0..4 {
                let text = format!("{}{}", "x".repeat(shift), text.repeat(1_000));
                assert!(bounded(text.as_str().into()).len() <= KEY_BYTES);
            }
        }
    }
}
