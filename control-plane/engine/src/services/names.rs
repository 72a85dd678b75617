//! Names that people give to things.

use super::error::{Error, Result};

/// Longest name of a thing.
const MAX_CHARS: usize = 100;

/// The trimmed name. `field` is the input's field, for errors.
pub(super) fn valid(field: &str, name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS || name.chars().any(char::is_control) {
        return Err(Error::field(field, format!("it must be 1 to {MAX_CHARS} characters on one line")));
    }
    Ok(name.to_owned())
}
