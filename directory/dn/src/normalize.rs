//! The forms of a name in which equal names are equal texts: by the rules of RFC 4517 `distinguishedNameMatch` and RFC
//! 4518, or without regard to case alone.

use crate::name::Dn;
use crate::parse::ParseError;
use crate::prepare::{write_attribute, write_plain};

/// [`Dn::normalized`] of a text, in one pass for the plain names that nearly all are.
pub fn normalize(text: &str) -> Result<String, ParseError> {
    match plain(text, write_plain) {
        Some(normalized) => Ok(normalized),
        None => Ok(Dn::parse(text)?.normalized()),
    }
}

/// [`Dn::case_folded`] of a text, in one pass for plain names.
pub fn case_folded(text: &str) -> Result<String, ParseError> {
    let write = |value: &str, out: &mut String| {
        let start = out.len();
        out.push_str(value.trim_matches(' '));
        out[start..].make_ascii_lowercase();
    };
    match plain(text, write) {
        Some(folded) => Ok(folded),
        None => Ok(Dn::parse(text)?.case_folded()),
    }
}

/// One pass over a name of printable ASCII with nothing escaped, quoted or multi-valued; `None` sends it the long way.
fn plain(text: &str, write_value: impl Fn(&str, &mut String)) -> Option<String> {
    let plain =
        |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b'"' | b'#' | b'+' | b';' | b'<' | b'>');
    // Not stopping at the first that is not lets many bytes be looked at at once.
    if text.is_empty() || !text.bytes().fold(true, |all, byte| all & plain(byte)) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for part in text.split(',') {
        let (attribute, value) = part.split_once('=')?;
        let attribute = attribute.trim_matches(' ');
        // A value with `=` is written with an escape.
        if value.contains('=')
            || !attribute.starts_with(|first: char| first.is_ascii_alphabetic())
            || attribute.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
        {
            return None;
        }
        if !out.is_empty() {
            out.push(',');
        }
        write_attribute(attribute, &mut out);
        out.push('=');
        write_value(value, &mut out);
    }
    Some(out)
}
