//! The switch that a site has chosen itself, in `[directory.write] disable`: who is disabled by it is also read as
//! disabled.

use crate::config::{DirectoryConfig, DisableBy};
use crate::flavour::{Flavour, Switch, generalized_time};
use crate::names::Names;
use crate::raw_entry::RawEntry;

/// An attribute that keeps a user out, and by which value.
#[derive(Clone, Debug)]
pub(crate) struct OffBy {
    pub(crate) attribute: String,
    /// `None`: it is a time after which the user is kept out.
    value: Option<String>,
}

impl OffBy {
    /// What the configuration says. `None`: the switches of the server are all there is.
    pub(crate) fn of(config: &DirectoryConfig, flavour: Flavour) -> Option<Self> {
        if flavour == Flavour::ActiveDirectory {
            return None;
        }
        let write = config.write.as_ref()?;
        let of = |attribute: &str, value: Option<&str>| {
            Some(Self { attribute: attribute.to_owned(), value: value.map(str::to_owned) })
        };
        match write.disable.as_ref()? {
            DisableBy::PasswordPolicy => None,
            DisableBy::EndTime => of("pwdEndTime", None),
            DisableBy::Shell => of("loginShell", Some(&write.disabled_shell)),
            DisableBy::Attribute { name, value } => of(name, Some(value)),
        }
    }

    /// What it says of an entry. An attribute that has no value, or that we may not read, says nothing.
    pub(crate) fn read(&self, mut entry: RawEntry<'_>, names: &Names) -> Switch {
        let own = names.key(&self.attribute);
        while let Ok(Some(attribute)) = entry.next_attribute() {
            if names.key(attribute.description()) != own {
                continue;
            }
            let Ok(values) = attribute.values() else { return Switch::Unknown };
            let said = |value: &[u8]| match (&self.value, std::str::from_utf8(value)) {
                (Some(off), Ok(text)) => {
                    if text.eq_ignore_ascii_case(off) {
                        Switch::Off
                    } else {
                        Switch::On
                    }
                }
                (Some(_), Err(_)) => Switch::On,
                (None, text) => text.ok().and_then(generalized_time).map_or(Switch::Unknown, Switch::OnUntil),
            };
            let all: Vec<Switch> = values.iter().map(|value| said(value)).collect();
            return all.iter().copied().find(|switch| *switch != Switch::On).unwrap_or(Switch::On);
        }
        Switch::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_entry::tests::message;

    fn read(attribute: &str, off: Option<&str>, values: &[&[u8]]) -> Switch {
        let by = OffBy { attribute: attribute.to_owned(), value: off.map(str::to_owned) };
        let message = message(b"uid=a,dc=x", &[("cn", &[b"a"]), (attribute, values)]);
        by.read(RawEntry::parse(&message).expect("an entry"), &Names::default())
    }

    #[test]
    fn the_sites_own_switch_is_read() {
        assert_eq!(read("employeeType", Some("left"), &[b"staff", b"LEFT"]), Switch::Off);
        assert_eq!(read("employeeType", Some("left"), &[b"staff"]), Switch::On);
        assert_eq!(read("employeeType", Some("left"), &[]), Switch::On);
        assert_eq!(read("pwdEndTime", None, &[b"19700101000001Z"]), Switch::OnUntil(1));
        assert_eq!(read("pwdEndTime", None, &[b"soon"]), Switch::Unknown);
    }
}
