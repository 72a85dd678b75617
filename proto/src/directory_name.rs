//! What a directory may be called. Both ends keep to it: a name that only one of them takes would be served by nobody.

/// The rule, for error messages and references.
pub const RULE: &str = "1 to 64 lower-case letters, digits, '-' or '_'";

const MAX_BYTES: usize = 64;

/// Whether this is the name of a directory.
#[must_use]
pub fn is_valid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= MAX_BYTES && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["corp", "a", "site-2_ldap", &"x".repeat(64)] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "Corp", "corp.example", "two words", "größe", "corp\n", &"x".repeat(65)] {
            assert!(!is_valid(name), "{name}");
        }
    }
}
