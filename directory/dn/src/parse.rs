//! The text form of a distinguished name, read: RFC 4514 §3 with what RFC 2253 §4 asks implementations to accept.

use std::str::FromStr;

use thiserror::Error;

use crate::ber;
use crate::name::{Ava, Dn, Rdn, Value};

/// Why a text is no distinguished name, and where (bytes from the start).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("not a distinguished name: {reason} at position {position}")]
pub struct ParseError {
    /// Byte offset in the text.
    pub position: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl Dn {
    /// Parses the text form of RFC 4514 §3, and of its predecessors (spaces around separators, `;`, quoted values), which
    /// servers still send. An empty text is the root.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse(text)
    }
}

impl FromStr for Dn {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn parse(text: &str) -> Result<Dn, ParseError> {
    let mut parser = Parser { bytes: text.as_bytes(), position: 0 };
    parser.skip_spaces();
    let mut rdns = Vec::new();
    if parser.peek().is_none() {
        return Ok(Dn { rdns });
    }
    loop {
        let mut avas = vec![parser.ava()?];
        while parser.take(b'+') {
            avas.push(parser.ava()?);
        }
        rdns.push(Rdn { avas });
        match parser.peek() {
            None => return Ok(Dn { rdns }),
            Some(b',' | b';') => parser.position += 1,
            Some(_) => return parser.fail("an unexpected character after a value"),
        }
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, ParseError> {
        Err(ParseError { position: self.position, reason })
    }

    fn ava(&mut self) -> Result<Ava, ParseError> {
        self.skip_spaces();
        let attribute = self.attribute()?;
        self.skip_spaces();
        if !self.take(b'=') {
            return self.fail("an attribute type without `=`");
        }
        self.skip_spaces();
        let value = match self.peek() {
            Some(b'#') => self.hex_value()?,
            Some(b'"') => self.quoted_value()?,
            _ => self.string_value()?,
        };
        self.skip_spaces();
        Ok(Ava { attribute, value })
    }

    fn attribute(&mut self) -> Result<String, ParseError> {
        if self.bytes.get(self.position..).is_some_and(|rest| rest.len() > 4 && rest[..4].eq_ignore_ascii_case(b"oid."))
        {
            self.position += 4;
        }
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')) {
            self.position += 1;
        }
        let name = self.bytes.get(start..self.position).unwrap_or_default();
        let well_formed = match name.first() {
            Some(first) if first.is_ascii_digit() => {
                name.split(|byte| *byte == b'.').all(|arc| !arc.is_empty() && arc.iter().all(u8::is_ascii_digit))
            }
            Some(first) if first.is_ascii_alphabetic() => !name.contains(&b'.'),
            _ => false,
        };
        if !well_formed {
            self.position = start;
            return self.fail("no attribute type");
        }
        // Only ASCII was let through.
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    fn hex_value(&mut self) -> Result<Value, ParseError> {
        self.position += 1;
        let mut encoded = Vec::new();
        while let Some(byte) = self.hex_pair() {
            encoded.push(byte);
            self.position += 2;
        }
        if encoded.is_empty() {
            return self.fail("`#` without pairs of hex digits");
        }
        Ok(decoded(encoded))
    }

    fn hex_pair(&self) -> Option<u8> {
        let high = hex_digit(self.peek()?)?;
        let low = hex_digit(*self.bytes.get(self.position + 1)?)?;
        Some(high << 4 | low)
    }

    /// After a backslash: a special character or a pair of hex digits.
    fn escaped(&mut self) -> Result<u8, ParseError> {
        if let Some(byte) = self.hex_pair() {
            self.position += 2;
            return Ok(byte);
        }
        match self.peek() {
            Some(byte @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\' | b'/')) => {
                self.position += 1;
                Ok(byte)
            }
            _ => self.fail("a backslash before neither a special character nor two hex digits"),
        }
    }

    fn quoted_value(&mut self) -> Result<Value, ParseError> {
        self.position += 1;
        let mut value = Vec::new();
        loop {
            let Some(byte) = self.peek() else { return self.fail("a quoted value without its end") };
            self.position += 1;
            match byte {
                b'"' => return Ok(text_or_octets(value)),
                b'\\' => value.push(self.escaped()?),
                other => value.push(other),
            }
        }
    }

    fn string_value(&mut self) -> Result<Value, ParseError> {
        let mut value = Vec::new();
        // Spaces at the end count only where they are escaped.
        let mut keep = 0;
        loop {
            match self.peek() {
                None | Some(b',' | b';' | b'+') => break,
                Some(b'\\') => {
                    self.position += 1;
                    value.push(self.escaped()?);
                    keep = value.len();
                }
                Some(b'"') => return self.fail("a quote within a value"),
                Some(0) => return self.fail("a NUL"),
                Some(byte) => {
                    self.position += 1;
                    value.push(byte);
                    if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                        keep = value.len();
                    }
                }
            }
        }
        value.truncate(keep);
        Ok(text_or_octets(value))
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn text_or_octets(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::Text(text),
        Err(error) => Value::Octets(error.into_bytes()),
    }
}

/// The string inside a `#hex` value where it holds a string type, so that `cn=#04024869` is `cn=Hi`.
fn decoded(encoded: Vec<u8>) -> Value {
    const UTF8_STRING: u8 = 0x0c;
    const PRINTABLE_STRING: u8 = 0x13;
    const IA5_STRING: u8 = 0x16;
    let mut reader = ber::Reader::new(&encoded);
    match reader.next_element() {
        Ok(Some(element)) if reader.is_empty() => match element.tag {
            ber::OCTET_STRING => text_or_octets(element.content.to_vec()),
            UTF8_STRING | PRINTABLE_STRING | IA5_STRING => match std::str::from_utf8(element.content) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Encoded(encoded),
            },
            _ => Value::Encoded(encoded),
        },
        _ => Value::Encoded(encoded),
    }
}
