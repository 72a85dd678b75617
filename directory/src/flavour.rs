//! The rules that differ between directory servers: how to recognise them, the permanent id of an entry, and defaults.

mod active_directory;
mod ds389;
mod external_id;
mod general;
mod switches;

use std::fmt;

pub use self::external_id::external_id;
pub(crate) use self::external_id::external_id_filter;
pub use self::switches::Switch;
pub(crate) use self::switches::{Inactivity, Needed, Reading, generalized_time};
use serde::{Deserialize, Serialize};

use crate::error::Phase;
use crate::root_dse::RootDse;

/// `LDAP_CAP_ACTIVE_DIRECTORY_OID` and `LDAP_CAP_ACTIVE_DIRECTORY_ADAM_OID` (MS-ADTS §3.1.1.3.4.3).
const ACTIVE_DIRECTORY: [&str; 2] = ["1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1851"];

/// A kind of directory server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavour {
    /// Active Directory, AD LDS, and Samba as a domain controller.
    ActiveDirectory,
    /// OpenLDAP.
    #[serde(rename = "openldap")]
    OpenLdap,
    /// 389 Directory Server and its relatives.
    Ds389,
    /// Any other LDAP v3 server.
    Generic,
}

impl RootDse {
    /// What kind of directory this is.
    pub fn flavour(&self) -> Flavour {
        Flavour::detect(self)
    }
}

impl Flavour {
    /// Every flavour.
    pub const ALL: [Self; 4] = [Self::ActiveDirectory, Self::OpenLdap, Self::Ds389, Self::Generic];

    /// Finds the flavour in the root DSE of a server.
    pub fn detect(root: &RootDse) -> Self {
        if root.supported_capabilities.iter().any(|capability| ACTIVE_DIRECTORY.contains(&capability.as_str())) {
            return Self::ActiveDirectory;
        }
        if root.object_classes.iter().any(|class| class.eq_ignore_ascii_case("OpenLDAProotDSE")) {
            return Self::OpenLdap;
        }
        let vendor = [root.vendor_name.as_deref(), root.vendor_version.as_deref()].map(Option::unwrap_or_default);
        match vendor.map(str::to_ascii_lowercase) {
            words if words.iter().any(|word| word.contains("389")) => Self::Ds389,
            words if words.iter().any(|word| word.contains("openldap")) => Self::OpenLdap,
            _ => Self::Generic,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic LDAP",
            Self::ActiveDirectory => "Active Directory",
            Self::OpenLdap => "OpenLDAP",
            Self::Ds389 => "389 Directory Server",
        }
    }

    /// The word for it on the wire and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "active_directory",
            Self::OpenLdap => "openldap",
            Self::Ds389 => "ds389",
            Self::Generic => "generic",
        }
    }

    /// The attribute that names an entry for ever, whatever it is renamed to.
    pub fn external_id_attribute(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "objectGUID",
            Self::OpenLdap | Self::Generic => "entryUUID",
            Self::Ds389 => "nsUniqueId",
        }
    }

    /// Which entries are users where the configuration does not say.
    pub fn user_filter(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
            // `dsidm` makes users of the classes nsPerson and posixAccount.
            Self::Ds389 => "(|(objectClass=inetOrgPerson)(objectClass=nsPerson)(objectClass=posixAccount))",
            Self::OpenLdap | Self::Generic => "(objectClass=inetOrgPerson)",
        }
    }

    /// Which entries are groups where the configuration does not say.
    pub fn group_filter(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "(objectClass=group)",
            Self::OpenLdap | Self::Ds389 | Self::Generic => {
                "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
            }
        }
    }

    /// What is asked for beside the configured attributes, listed or not: what says whether somebody is let in, and what
    /// an entry is. Only what the configuration lists and the policy allows is kept.
    pub(crate) fn needed(self, phase: Phase) -> &'static [&'static str] {
        match (self, phase) {
            (Self::ActiveDirectory, Phase::Users) => active_directory::USERS,
            (Self::ActiveDirectory, Phase::Groups) => active_directory::GROUPS,
            (Self::Ds389, Phase::Users) => ds389::USERS,
            (Self::OpenLdap | Self::Generic, Phase::Users) => general::USERS,
            (_, Phase::Groups) => general::GROUPS,
        }
    }

    /// The switches that a user normally has no value of, so that a hidden one looks as an absent one.
    pub(crate) fn hideable(self) -> &'static [&'static str] {
        match self {
            Self::ActiveDirectory => &[],
            Self::Ds389 => &["nsAccountLock"],
            Self::OpenLdap | Self::Generic => general::hideable(),
        }
    }

    /// Which of these an entry shows no value of, a bit each.
    pub(crate) fn absent(self, needed: &Needed<'_>) -> u8 {
        match self {
            Self::ActiveDirectory => 0,
            Self::Ds389 => u8::from(!needed.has("nsAccountLock")),
            Self::OpenLdap | Self::Generic => general::absent(needed),
        }
    }

    /// Whether the directory lets a user in, as far as the entry says.
    pub(crate) fn switch(self, needed: &Needed<'_>) -> Reading {
        match self {
            Self::ActiveDirectory => active_directory::switch(needed),
            Self::Ds389 => ds389::switch(needed),
            Self::OpenLdap | Self::Generic => general::switch(needed),
        }
    }

    /// Since when the user has not signed in, where a policy turns such users off.
    pub(crate) fn inactivity(self, needed: &Needed<'_>) -> Option<Inactivity> {
        (self == Self::Ds389).then(|| ds389::inactivity(needed)).flatten()
    }

    /// Whether attributes with very many values come in ranges (MS-ADTS §3.1.1.3.1.3.3).
    pub(crate) fn has_ranges(self) -> bool {
        self == Self::ActiveDirectory
    }
}

/// All switches that a user normally has no value of, of any flavour.
pub(crate) fn switches() -> impl Iterator<Item = &'static str> {
    Flavour::ALL.into_iter().flat_map(|flavour| flavour.hideable().iter().copied())
}

impl fmt::Display for Flavour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavours_are_found_in_the_root_dse() {
        let mut root = RootDse { vendor_name: Some("389 Project".to_owned()), ..RootDse::default() };
        assert_eq!(root.flavour(), Flavour::Ds389);
        root.object_classes = vec!["top".to_owned(), "OpenLDAProotDSE".to_owned()];
        assert_eq!(root.flavour(), Flavour::OpenLdap);
        root.supported_capabilities = vec!["1.2.840.113556.1.4.800".to_owned()];
        assert_eq!(root.flavour(), Flavour::ActiveDirectory);
        assert_eq!(RootDse::default().flavour(), Flavour::Generic);
    }
}
