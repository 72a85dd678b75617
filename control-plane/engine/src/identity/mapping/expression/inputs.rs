//! What expressions read: the attributes of an entry, each by its place.

use std::borrow::Cow;
use std::cell::Cell;

use super::bounds::MAX_VALUES;
use super::fault::Fault;
use crate::identity::values::{self, Syntax, Value};

/// Looking at a value costs as much as so many bytes, if it is shorter.
const LEAST: usize = 16;
/// What expressions read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The attributes of an entry.
    #[default]
    Entry,
    /// The fields of a user.
    User,
    /// The fields of a group.
    Group,
}

impl Scope {
    /// The fields that there are, beside further attributes of users. `None`: any attribute.
    pub(super) const fn fields(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Entry => None,
            Self::User => Some(&["user_name", "given_name", "family_name", "display_name", "email", "active"]),
            Self::Group => Some(&["display_name", "description"]),
        }
    }
}

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
    /// Whether it makes names that nobody else has; since [`Slots::take_unique`].
    unique: bool,
    scope: Scope,
}

impl Slots {
    /// For expressions that read something else than entries.
    pub fn of(&mut self, scope: Scope) -> &mut Self {
        self.scope = scope;
        self
    }

    /// What the expression that is compiled now reads.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// The place of a field of a user or group.
    pub(super) fn field(&mut self, name: &str) -> usize {
        self.put(name.to_owned(), Syntax::Text)
    }

    /// The place of an attribute; it gets one if it has none.
    pub(super) fn place(&mut self, name: &str) -> usize {
        let (base, options) = name.split_once(';').map_or((name, None), |(base, options)| (base, Some(options)));
        let base = postern_dn::attribute_names::standard_name(base).unwrap_or(base).to_ascii_lowercase();
        let syntax = Syntax::of(&base);
        let name = options.map_or_else(|| base.clone(), |options| format!("{base};{}", options.to_ascii_lowercase()));
        self.put(name, syntax)
    }

    fn put(&mut self, name: String, syntax: Syntax) -> usize {
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

    pub(super) const fn note_unique(&mut self) {
        self.unique = true;
    }

    /// Whether a name that nobody else has was asked for since the last time.
    pub(super) fn take_unique(&mut self) -> bool {
        std::mem::take(&mut self.unique)
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
    /// The fields of a user or group, by their places. Empty: it is an entry.
    pub given: &'e [Value],
    /// Which of the names that `unique` makes: 0 is the name itself, then it has a number.
    pub choice: u32,
}

impl<'e> Inputs<'e> {
    /// The fields of a user or group.
    pub fn given(slots: &'e Slots, given: &'e [Value]) -> Self {
        let (values, binary) = (Vec::new(), Cow::Borrowed(&[][..]));
        Self { slots, values, binary, dn: None, external_id: "", login: None, given, choice: 0 }
    }

    fn of(&self, place: usize) -> (&'e str, Syntax, &[&'e [u8]]) {
        let Some(slot) = self.slots.all.get(place) else { return ("", Syntax::Text, &[]) };
        let binary = self.binary.get(place).copied().unwrap_or_default();
        let syntax = if binary && slot.syntax == Syntax::Text { Syntax::Bytes } else { slot.syntax };
        (&slot.name, syntax, self.values.get(place).map_or(&[], Vec::as_slice))
    }

    /// The first value of an attribute that says something, and how many bytes were read to find it.
    pub fn first(&self, place: usize) -> (usize, Result<Value, Fault>) {
        if let Some(given) = self.given.get(place) {
            return (weight(given), Ok(given.clone()));
        }
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
        if let Some(given) = self.given.get(place) {
            return given.clone();
        }
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

/// What it costs to look at a field of a user or group.
fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len().max(LEAST),
        Value::List(values) => values.iter().map(weight).sum(),
        _ => LEAST,
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
