//! The text form of what names an entry for ever.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::filter;

/// The text form of an external id; `None` where the value can be none (empty, or text with control characters).
///
/// `objectGUID` is a mixed-endian binary GUID (MS-DTYP §2.3.4.2) and gets Microsoft's text form; `objectSid` gets
/// `S-1-…`; a UUID in text is lower-cased; other text stays as it is; other bytes become hex.
pub fn external_id(attribute: &str, value: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 16]>::try_from(value)
        && is_guid_attribute(attribute)
    {
        return Some(Uuid::from_bytes_le(bytes).hyphenated().to_string());
    }
    if attribute.eq_ignore_ascii_case("objectSid")
        && let Some(sid) = sid(value)
    {
        return Some(sid);
    }
    match std::str::from_utf8(value) {
        Ok("") => None,
        Ok(text) if text.chars().any(char::is_control) => None,
        Ok(text) if is_uuid_text(text) => Some(text.to_ascii_lowercase()),
        Ok(text) => Some(text.to_owned()),
        Err(_) => {
            let mut hex = String::with_capacity(value.len() * 2);
            for byte in value {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
            }
            Some(hex)
        }
    }
}

/// The condition that an entry has this external id, which [`external_id`] has made of the attribute's value.
pub(crate) fn external_id_filter(attribute: &str, id: &str) -> String {
    if is_guid_attribute(attribute)
        && let Ok(guid) = Uuid::try_parse(id)
    {
        return filter::equals(attribute, &guid.to_bytes_le());
    }
    let as_text = filter::equals(attribute, id.as_bytes());
    match bytes_of_hex(id) {
        // It may have been text or bytes.
        Some(bytes) => format!("(|{as_text}{})", filter::equals(attribute, &bytes)),
        None => as_text,
    }
}

/// Bytes that are no text, from the digits that [`external_id`] makes of them.
fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Vec<u8> = text.as_bytes().chunks(2).map(pair).collect::<Option<_>>()?;
    std::str::from_utf8(&bytes).is_err().then_some(bytes)
}

fn is_guid_attribute(attribute: &str) -> bool {
    ["objectGUID", "mS-DS-ConsistencyGuid", "msExchMailboxGuid"].iter().any(|name| name.eq_ignore_ascii_case(attribute))
}

/// The forms of RFC 4530 (`entryUUID`) and of 389-DS (`nsUniqueId`, four groups of eight).
fn is_uuid_text(text: &str) -> bool {
    let groups: &[usize] = match text.len() {
        36 => &[8, 4, 4, 4, 12],
        35 => &[8, 8, 8, 8],
        _ => return false,
    };
    let mut parts = text.split('-');
    groups.iter().all(|length| {
        parts.next().is_some_and(|part| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }) && parts.next().is_none()
}

/// A security identifier in its text form (MS-DTYP §2.4.2.1).
fn sid(value: &[u8]) -> Option<String> {
    let (&[revision, count], rest) = value.split_first_chunk::<2>()?;
    let (authority, rest) = rest.split_first_chunk::<6>()?;
    let (parts, []) = rest.as_chunks::<4>() else { return None };
    if parts.len() != usize::from(count) {
        return None;
    }
    let authority = authority.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    let mut text = format!("S-{revision}-{authority}");
    for part in parts {
        let _ = write!(text, "-{}", u32::from_le_bytes(*part));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_guid_gets_the_text_form_that_microsoft_shows() {
        let bytes: Vec<u8> = (0..16).collect();
        let expected = Some("03020100-0504-0706-0809-0a0b0c0d0e0f".to_owned());
        assert_eq!(external_id("objectGUID", &bytes), expected);
        assert_eq!(external_id("OBJECTGUID", &bytes), expected);
        // Also one whose bytes happen to be UTF-8 text.
        assert_eq!(
            external_id("objectGUID", b"ABCDEFGHIJKLMNOP").as_deref(),
            Some("44434241-4645-4847-494a-4b4c4d4e4f50")
        );
    }

    #[test]
    fn other_external_ids_keep_their_text() {
        assert_eq!(
            external_id("entryUUID", b"F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6").as_deref(),
            Some("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
        );
        assert_eq!(
            external_id("nsUniqueId", b"66446001-1dd211b2-9D92C6D2-77C6D2D1").as_deref(),
            Some("66446001-1dd211b2-9d92c6d2-77c6d2d1")
        );
        assert_eq!(external_id("employeeNumber", b"AbC-7").as_deref(), Some("AbC-7"));
        assert_eq!(external_id("x", &[0xff, 0x01]).as_deref(), Some("ff01"));
        assert_eq!(external_id("x", b""), None);
        assert_eq!(external_id("x", b"a\nb"), None);
        let sid = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0xf4, 1, 0, 0];
        assert_eq!(external_id("objectSid", &sid).as_deref(), Some("S-1-5-21-1-2-3-500"));
    }

    #[test]
    fn an_external_id_is_sought_by_the_bytes_that_it_was_made_of() {
        let guid: Vec<u8> = (0xa0..0xb0).collect();
        let text = external_id("objectGUID", &guid).expect("a GUID");
        assert_eq!(external_id_filter("objectGUID", &text), filter::equals("objectGUID", &guid));
        assert_eq!(external_id_filter("uid", "a(b"), "(uid=a\\28b)");
        assert_eq!(external_id_filter("x", "ff01"), "(|(x=ff01)(x=\\ff\\01))");
        assert_eq!(external_id_filter("employeeNumber", "4711"), "(employeeNumber=4711)", "4711 is text as bytes too");
    }
}
