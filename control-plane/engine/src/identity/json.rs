//! JSON put together as text, with no tree in between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes a value of an attribute: text as a string, all else as `{"base64":"…"}`. Gives the text back. Of a `binary`
/// attribute no value is text.
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

/// A value that JSON and every database can hold as text.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'))
}

/// Writes a string.
pub(super) fn put_string(out: &mut String, text: &str) {
    let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Not stopping at the first lets many bytes be looked at at once; hardly any text has one.
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
