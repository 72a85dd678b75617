//! Reading BER (X.690, as narrowed by RFC 4511 §5.1) without copying and without trust: every length is checked
//! against the bytes that are there, and nothing here can panic or recurse without a bound.

use thiserror::Error;

/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of an OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of an ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a SET.
pub const SET: u8 = 0x31;

/// The bytes are not BER, or not what RFC 4511 asks for at this place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("malformed BER: {0}")]
pub struct Malformed(pub &'static str);

/// Tag and length of an element, before its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The tag byte: class, form and number.
    pub tag: u8,
    /// Bytes of tag and length.
    pub prefix_len: usize,
    /// Bytes of the content.
    pub content_len: usize,
}

impl Header {
    /// Bytes of the whole element.
    pub fn total(&self) -> usize {
        self.prefix_len.saturating_add(self.content_len)
    }
}

/// Reads the header at the start of `bytes`; `None` while it has not arrived whole.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let (Some(&tag), Some(&first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed("a tag of several bytes, which LDAP does not use"));
    }
    if first < 0x80 {
        return Ok(Some(Header { tag, prefix_len: 2, content_len: usize::from(first) }));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 8 {
        return Err(Malformed("an indefinite or oversized length"));
    }
    let Some(digits) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = digits.iter().fold(0_u64, |length, digit| (length << 8) | u64::from(*digit));
    let content_len = u32::try_from(length).map_err(|_| Malformed("a length beyond 4 GiB"))?;
    Ok(Some(Header { tag, prefix_len: 2 + count, content_len: content_len as usize }))
}

/// One element: its tag and its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element<'a> {
    /// The tag byte: class, form and number.
    pub tag: u8,
    /// The content's bytes.
    pub content: &'a [u8],
}

/// Walks over the elements that follow one another in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts before the first element.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether no element is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, `None` at the end.
    pub fn next_element(&mut self) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let header = header(self.rest)?.ok_or(Malformed("a cut header"))?;
        let content =
            self.rest.get(header.prefix_len..header.total()).ok_or(Malformed("a length beyond its container"))?;
        self.rest = self.rest.get(header.total()..).unwrap_or_default();
        Ok(Some(Element { tag: header.tag, content }))
    }

    /// The content of the next element, which must be there and have this tag.
    pub fn require(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next_element()? {
            Some(element) if element.tag == tag => Ok(element.content),
            Some(_) => Err(Malformed("an element of another kind than expected")),
            None => Err(Malformed("a missing element")),
        }
    }
}

/// A signed integer of at most eight bytes (INTEGER and ENUMERATED).
pub fn integer(content: &[u8]) -> Result<i64, Malformed> {
    if content.is_empty() || content.len() > 8 {
        return Err(Malformed("an integer of no or too many bytes"));
    }
    let negative = content.first().is_some_and(|first| first & 0x80 != 0);
    let start = if negative { -1_i64 } else { 0 };
    Ok(content.iter().fold(start, |value, byte| (value << 8) | i64::from(*byte)))
}

/// Checks that everything constructed inside `content` is whole and nested at most `levels` deep, so that a parser that
/// recurses without a bound, or waits for bytes that never come, may be given it.
pub fn check_nesting(content: &[u8], levels: usize) -> Result<(), Malformed> {
    let mut open = vec![Reader::new(content)];
    while let Some(reader) = open.last_mut() {
        match reader.next_element()? {
            None => {
                open.pop();
            }
            Some(element) if element.tag & 0x20 != 0 => {
                if open.len() >= levels {
                    return Err(Malformed("nesting deeper than any LDAP message"));
                }
                open.push(Reader::new(element.content));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_read_in_every_length_form() {
        assert_eq!(header(&[0x30]), Ok(None));
        assert_eq!(header(&[0x30, 0x82, 1]), Ok(None));
        assert_eq!(header(&[0x30, 5]), Ok(Some(Header { tag: 0x30, prefix_len: 2, content_len: 5 })));
        assert_eq!(header(&[0x30, 0x82, 1, 1]), Ok(Some(Header { tag: 0x30, prefix_len: 4, content_len: 257 })));
        assert!(header(&[0x30, 0x80]).is_err());
        assert!(header(&[0x1f, 0x01]).is_err());
        assert!(header(&[0x30, 0x88, 1, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn an_inner_length_beyond_its_container_is_an_error_and_not_a_wait() {
        assert_eq!(Reader::new(&[0x04, 5, b'a']).next_element(), Err(Malformed("a length beyond its container")));
    }

    #[test]
    fn integers_keep_their_sign() {
        assert_eq!(integer(&[0xff]), Ok(-1));
        assert_eq!(integer(&[0x00, 0x80]), Ok(128));
        assert!(integer(&[]).is_err());
        assert!(integer(&[1; 9]).is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let mut nested = vec![0x04, 0];
        for _ in 0..20 {
            let length = u8::try_from(nested.len()).expect("short");
            nested.splice(0..0, [0x30, length]);
        }
        assert!(check_nesting(&nested, 30).is_ok());
        assert!(check_nesting(&nested, 16).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = header(&bytes);
            let _ = check_nesting(&bytes, 16);
            let mut reader = Reader::new(&bytes);
            while let Ok(Some(element)) = reader.next_element() {
                let _ = integer(element.content);
            }
        }
    }
}
