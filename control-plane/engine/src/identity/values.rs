//! What the values of attributes mean: text, number, time and so on. The name of the attribute decides, never the bytes: an
//! employee number stays text even if it looks like a number.

mod flags;
mod ids;
mod syntax;
mod times;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub use self::flags::{FLAGS, SOURCES as FLAG_SOURCES, flag};
pub use self::syntax::{Syntax, primary_mail};
pub use self::times::{filetime, from_filetime, generalized_time, parse_generalized_time, written_time};

/// A value with its meaning. Clones share their text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing: the attribute is not there.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A number with decimal places.
    Decimal(f64),
    /// Text. GUIDs, SIDs and DNs are text in their usual form.
    Text(Arc<str>),
    /// A point in time.
    Time(Timestamp),
    /// Several values.
    List(Arc<Vec<Value>>),
    /// Values by name.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Value {
    /// Text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(text.as_ref()))
    }

    /// What it is called in errors.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) | Self::Decimal(_) => "a number",
            Self::Text(_) => "text",
            Self::Time(_) => "a time",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// Whether there is nothing in it: null, blank text, or an empty list or map.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Bool(_) | Self::Number(_) | Self::Decimal(_) | Self::Time(_) => false,
        }
    }

    /// The text of a single value. `None`: it is null, a list or a map.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Text(text) => Cow::Borrowed(&**text),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Decimal(number) => Cow::Owned(number.to_string()),
            Self::Time(time) => Cow::Owned(time.to_string()),
            Self::Null | Self::List(_) | Self::Map(_) => return None,
        })
    }

    /// As JSON. Times are text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => (*number).into(),
            Self::Decimal(number) => (*number).into(),
            Self::Text(text) => (&**text).into(),
            Self::Time(time) => time.to_string().into(),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Map(map) => map.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
