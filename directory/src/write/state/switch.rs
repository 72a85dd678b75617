//! Switches that are an attribute with a value.

use bytes::Bytes;

use crate::config::{DisableBy, WriteConfig};
use crate::write::request::Part;

/// The value by which password policy locks an account for good (draft-behera-ldap-password-policy §5.3.3).
pub(crate) const LOCKED_FOR_GOOD: &str = "000001010000Z";
/// A time in the past.
const LONG_AGO: &str = "19700101000000Z";

/// An attribute that keeps a user out.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) attribute: String,
    /// Its value while the user is kept out.
    pub(crate) off: Bytes,
    /// Its value while the user is let in. `None`: none.
    on: Option<Bytes>,
}

impl Switch {
    pub(crate) fn new(by: &DisableBy, write: &WriteConfig) -> Self {
        let (attribute, off, on) = match by {
            DisableBy::PasswordPolicy => ("pwdAccountLockedTime", LOCKED_FOR_GOOD, None),
            DisableBy::EndTime => ("pwdEndTime", LONG_AGO, None),
            DisableBy::Shell => ("loginShell", write.disabled_shell.as_str(), Some(write.enabled_shell.as_str())),
            DisableBy::Attribute { name, value } => (name.as_str(), value.as_str(), None),
        };
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Self { attribute: attribute.to_owned(), off: bytes(off), on: on.map(bytes) }
    }

    /// Whether these values keep the user out.
    pub(crate) fn is_off(&self, now: &[Bytes]) -> bool {
        now.iter().any(|value| value.eq_ignore_ascii_case(&self.off))
    }

    /// What turns the switch; nothing: it is as wanted.
    pub(crate) fn parts(&self, now: &[Bytes], on: bool) -> Vec<Part> {
        if on != self.is_off(now) {
            return Vec::new();
        }
        let name = || self.attribute.clone();
        let gone = (!now.is_empty()).then(|| Part::Delete(name(), now.to_vec()));
        let new = if on { self.on.clone() } else { Some(self.off.clone()) };
        gone.into_iter().chain(new.map(|value| Part::Add(name(), vec![value]))).collect()
    }
}

/// When an attribute was last written, as a number that grows, by `replPropertyMetaData` (MS-DRSR §4.1.10.3.9): a header
/// of 16 bytes with the count in its second half, then 48 bytes an attribute. The first four are its number, the next
/// four how often it was written, and the last eight the server's own count of changes by then.
pub(crate) fn written_at(changes: &[u8], attribute: u32) -> Option<u64> {
    let number =
        |bytes: &[u8], at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    let mut entries = changes.get(16..)?.chunks_exact(48);
    let found = entries
        .find(|entry| number(entry, 0) == Some(attribute) && number(entry, 4).is_some_and(|version| version > 0))?;
    Some(u64::from_le_bytes(found.get(40..48)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_turned_only_where_it_is_not_so_already() {
        let switch = Switch::new(&DisableBy::PasswordPolicy, &WriteConfig::default());
        let value = |text: &'static str| vec![Bytes::from_static(text.as_bytes())];
        let name = || "pwdAccountLockedTime".to_owned();
        assert!(switch.parts(&[], true).is_empty() && switch.parts(&value(LOCKED_FOR_GOOD), false).is_empty());
        assert_eq!(switch.parts(&[], false), [Part::Add(name(), value(LOCKED_FOR_GOOD))]);
        assert_eq!(switch.parts(&value(LOCKED_FOR_GOOD), true), [Part::Delete(name(), value(LOCKED_FOR_GOOD))]);
        let locked = value("20261128000000Z");
        assert!(switch.parts(&locked, true).is_empty(), "a lock for a time is no switch");
        let both = [Part::Delete(name(), locked.clone()), Part::Add(name(), value(LOCKED_FOR_GOOD))];
        assert_eq!(switch.parts(&locked, false), both);
    }

    #[test]
    fn a_shell_comes_back() {
        let switch = Switch::new(&DisableBy::Shell, &WriteConfig::default());
        let value = |text: &'static str| vec![Bytes::from_static(text.as_bytes())];
        let name = || "loginShell".to_owned();
        let off = [Part::Delete(name(), value("/bin/zsh")), Part::Add(name(), value("/usr/sbin/nologin"))];
        assert_eq!(switch.parts(&value("/bin/zsh"), false), off);
        let on = [Part::Delete(name(), value("/usr/sbin/nologin")), Part::Add(name(), value("/bin/bash"))];
        assert_eq!(switch.parts(&value("/usr/sbin/nologin"), true), on);
    }
}
