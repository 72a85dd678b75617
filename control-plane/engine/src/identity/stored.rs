//! A stored account as a view, to map it again without asking its directory.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foldhash::quality::RandomState;
use postern_store::{Account, Flavour, Switch};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::mapping::Mapping;
use super::mapping::rules::Rules;
use super::view::AttributeView;

/// The initial room for the names of an account's attributes.
const SHAPE_BYTES: usize = 256;

/// An account with its attributes.
#[derive(Debug)]
pub struct StoredAccount<'a> {
    account: &'a Account,
    external_id: String,
    attributes: Attributes<'a>,
}

impl<'a> StoredAccount<'a> {
    /// Reads the attributes of an account. `None`: they are not in the form of [`Mapping::attributes`].
    pub fn of(account: &'a Account) -> Option<Self> {
        let attributes = serde_json::from_str(&account.attributes).ok()?;
        Some(Self { account, external_id: account.external_key.to_text(), attributes })
    }

    /// The first value of the attribute of this standard name, in lower case. `None`: it has none, or it is no text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let is =
            |known: &str| postern_dn::attribute_names::standard_name(known).unwrap_or(known).eq_ignore_ascii_case(name);
        let (_, values) = self.attributes.0.iter().find(|(known, _)| is(known))?;
        values.first().and_then(|value| std::str::from_utf8(value.bytes()).ok()).map(str::to_owned)
    }

    /// The names of its attributes.
    pub(super) fn names(&self) -> Vec<&str> {
        self.attributes.0.iter().map(|(name, _)| &**name).collect()
    }

    /// Puts the standard names of its attributes into `names`, in lower case and without options, and with them.
    pub(crate) fn put_standard_names(&self, names: &mut BTreeSet<String>) {
        for name in self.names() {
            let (base, options) = name.split_at(name.find(';').unwrap_or(name.len()));
            let standard = postern_dn::attribute_names::standard_name(base).unwrap_or(base).to_ascii_lowercase();
            for name in [format!("{standard}{}", options.to_ascii_lowercase()), standard] {
                if !names.contains(&name) {
                    names.insert(name);
                }
            }
        }
    }

    /// What its mapping depends on: the names of its attributes, and which of them are binary.
    fn shape(&self) -> String {
        let mut shape = String::with_capacity(SHAPE_BYTES);
        for (place, (name, _)) in self.attributes.0.iter().enumerate() {
            shape.push_str(name);
            shape.push(if self.is_binary(place) { '\u{1}' } else { '\n' });
        }
        shape
    }

    /// Whether the values at this place were binary when they came.
    pub(super) fn is_binary(&self, place: usize) -> bool {
        let values = self.attributes.0.get(place).map_or(&[][..], |(_, values)| values);
        values.iter().any(|value| matches!(value, StoredValue::Bytes(_)))
            && !values.iter().any(|value| matches!(value, StoredValue::Text(_)))
    }

    /// The mapping for this account. Values that were binary when they came stay so, even if they look like text.
    pub fn mapping(&self, flavour: Flavour, rules: Option<&Arc<Rules>>) -> Mapping {
        let names = self.names();
        Mapping::new(flavour, &names).with_binary_places(|place| self.is_binary(place)).with_rules(rules, &names)
    }
}

impl AttributeView for StoredAccount<'_> {
    fn columns(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = &[u8]>)> {
        self.attributes.0.iter().enumerate().map(|(place, (_, values))| (place, values.iter().map(StoredValue::bytes)))
    }

    fn external_id(&self) -> &str {
        &self.external_id
    }

    fn dn(&self) -> Option<&str> {
        Some(&self.account.dn)
    }

    fn login(&self) -> Option<&str> {
        self.account.unique_value.as_deref()
    }

    fn switch(&self) -> Switch {
        self.account.switch
    }
}

/// The mappings for stored accounts, each made once: most accounts of a directory have the same attributes.
pub struct Mappings<'r> {
    flavour: Flavour,
    rules: Option<&'r Arc<Rules>>,
    known: HashMap<String, Mapping, RandomState>,
}

/// The most mappings that are kept.
const MAPPINGS: usize = 1_000;

impl<'r> Mappings<'r> {
    /// None yet.
    pub fn new(flavour: Flavour, rules: Option<&'r Arc<Rules>>) -> Self {
        Self { flavour, rules, known: HashMap::default() }
    }

    /// The mapping for an account.
    pub fn of(&mut self, account: &StoredAccount<'_>) -> &Mapping {
        let shape = account.shape();
        if self.known.len() >= MAPPINGS && !self.known.contains_key(&shape) {
            self.known.clear();
        }
        self.known.entry(shape).or_insert_with(|| account.mapping(self.flavour, self.rules))
    }
}

/// Names and values, in the entry's order: of two with equal rank the first counts.
#[derive(Debug)]
struct Attributes<'a>(Vec<(Cow<'a, str>, Vec<StoredValue<'a>>)>);

#[derive(Debug)]
enum StoredValue<'a> {
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}

impl StoredValue<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'de> Deserialize<'de> for Attributes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Attributes<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the attributes of an account")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Attributes<'de>, M::Error> {
        let mut attributes = Vec::new();
        while let Some((Name(name), values)) = map.next_entry()? {
            attributes.push((name, values));
        }
        Ok(Attributes(attributes))
    }
}

/// A text that is not copied where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value as written by `json`.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = StoredValue<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, or bytes in base64")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<StoredValue<'de>, E> {
        Ok(StoredValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StoredValue<'de>, E> {
        Ok(StoredValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<StoredValue<'de>, M::Error> {
        let Some((Name(key), Name(base64))) = map.next_entry()? else { return Err(M::Error::missing_field("base64")) };
        if key != "base64" || map.next_key::<Name<'_>>()?.is_some() {
            return Err(M::Error::missing_field("base64"));
        }
        STANDARD.decode(base64.as_bytes()).map(StoredValue::Bytes).map_err(M::Error::custom)
    }
}

impl<'de> Deserialize<'de> for StoredValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}
