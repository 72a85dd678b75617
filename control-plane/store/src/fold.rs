//! The form of names for comparisons and searches.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use crate::keys;

/// The form of a name for comparisons and searches, as directories compare it (RFC 4518): ignores case, how a letter is
/// composed, and the number of blanks between and around words. A very long name becomes its beginning and a hash of
/// all of it, so that every index has room for it.
pub fn fold(text: &str) -> String {
    keys::bounded(prepare(text).into()).into_owned()
}

fn prepare(text: &str) -> String {
    if text.is_ascii() {
        return joined(text.to_ascii_lowercase());
    }
    // Composing may allow another fold; characters newer than the tables are only lower-cased.
    let once = |text: &str| -> String {
        let folded = stringprep::x520prep(text, true).unwrap_or_else(|_| Cow::Owned(text.to_lowercase()));
        folded.nfkc().collect()
    };
    let first = once(text);
    let second = once(&first);
    joined(second)
}

/// The words of a text, separated by single blanks.
fn joined(text: String) -> String {
    if !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ") {
        return text;
    }
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_alike() {
        let pairs = [
            ("Anna", "anna"),
            ("J\u{f6}rg", "jo\u{308}rg"),
            ("J\u{d6}RG", "jo\u{308}rg"),
            ("STRASSE", "stra\u{df}e"),
            ("\u{ff41}nna", "anna"),
            (" anna  b ", "Anna B"),
            ("\u{c4}  x", "a\u{308} X"),
            ("\u{212b}", "\u{e5}"),
        ];
        for (one, other) in pairs {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("jorg"), fold("j\u{f6}rg"));
        assert_eq!(fold("a\u{301}@x.example"), "\u{e1}@x.example");
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in [
            "",
            " ",
            "Anna",
            "J\u{f6}rg \u{130}",
            "\u{3c2}\u{3a3}",
            "\u{fb03}",
            "\u{1f80}",
            "\u{1}x",
            "emoji \u{1f600}",
        ] {
            let once = fold(text);
            assert_eq!(fold(&once), once, "{text:?}");
        }
    }
}
