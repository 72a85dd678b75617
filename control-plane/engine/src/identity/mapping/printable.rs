//! Texts as databases take them.

use std::borrow::Cow;

/// A text as databases accept it: PostgreSQL cannot store NUL.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
