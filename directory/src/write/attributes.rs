//! The attributes of an entry as the server sent them.

use bytes::Bytes;

use super::syntax::Schema;
use crate::error::{Error, Step};
use crate::raw_entry::RawEntry;

/// Attributes as the server sent them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<(String, Vec<Bytes>)>);

impl Values {
    pub(crate) fn read(mut entry: RawEntry<'_>) -> Result<Self, Error> {
        let malformed = |source| Error::Malformed { step: Step::Search, source };
        let mut values = Vec::new();
        while let Some(attribute) = entry.next_attribute().map_err(malformed)? {
            values.push((attribute.description().to_owned(), attribute.values().map_err(malformed)?));
        }
        Ok(Self(values))
    }

    /// The values of an attribute by any of its names.
    pub(crate) fn of(&self, schema: &Schema, name: &str) -> &[Bytes] {
        self.0.iter().find(|(known, _)| schema.same(known, name)).map_or(&[], |(_, values)| values)
    }

    /// The first value of an attribute by its usual name, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, values) = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(values.first()?).ok()
    }

    /// The first value of an attribute by its usual name.
    pub(crate) fn first(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.first()
    }
}
