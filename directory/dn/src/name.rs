//! A name, its parts, and how it is written and compared.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

use crate::case;
use crate::prepare;

/// A distinguished name: relative names from the leaf to the root. `==` compares as a directory does.
#[derive(Clone, Debug)]
pub struct Dn {
    pub(super) rdns: Vec<Rdn>,
}

/// One relative distinguished name: one attribute and value, rarely several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rdn {
    pub(super) avas: Vec<Ava>,
}

/// An attribute and its value (`AttributeTypeAndValue`), as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ava {
    pub(super) attribute: String,
    pub(super) value: Value,
}

/// The value of one attribute in a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// Bytes that are not UTF-8.
    Octets(Vec<u8>),
    /// A whole BER element that is no string (from `#hex`).
    Encoded(Vec<u8>),
}

impl Dn {
    /// The relative names from the leaf to the root.
    pub fn rdns(&self) -> &[Rdn] {
        &self.rdns
    }

    /// Whether this is the root, the empty name.
    pub fn is_root(&self) -> bool {
        self.rdns.is_empty()
    }

    /// The name one level up; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.rdns.split_first()?;
        Some(Self { rdns: rest.to_vec() })
    }

    /// The empty name, above all others.
    pub fn root() -> Self {
        Self { rdns: Vec::new() }
    }

    /// The name right below this one, with one attribute and value as its relative name.
    #[must_use]
    pub fn child(&self, attribute: &str, value: &str) -> Self {
        let own = Rdn { avas: vec![Ava { attribute: attribute.to_owned(), value: Value::Text(value.to_owned()) }] };
        Self { rdns: std::iter::once(own).chain(self.rdns.iter().cloned()).collect() }
    }

    /// This name with another one above it: `ou=Sales` below `ou=people,dc=corp`.
    #[must_use]
    pub fn below(&self, container: &Self) -> Self {
        self.moved_below(self.rdns.len(), container)
    }

    /// The relative name of the entry itself; `None` for the root.
    pub fn leaf(&self) -> Option<Self> {
        Some(Self { rdns: vec![self.rdns.first()?.clone()] })
    }

    /// The name this many levels up; `None`: there are not as many.
    pub fn above(&self, levels: usize) -> Option<Self> {
        self.rdns.get(levels..).map(|rest| Self { rdns: rest.to_vec() })
    }

    /// The name with the first `levels` relative names of this one, below another.
    #[must_use]
    pub fn moved_below(&self, levels: usize, container: &Self) -> Self {
        Self { rdns: self.rdns.iter().take(levels).chain(&container.rdns).cloned().collect() }
    }

    /// The form in which equal names are equal texts: attribute types lower-cased and by their short names, values
    /// prepared as `caseIgnoreMatch` does, the parts of a multi-valued RDN sorted. It parses back to the same name.
    pub fn normalized(&self) -> String {
        self.compared(prepare::prepare)
    }

    /// The form in which names are equal texts if only case, escapes, the spaces around separators or the names of
    /// attribute types differ. `ß` and `ss`, zero-width characters, composed letters and spaces within a value make a
    /// difference, because servers keep such entries apart. It parses back to an equal name.
    pub fn case_folded(&self) -> String {
        self.compared(case::fold)
    }

    fn compared(&self, value: fn(&str) -> String) -> String {
        let mut out = String::new();
        for (position, rdn) in self.rdns.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            rdn.write(value, &mut out);
        }
        out
    }

    /// Whether this name is `base` or lies below it.
    pub fn is_within(&self, base: &Self) -> bool {
        let Some(skip) = self.rdns.len().checked_sub(base.rdns.len()) else { return false };
        self.rdns.iter().skip(skip).zip(&base.rdns).all(|(own, of_base)| own.normalized() == of_base.normalized())
    }
}

impl Rdn {
    /// The first value as text: the name by which people know the entry. `None`: it is not text.
    pub fn name(&self) -> Option<String> {
        let value = self.avas.first()?.value.as_bytes();
        std::str::from_utf8(value).ok().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The attributes and values of this relative name, as written.
    pub fn avas(&self) -> &[Ava] {
        &self.avas
    }

    /// Whether a directory compares them as equal.
    pub fn is_same(&self, other: &Self) -> bool {
        self.normalized() == other.normalized()
    }

    fn normalized(&self) -> String {
        let mut out = String::new();
        self.write(prepare::prepare, &mut out);
        out
    }

    /// Writes texts in the form that `value` makes of them.
    fn write(&self, value: fn(&str) -> String, out: &mut String) {
        if let [only] = self.avas.as_slice() {
            only.write(value, out);
            return;
        }
        let mut parts: Vec<String> = self
            .avas
            .iter()
            .map(|ava| {
                let mut part = String::new();
                ava.write(value, &mut part);
                part
            })
            .collect();
        parts.sort_unstable();
        out.push_str(&parts.join("+"));
    }
}

impl Ava {
    /// The attribute type as written: a name or a dotted OID.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    fn write(&self, value: fn(&str) -> String, out: &mut String) {
        prepare::write_attribute(&self.attribute, out);
        out.push('=');
        match &self.value {
            Value::Text(text) => write_escaped(&value(text), out),
            other => other.write(out),
        }
    }
}

impl Value {
    /// The value's bytes where it is text or octets.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Octets(bytes) | Self::Encoded(bytes) => bytes,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_escaped(text, out),
            Self::Octets(bytes) => {
                out.push_str("#04");
                write_hex(&ber_length(bytes.len()), out);
                write_hex(bytes, out);
            }
            Self::Encoded(bytes) => {
                out.push('#');
                write_hex(bytes, out);
            }
        }
    }
}

fn ber_length(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => vec![short],
        _ => {
            let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            let count = u8::try_from(digits.len()).unwrap_or(8);
            std::iter::once(0x80 | count).chain(digits).collect()
        }
    }
}

fn write_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

/// Writes a value's text with the escapes of RFC 4514 §2.4; control characters as hex pairs, so that a name never breaks
/// a line of a log.
fn write_escaped(text: &str, out: &mut String) {
    let last = text.len().saturating_sub(1);
    for (position, character) in text.char_indices() {
        match character {
            // RFC 4514 lets `=` stand as it is; Samba does not.
            '"' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '#' if position == 0 => out.push_str("\\#"),
            ' ' if position == 0 || position == last => out.push_str("\\ "),
            '\0'..='\x1f' | '\x7f' => {
                out.push('\\');
                write_hex(&[u8::try_from(character).unwrap_or_default()], out);
            }
            other => out.push(other),
        }
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        for (position, rdn) in self.rdns.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            for (part, ava) in rdn.avas.iter().enumerate() {
                if part > 0 {
                    out.push('+');
                }
                out.push_str(&ava.attribute);
                out.push('=');
                ava.value.write(&mut out);
            }
        }
        formatter.write_str(&out)
    }
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.rdns.len() == other.rdns.len() && self.is_within(other)
    }
}

impl Eq for Dn {}

impl Hash for Dn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normalized().hash(state);
    }
}
