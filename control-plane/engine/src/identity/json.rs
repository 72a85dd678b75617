//! JSON written directly as text, without a tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes a value of an attribute: text as a string, anything else as `{"base64":"…"}`. Returns the text. A `binary`
/// attribute has no text.
pub(super) fn put_value<'v>(out: &mut String, value: &'v [u8], binary: bool) -> Option<&'v str> {
    let text = if binary { None } else { text(value) };
    if let Some(text) = text {
        put_string(out, text);
    } else {
        out.push_str("{\"base64\":\"");
        STANDARD.encode_string(value, out);
        out.push_str("\"}");
    }
    text
}

/// A value as text, if JSON and every database can store it.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'))
}

/// Writes a string.
pub(super) fn put_string(out: &mut String, text: &str) {
    let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Checking all bytes without an early exit can be vectorized; hardly any text needs escapes.
    if text.bytes().fold(false, |any, byte| any | escaped(byte)) {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn strings_are_written_as_serde_json_does(text in "\\PC{0,8}|[\u{0}-\u{7f}\"\\\\]{0,8}") {
            let mut out = String::new();
            put_string(&mut out, &text);
            proptest::prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }
    }
}
