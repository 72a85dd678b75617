//! Search filters (RFC 4515): a check with the position of the first mistake, so that a bad filter is a configuration
//! error and not an import that fails at night; and escaping, so that no value ever becomes syntax.

use std::fmt::Write as _;

use thiserror::Error;

/// Deeper than any filter a person writes, shallow enough for parsers that recurse.
const MAX_DEPTH: usize = 32;

/// Why a text is no filter, and where (bytes from the start).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("not a search filter: {reason} at position {position}")]
pub struct FilterError {
    /// Byte offset in the text.
    pub position: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Checks that `text` is one filter of RFC 4515 §3, parentheses included.
pub fn validate(text: &str) -> Result<(), FilterError> {
    let mut parser = Parser { bytes: text.as_bytes(), position: 0 };
    parser.filter(0)?;
    match parser.peek() {
        None => Ok(()),
        Some(_) => parser.fail("text after the filter's end"),
    }
}

/// A value with everything escaped that would be syntax, or is not UTF-8 (RFC 4515 §3).
pub fn escape(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\0'..='\x1f' | '(' | ')' | '*' | '\\' | '\x7f' => {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\{:02x}", u32::from(character));
                }
                other => out.push(other),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\{byte:02x}");
        }
    }
    out
}

/// `(attribute=value)` with the value escaped.
pub fn equals(attribute: &str, value: &[u8]) -> String {
    format!("({attribute}={})", escape(value))
}

/// Both filters at once.
pub fn and(one: &str, other: &str) -> String {
    format!("(&{one}{other})")
}

struct Parser<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let found = self.bytes.get(self.position..).is_some_and(|rest| rest.starts_with(text));
        self.position += if found { text.len() } else { 0 };
        found
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, FilterError> {
        Err(FilterError { position: self.position, reason })
    }

    fn filter(&mut self, depth: usize) -> Result<(), FilterError> {
        if depth >= MAX_DEPTH {
            return self.fail("a filter nested too deeply");
        }
        if !self.take(b"(") {
            return self.fail("no opening parenthesis");
        }
        match self.peek() {
            Some(b'&' | b'|') => {
                self.position += 1;
                // RFC 4526: `(&)` is true and `(|)` is false.
                while self.peek() == Some(b'(') {
                    self.filter(depth + 1)?;
                }
            }
            Some(b'!') => {
                self.position += 1;
                self.filter(depth + 1)?;
            }
            _ => self.item()?,
        }
        if self.take(b")") { Ok(()) } else { self.fail("no closing parenthesis") }
    }

    fn item(&mut self) -> Result<(), FilterError> {
        let named = self.peek() != Some(b':');
        if named {
            self.attribute()?;
        }
        if self.peek() == Some(b':') {
            return self.extensible(named);
        }
        if self.take(b">=") || self.take(b"<=") || self.take(b"~=") {
            return self.value(false);
        }
        if self.take(b"=") { self.value(true) } else { self.fail("an attribute without `=`, `>=`, `<=`, `~=` or `:=`") }
    }

    fn extensible(&mut self, named: bool) -> Result<(), FilterError> {
        let dn = self.take(b":dn:");
        if dn {
            self.position -= 1;
        }
        let rule = self.peek() == Some(b':') && self.bytes.get(self.position + 1) != Some(&b'=');
        if rule {
            self.position += 1;
            self.attribute()?;
        }
        if !named && !rule {
            return self.fail("an extensible match with neither attribute nor rule");
        }
        if self.take(b":=") { self.value(false) } else { self.fail("an extensible match without `:=`") }
    }

    /// An attribute description: a name or dotted OID, and options.
    fn attribute(&mut self) -> Result<(), FilterError> {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._;".contains(&byte)) {
            self.position += 1;
        }
        let name = self.bytes.get(start..self.position).unwrap_or_default();
        if is_attribute_description(name) {
            return Ok(());
        }
        self.position = start;
        self.fail("no attribute name")
    }

    fn value(&mut self, substrings: bool) -> Result<(), FilterError> {
        let mut after_star = false;
        loop {
            match self.peek() {
                None | Some(b')') => return Ok(()),
                Some(b'(') => return self.fail("an unescaped parenthesis in a value (write \\28)"),
                Some(b'*') if !substrings => return self.fail("an unescaped asterisk in a value (write \\2a)"),
                Some(b'*') if after_star => return self.fail("two asterisks with nothing between them"),
                Some(0) => return self.fail("a NUL in a value (write \\00)"),
                Some(b'\\') => {
                    let pair = self.bytes.get(self.position + 1..self.position + 3).unwrap_or_default();
                    if pair.len() != 2 || !pair.iter().all(u8::is_ascii_hexdigit) {
                        return self.fail("a backslash without two hex digits (a backslash itself is \\5c)");
                    }
                    self.position += 3;
                    after_star = false;
                }
                Some(byte) => {
                    self.position += 1;
                    after_star = byte == b'*';
                }
            }
        }
    }
}

/// Whether this is an attribute description (RFC 4512 §2.5): a name or a dotted OID, and options.
pub(crate) fn is_attribute_description(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b';');
    let named = parts.next().is_some_and(|name| match name.first() {
        Some(first) if first.is_ascii_digit() => {
            name.split(|byte| *byte == b'.').all(|arc| !arc.is_empty() && arc.iter().all(u8::is_ascii_digit))
        }
        Some(first) if first.is_ascii_alphabetic() => {
            name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        }
        _ => false,
    });
    named
        && parts
            .all(|option| !option.is_empty() && option.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_that_people_write_are_accepted() {
        for text in [
            "(objectClass=inetOrgPerson)",
            "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
            "(|(cn=Babs J*)(cn=*Jens*)(sn=*))",
            "(cn:dn:2.4.6.8.10:=Dino)",
            "(:1.2.3:=Wilma Flintstone)",
            "(:dn:2.4.6.8.10:=Dino)",
            "(cn:caseExactMatch:=Fred)",
            "(cn;lang-de=Müller)",
            "(o=Parens R Us \\28for all your needs\\29)",
            "(seeAlso=)",
            "(uidNumber>=1000)",
            "(&)",
        ] {
            assert_eq!(validate(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_error_has_its_position() {
        for (text, position) in [
            ("", 0),
            ("objectClass=person", 0),
            ("(objectClass=person", 19),
            ("(objectClass=person))", 20),
            ("(&(a=b)(c=d)", 12),
            ("(=b)", 1),
            ("(a b=c)", 2),
            ("(a=\\zz)", 3),
            ("(a=b(c)", 4),
            ("(a>=b*)", 5),
            ("(a=**)", 4),
            ("(!a=b)", 2),
            ("(:=x)", 1),
        ] {
            assert_eq!(validate(text).expect_err(text).position, position, "{text}");
        }
        assert!(validate(&format!("{}(a=b){}", "(!".repeat(100), ")".repeat(100))).is_err());
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(equals("cn", b"a*(b)\\\0"), "(cn=a\\2a\\28b\\29\\5c\\00)");
        assert_eq!(escape(&[0xff, b'x']), "\\ffx");
        assert_eq!(escape("Müller".as_bytes()), "Müller");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = validate(&text);
        }

        #[test]
        fn no_value_becomes_syntax(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let escaped = escape(&value);
            prop_assert!(!escaped.contains(['(', ')', '*', '\0']));
            prop_assert_eq!(validate(&equals("cn", &value)), Ok(()));
            prop_assert_eq!(unescape(&escaped), value);
        }
    }

    fn unescape(text: &str) -> Vec<u8> {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'\\' => {
                    let pair = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                    u8::from_str_radix(std::str::from_utf8(&pair).expect("ASCII"), 16).expect("hex")
                }
                other => other,
            });
        }
        out
    }
}
