//! Rules for values that some servers keep and others do not: what Windows would refuse is refused here too, so that a
//! name that Samba takes works everywhere. Values get the form that the directory asks for.

use bytes::Bytes;

use super::syntax::Rule;
use super::values;
use super::work::Work;
use crate::error::Phase;
use crate::failure::Failure;

/// MS-SAMR §3.1.1.6: in no `sAMAccountName`.
const FORBIDDEN: &str = "\"/\\[]:;|=+*?<>,";
/// Characters of a user's `sAMAccountName`; longer ones cannot log on to older systems, and Windows refuses them.
const LONGEST_ACCOUNT_NAME: usize = 20;
const LONGEST_GROUP_NAME: usize = 256;
/// `rangeUpper` of `cn` (MS-ADA1 §2.110), in units of UTF-16. Samba does not keep it.
const LONGEST_COMMON_NAME: usize = 64;

impl Work<'_> {
    /// The values in the form of the attribute, each once.
    pub(crate) fn convert(&self, name: &str, rule: Rule, wanted: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
        let time = self.is_active_directory() && values::is_file_time(name);
        values::converted(rule, time, wanted).map_err(|reason| Failure::invalid(name, reason))
    }

    /// Whether an attribute has exactly these values, in any order.
    pub(crate) fn is_same(&self, name: &str, rule: Rule, one: &[Bytes], other: &[Bytes]) -> bool {
        let time = self.is_active_directory() && values::is_file_time(name);
        values::same(rule, one, other) || (time && values::never(one) && values::never(other))
    }

    /// Whether a name is one that every Active Directory takes.
    pub(crate) fn check_name(&self, name: &str, values: &[Bytes]) -> Result<(), Failure> {
        if !self.is_active_directory() {
            return Ok(());
        }
        let is = |known: &str| self.session.schema.same(name, known);
        for value in values {
            let text = std::str::from_utf8(value).map_err(|_| Failure::invalid(name, "not UTF-8 text"));
            let reason = match () {
                () if is("sAMAccountName") => account_name(text?, self.phase),
                () if is("cn") || is("name") || is("ou") => common_name(text?),
                () if is("userPrincipalName") => principal_name(text?),
                () => None,
            };
            if let Some(reason) = reason {
                return Err(Failure::invalid(name, reason));
            }
        }
        Ok(())
    }
}

fn account_name(text: &str, phase: Phase) -> Option<&'static str> {
    let longest = if phase == Phase::Users { LONGEST_ACCOUNT_NAME } else { LONGEST_GROUP_NAME };
    if text.encode_utf16().count() > longest {
        return Some(if phase == Phase::Users { "longer than 20 characters" } else { "longer than 256 characters" });
    }
    if text.chars().any(|character| FORBIDDEN.contains(character) || character.is_control()) {
        return Some("it has one of the characters \" / \\ [ ] : ; | = + * ? < > , or a control character");
    }
    text.ends_with('.').then_some("it ends with a dot")
}

fn common_name(text: &str) -> Option<&'static str> {
    (text.encode_utf16().count() > LONGEST_COMMON_NAME).then_some("longer than 64 characters")
}

fn principal_name(text: &str) -> Option<&'static str> {
    match text.rsplit_once('@') {
        Some((name, domain)) if !name.is_empty() && !domain.is_empty() && !name.contains('@') => None,
        _ => Some("it must have the form name@domain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_those_that_windows_takes() {
        for good in ["anna", "anna.bell", "Anna Bell", "änna", "a@b", "😀", "x".repeat(20).as_str()] {
            assert_eq!(account_name(good, Phase::Users), None, "{good}");
        }
        for bad in ["a/b", "a\\b", "a[b", "a:b", "a,b", "a\tb", "anna.", "x".repeat(21).as_str()] {
            assert!(account_name(bad, Phase::Users).is_some(), "{bad}");
        }
        assert_eq!(account_name(&"x".repeat(21), Phase::Groups), None);
        assert!(common_name(&"ä".repeat(64)).is_none() && common_name(&"😀".repeat(33)).is_some());
        assert!(principal_name("anna").is_some() && principal_name("anna@corp.example").is_none());
    }
}
