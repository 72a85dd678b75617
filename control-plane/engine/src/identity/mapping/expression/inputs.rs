//! What expressions read: the attributes of an entry, each by its place.

use std::borrow::Cow;
use std::cell::Cell;

use super::bounds::MAX_VALUES;
use super::fault::Fault;
use crate::identity::values::{self, Syntax, Value};

/// Looking at a value costs as much as so many bytes, if it is shorter.
const LEAST: usize = 16;

/// An attribute that expressions read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its standard name in lower case, with its options if the expression names some.
    pub name: String,
    /// How its values are read.
    pub syntax: Syntax,
}

/// The attributes that a set of expressions reads.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    all: Vec<Slot>,
    /// Those that were asked for since [`Slots::take_read`].
    read: Vec<usize>,
}

impl Slots {
    /// The place of an attribute; it gets one if it has none.
    pub(super) fn place(&mut self, name: &str) -> usize {
        let (base, options) = name.split_once(';').map_or((name, None), |(base, options)| (base, Some(options)));
        let base = postern_dn::attribute_names::standard_name(base).unwrap_or(base).to_ascii_lowercase();
        let syntax = Syntax::of(&base);
        let name = options.map_or_else(|| base.clone(), |options| format!("{base};{}", options.to_ascii_lowercase()));
        let place = self.all.iter().position(|slot| slot.name == name).unwrap_or_else(|| {
            self.all.push(Slot { name, syntax });
            self.all.len() - 1
        });
        if !self.read.contains(&place) {
            self.read.push(place);
        }
        place
    }

    /// The places that were asked for since the last time.
    pub(super) fn take_read(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.read)
    }

    /// The attributes, by their places.
    pub fn all(&self) -> &[Slot] {
        &self.all
    }
}

/// The values of an entry that expressions read.
#[derive(Debug)]
pub struct Inputs<'e> {
    /// The attributes.
    pub slots: &'e Slots,
    /// The values of each, by its place.
    pub values: Vec<Vec<&'e [u8]>>,
    /// Whether the values of each are bytes.
    pub binary: Cow<'e, [bool]>,
    /// The DN.
    pub dn: Option<&'e str>,
    /// The external id.
    pub external_id: &'e str,
    /// The login.
    pub login: Option<&'e str>,
}

impl<'e> Inputs<'e> {
    fn of(&self, place: usize) -> (&'e str, Syntax, &[&'e [u8]]) {
        let Some(slot) = self.slots.all.get(place) else { return ("", Syntax::Text, &[]) };
        let binary = self.binary.get(place).copied().unwrap_or_default();
        let syntax = if binary && slot.syntax == Syntax::Text { Syntax::Bytes } else { slot.syntax };
        (&slot.name, syntax, self.values.get(place).map_or(&[], Vec::as_slice))
    }

    /// The first value of an attribute that says something, and how many bytes were read to find it.
    pub fn first(&self, place: usize) -> (usize, Result<Value, Fault>) {
        let (name, syntax, values) = self.of(place);
        let mut read = 0;
        let found = values.iter().find(|value| {
            read += value.len().max(LEAST);
            says_something(syntax, value)
        });
        (read, found.map_or(Ok(Value::Null), |value| typed(name, syntax, value)))
    }

    /// How many values an attribute has, and their bytes. Only so many can be read.
    pub fn weight(&self, place: usize) -> Result<(usize, usize), Fault> {
        let (name, _, values) = self.of(place);
        if values.len() > MAX_VALUES {
            let count = values.len();
            return Err(Fault::new(0, format!("{name} has {count} values, and a rule can read {MAX_VALUES} of them")));
        }
        Ok((values.len(), values.iter().map(|value| value.len()).sum()))
    }

    /// The bytes of the first value of an attribute.
    pub fn first_len(&self, place: usize) -> usize {
        self.of(place).2.first().map_or(0, |value| value.len())
    }

    /// All values of an attribute that say something.
    pub fn all(&self, place: usize) -> Result<Vec<Value>, Fault> {
        self.weight(place)?;
        let (name, syntax, values) = self.of(place);
        values.iter().filter(|value| says_something(syntax, value)).map(|value| typed(name, syntax, value)).collect()
    }

    /// The first value of an attribute as it is: text, or base64.
    pub fn raw(&self, place: usize) -> Value {
        let (_, syntax, values) = self.of(place);
        let as_is = if matches!(syntax, Syntax::Guid | Syntax::Sid) { Syntax::Bytes } else { Syntax::Text };
        let as_is = if syntax == Syntax::Bytes { syntax } else { as_is };
        values.first().and_then(|value| as_is.read(value)).unwrap_or_default()
    }

    /// The primary address among the values of an attribute.
    pub fn primary_mail(&self, place: usize) -> Value {
        let (.., values) = self.of(place);
        values::primary_mail(values.iter().copied()).map_or(Value::Null, Value::text)
    }

    /// A flag by its name, and how many bytes were read for it.
    pub fn flag(&self, name: &str) -> (usize, Value) {
        let read = Cell::new(0);
        let value = values::flag(name, |wanted| {
            let place = self.slots.all.iter().position(|slot| slot.name == wanted)?;
            read.set(read.get() + self.first_len(place));
            let (.., values) = self.of(place);
            values.first().and_then(|value| std::str::from_utf8(value).ok())
        });
        (read.get(), value)
    }
}

/// Whether a value is more than blanks. Bytes have no meaning, only their raw form: so the default mapping sees it, too.
pub fn says_something(syntax: Syntax, value: &[u8]) -> bool {
    match syntax {
        Syntax::Bytes => false,
        Syntax::Guid | Syntax::Sid => true,
        _ => std::str::from_utf8(value).is_ok_and(|text| !text.trim().is_empty() && !text.contains('\0')),
    }
}

fn typed(name: &str, syntax: Syntax, value: &[u8]) -> Result<Value, Fault> {
    syntax.read(value).ok_or_else(|| Fault::new(0, format!("a value of {name} is not {}", syntax.name())))
}
