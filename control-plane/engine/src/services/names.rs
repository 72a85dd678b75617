//! Names that people give to things.

use postern_runtime::plain::unseen_in;

use super::error::{Error, Result};

/// Longest name of a thing.
const MAX_CHARS: usize = 100;

/// The trimmed name. `field` is the input's field, for errors.
pub(super) fn valid(field: &str, name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS || name.chars().any(char::is_control) {
        return Err(Error::field(field, format!("it must be 1 to {MAX_CHARS} characters on one line")));
    }
    seen(field, name)?;
    Ok(name.to_owned())
}

/// Fails if a name has a character that people do not see.
pub(super) fn seen(field: &str, name: &str) -> Result<()> {
    unseen_in(name).map_or(Ok(()), |rule| Err(Error::field(field, rule)))
}
