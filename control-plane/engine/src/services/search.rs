//! The text of a search for users and groups.

use super::error::{Error, Result};

/// Longest text of a search.
const MAX_CHARS: usize = 200;

/// What a list of users or groups is searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search(Option<String>);

impl Search {
    /// Names that start with this text. `None`, or blank: all.
    pub fn new(text: Option<&str>) -> Result<Self> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        if text.is_some_and(|text| text.chars().count() > MAX_CHARS) {
            return Err(Error::query("query", format!("at most {MAX_CHARS} characters")));
        }
        Ok(Self(text.map(str::to_owned)))
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
