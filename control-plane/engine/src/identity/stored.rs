//! A stored account as a view, to map it again without asking its directory.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_store::{Account, Flavour, Switch};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::mapping::Mapping;
use super::mapping::rules::Rules;
use super::view::AttributeView;

/// An account with its attributes.
#[derive(Debug)]
pub struct StoredAccount<'a> {
    account: &'a Account,
    external_id: String,
    attributes: Attributes,
}

impl<'a> StoredAccount<'a> {
    /// Reads the attributes of an account. `None`: they are not in the form of [`Mapping::attributes`].
    pub fn of(account: &'a Account) -> Option<Self> {
        let attributes = serde_json::from_str(&account.attributes).ok()?;
        Some(Self { account, external_id: account.external_key.to_text(), attributes })
    }

    /// The mapping for this account. Values that were binary when they came stay so, even if they look like text.
    pub fn mapping(&self, flavour: Flavour, rules: Option<&Arc<Rules>>) -> Mapping {
        let names: Vec<&str> = self.attributes.0.iter().map(|(name, _)| name.as_str()).collect();
        let binary = |place: usize| {
            let values = self.attributes.0.get(place).map_or(&[][..], |(_, values)| values);
            values.iter().any(|value| matches!(value, StoredValue::Bytes(_)))
                && !values.iter().any(|value| matches!(value, StoredValue::Text(_)))
        };
        Mapping::new(flavour, &names).with_binary_places(binary).with_rules(rules, &names)
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

/// Names and values, in the entry's order: of two with equal rank the first counts.
#[derive(Debug)]
struct Attributes(Vec<(String, Vec<StoredValue>)>);

#[derive(Debug)]
enum StoredValue {
    Text(String),
    Bytes(Vec<u8>),
}

impl StoredValue {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Attributes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the attributes of an account")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Attributes, M::Error> {
        let mut attributes = Vec::new();
        while let Some(attribute) = map.next_entry()? {
            attributes.push(attribute);
        }
        Ok(Attributes(attributes))
    }
}

/// A value as written by `json`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { base64: String },
}

impl<'de> Deserialize<'de> for StoredValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self::Text(text)),
            Written::Bytes { base64 } => STANDARD.decode(base64).map(Self::Bytes).map_err(D::Error::custom),
        }
    }
}
