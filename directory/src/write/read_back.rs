//! The entry that a write leaves, which comes with the answer (post-read control, RFC 4527): it saves a read.

use bytes::Bytes;
use ldap3::controls::{Control, PostRead, RawControl};
use postern_dn::Dn;
use postern_dn::ber::{self, Reader};

use crate::raw_entry::{RawEntry, SEARCH_RESULT_ENTRY};

/// The post-read control (RFC 4527).
pub(crate) const POST_READ: &str = "1.3.6.1.1.13.2";

/// Asks for these attributes of the entry after a write. Not critical: a server that does not show them writes all the same.
pub(crate) fn asked(names: &[String]) -> RawControl {
    PostRead::new(names.to_vec())
}

/// The entry in an answer, in the form in which a search would have brought it.
pub(crate) fn entry(controls: &[Control]) -> Option<Bytes> {
    let Control(_, raw) = controls.iter().find(|Control(_, raw)| raw.ctype == POST_READ)?;
    // slapd sends it as a SEQUENCE, others as a search result entry.
    let found = Reader::new(raw.val.as_deref()?).next_element().ok()??;
    let parts = [vec![ber::INTEGER, 1, 0], element(SEARCH_RESULT_ENTRY, found.content)].concat();
    Some(element(ber::SEQUENCE, &parts).into())
}

/// Whether an entry has this DN, and matches a filter beyond doubt.
pub(crate) fn is_it(message: &Bytes, dn: &str, filter: &str) -> bool {
    let Ok(mut entry) = RawEntry::parse(message) else { return false };
    let (Ok(own), Ok(wanted)) = (Dn::parse(entry.dn()), Dn::parse(dn)) else { return false };
    let Some(classes) = classes(filter).filter(|_| own.case_folded() == wanted.case_folded()) else { return false };
    while let Ok(Some(attribute)) = entry.next_attribute() {
        if attribute.description().eq_ignore_ascii_case(CLASS) {
            let Ok(values) = attribute.values() else { return false };
            return classes.iter().any(|class| values.iter().any(|value| value.eq_ignore_ascii_case(class.as_bytes())));
        }
    }
    false
}

/// The attribute that a filter compares.
pub(crate) const CLASS: &str = "objectClass";

/// The classes of which a filter asks for one. `None`: it asks for something else.
fn classes(filter: &str) -> Option<Vec<&str>> {
    let inner = filter.strip_prefix('(')?.strip_suffix(')')?;
    let parts = match inner.strip_prefix('|') {
        Some(parts) => parts.strip_prefix('(')?.strip_suffix(')')?.split(")(").collect(),
        None => vec![inner],
    };
    let class = |part: &str| {
        let (name, class) = part.split_once('=')?;
        let plain = class.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
        (name.eq_ignore_ascii_case(CLASS) && plain && !class.is_empty()).then_some(())
    };
    parts.into_iter().map(|part| class(part).and_then(|()| Some(part.split_once('=')?.1))).collect()
}

/// A BER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = length.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
    match significant.as_slice() {
        [] => element.push(0),
        [short] if *short < 0x80 => element.push(*short),
        long => {
            element.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            element.extend_from_slice(long);
        }
    }
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Vec<u8> {
        element(ber::OCTET_STRING, text.as_bytes())
    }

    fn answer(tag: u8, class: &str) -> Bytes {
        let values = element(ber::SET, &octets(class));
        let attribute = element(ber::SEQUENCE, &[octets("objectclass"), values].concat());
        let parts = [octets("uid=Anna,dc=x"), element(ber::SEQUENCE, &attribute)].concat();
        let raw = RawControl { ctype: POST_READ.to_owned(), crit: false, val: Some(element(tag, &parts)) };
        entry(&[Control(None, raw)]).unwrap()
    }

    #[test]
    fn the_entry_is_read_in_either_form() {
        for tag in [ber::SEQUENCE, SEARCH_RESULT_ENTRY] {
            let message = answer(tag, &"x".repeat(300));
            assert_eq!(RawEntry::parse(&message).unwrap().dn(), "uid=Anna,dc=x");
        }
        assert_eq!(entry(&[]), None);
    }

    #[test]
    fn only_what_matches_beyond_doubt_saves_a_read() {
        let message = answer(ber::SEQUENCE, "inetOrgPerson");
        assert!(is_it(&message, "UID=anna, dc=x", "(objectClass=inetorgperson)"));
        assert!(is_it(&message, "uid=anna,dc=x", "(|(objectClass=posixAccount)(objectClass=inetOrgPerson))"));
        for filter in ["(objectClass=person)", "(!(objectClass=inetOrgPerson))", "(objectClass=*)", "(uid=anna)", "(&)"]
        {
            assert!(!is_it(&message, "uid=anna,dc=x", filter), "{filter}");
        }
        assert!(!is_it(&message, "uid=bert,dc=x", "(objectClass=inetOrgPerson)"));
    }
}
