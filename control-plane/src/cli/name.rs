//! How an administrator names a resource: by its id, the beginning of its id, or its name. The control plane resolves
//! it; here it becomes a segment of a path.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// A name, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("it is empty".to_owned()),
            // Clients resolve these segments even if they are encoded.
            "." | ".." => Err("it is not a name".to_owned()),
            name => Ok(Self(name.to_owned())),
        }
    }
}

impl Name {
    /// As it was typed.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// As one segment of a path (RFC 3986, 3.3).
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                formatter.write_char(char::from(byte))?;
            } else {
                write!(formatter, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_it_holds() {
        for (text, part) in [
            ("0193541c-0000", "0193541c-0000"),
            (" first owner ", "first%20owner"),
            ("a/b?c#d%41", "a%2Fb%3Fc%23d%2541"),
            ("Jürgen", "J%C3%BCrgen"),
            ("CORP\\anna", "CORP%5Canna"),
        ] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), part);
        }
        for wrong in ["", "  ", ".", ".."] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
    }
}
