//! One search result entry as the server sent it: walked in place, exact bytes, nothing copied and nothing assumed.

use bytes::Bytes;
use thiserror::Error;

use postern_dn::ber::{self, Malformed, Reader};

/// `SearchResultEntry` (RFC 4511 §4.5.2).
pub(crate) const SEARCH_RESULT_ENTRY: u8 = 0x64;

/// An LDAP message that holds a search result entry, decoded as far as its name.
#[derive(Clone, Copy, Debug)]
pub struct RawEntry<'a> {
    message: &'a Bytes,
    dn: &'a str,
    attributes: Reader<'a>,
}

/// Why a message is no usable entry.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EntryError {
    /// It is not the BER of an entry.
    #[error("not a search result entry")]
    Malformed(#[from] Malformed),
    /// Its DN is not UTF-8.
    #[error("the DN is not UTF-8 text")]
    DnNotText {
        /// The DN with replacements where it is no text.
        lossy: String,
    },
}

impl<'a> RawEntry<'a> {
    /// Decodes an `LDAPMessage` whose operation is a search result entry.
    pub fn parse(message: &'a Bytes) -> Result<Self, EntryError> {
        let mut outer = Reader::new(message);
        let mut parts = Reader::new(outer.require(ber::SEQUENCE)?);
        parts.require(ber::INTEGER)?;
        let mut operation = Reader::new(parts.require(SEARCH_RESULT_ENTRY)?);
        let dn = operation.require(ber::OCTET_STRING)?;
        let attributes = Reader::new(operation.require(ber::SEQUENCE)?);
        match std::str::from_utf8(dn) {
            Ok(dn) => Ok(Self { message, dn, attributes }),
            Err(_) => Err(EntryError::DnNotText { lossy: String::from_utf8_lossy(dn).into_owned() }),
        }
    }

    /// The entry's name as the server writes it.
    pub fn dn(&self) -> &'a str {
        self.dn
    }

    /// The next attribute, `None` after the last. Each is checked when it is reached.
    pub fn next_attribute(&mut self) -> Result<Option<Attribute<'a>>, Malformed> {
        let Some(element) = self.attributes.next_element()? else { return Ok(None) };
        if element.tag != ber::SEQUENCE {
            return Err(Malformed("an attribute that is not a sequence"));
        }
        let mut parts = Reader::new(element.content);
        let description = parts.require(ber::OCTET_STRING)?;
        let description =
            std::str::from_utf8(description).map_err(|_| Malformed("an attribute name that is not text"))?;
        Ok(Some(Attribute { message: self.message, description, values: Reader::new(parts.require(ber::SET)?) }))
    }

    /// The values of one attribute by its exact description, in any case; empty where there is none.
    pub fn values_of(&self, description: &str) -> Result<Vec<Bytes>, Malformed> {
        let mut entry = *self;
        while let Some(attribute) = entry.next_attribute()? {
            if attribute.description.eq_ignore_ascii_case(description) {
                return attribute.values();
            }
        }
        Ok(Vec::new())
    }
}

/// One attribute of an entry: its description (name and options) and its values.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    message: &'a Bytes,
    description: &'a str,
    values: Reader<'a>,
}

impl<'a> Attribute<'a> {
    /// Name and options, as the server writes them: `member;range=0-1499`.
    pub fn description(&self) -> &'a str {
        self.description
    }

    /// The values, in the server's order. They share the message's memory.
    pub fn values(self) -> Result<Vec<Bytes>, Malformed> {
        let mut out = Vec::new();
        self.values_into(&mut out)?;
        Ok(out)
    }

    /// Appends the values to `out`.
    pub(crate) fn values_into(mut self, out: &mut Vec<Bytes>) -> Result<(), Malformed> {
        while let Some(value) = self.next_value()? {
            out.push(self.message.slice_ref(value));
        }
        Ok(())
    }

    /// The next value in place, `None` after the last.
    pub fn next_value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.values.next_element()? {
            None => Ok(None),
            Some(element) if element.tag == ber::OCTET_STRING => Ok(Some(element.content)),
            Some(_) => Err(Malformed("a value that is not an octet string")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The BER of an element.
    pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag, 0x84];
        out.extend(u32::try_from(content.len()).expect("short").to_be_bytes());
        out.extend(content);
        out
    }

    /// The message of an entry.
    pub(crate) fn message(dn: &[u8], attributes: &[(&str, &[&[u8]])]) -> Bytes {
        let attributes: Vec<u8> = attributes
            .iter()
            .flat_map(|(name, values)| {
                let values: Vec<u8> = values.iter().flat_map(|value| element(ber::OCTET_STRING, value)).collect();
                element(
                    ber::SEQUENCE,
                    &[element(ber::OCTET_STRING, name.as_bytes()), element(ber::SET, &values)].concat(),
                )
            })
            .collect();
        let entry = [element(ber::OCTET_STRING, dn), element(ber::SEQUENCE, &attributes)].concat();
        let entry = element(SEARCH_RESULT_ENTRY, &entry);
        element(ber::SEQUENCE, &[element(ber::INTEGER, &[7]), entry].concat()).into()
    }

    #[test]
    fn an_entry_is_walked_with_exact_bytes() {
        let message = message(b"cn=a", &[("cn", &[b"a", b""]), ("objectGUID", &[&[0xff, 0, 1]]), ("empty", &[])]);
        let mut entry = RawEntry::parse(&message).expect("an entry");
        assert_eq!(entry.dn(), "cn=a");
        let first = entry.next_attribute().expect("well-formed").expect("an attribute");
        assert_eq!(first.description(), "cn");
        assert_eq!(first.values().expect("values"), [&b"a"[..], b""]);
        assert_eq!(entry.values_of("OBJECTguid").expect("values"), [&[0xff_u8, 0, 1][..]]);
        assert_eq!(entry.values_of("empty").expect("values"), Vec::<Bytes>::new());
    }

    #[test]
    fn a_dn_that_is_not_text_is_recognised() {
        let message = message(&[b'c', 0xff], &[]);
        assert!(matches!(RawEntry::parse(&message), Err(EntryError::DnNotText { .. })));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            walk(&bytes.into());
        }

        #[test]
        fn no_damage_makes_it_panic(position in 0_usize..120, byte in any::<u8>()) {
            let mut bytes = message(b"cn=a", &[("cn", &[b"a", b"b"]), ("member;range=0-1", &[b"x"])]).to_vec();
            let position = position % bytes.len();
            bytes[position] = byte;
            walk(&bytes.into());
        }
    }

    fn walk(message: &Bytes) {
        if let Ok(mut entry) = RawEntry::parse(message) {
            while let Ok(Some(attribute)) = entry.next_attribute() {
                let _ = attribute.values();
            }
        }
    }
}
