//! Attributes that are never written as such: those of passwords and switches have operations of their own, and others
//! belong to the server.

use super::work::Work;
use crate::failure::Failure;
use crate::filter::is_attribute_description;

/// Attributes with an operation of their own, in lower case, and its name.
const OWN_OPERATION: &[(&str, &str)] = &[
    ("useraccountcontrol", "enable, disable"),
    ("msds-useraccountdisabled", "enable, disable"),
    ("nsaccountlock", "enable, disable"),
    ("pwdaccountlockedtime", "enable, disable, unlock"),
    ("pwdendtime", "enable, disable"),
    ("logindisabled", "enable, disable"),
    ("ds-pwp-account-disabled", "enable, disable"),
    ("lockouttime", "unlock"),
    ("accountunlocktime", "unlock"),
    ("passwordretrycount", "unlock"),
    ("pwdfailuretime", "unlock"),
    ("pwdlastset", "set password"),
    ("pwdreset", "set password"),
    ("member", "members"),
    ("uniquemember", "members"),
    ("memberuid", "members"),
    ("memberof", "members, of the group"),
    ("ismemberof", "members, of the group"),
];

/// Attributes that give rights, and are nobody's to map.
const RIGHTS: &[&str] = &[
    "primarygroupid",
    "sidhistory",
    "objectsid",
    "admincount",
    "ntsecuritydescriptor",
    "aci",
    "acl",
    "olcaccess",
    "msds-allowedtodelegateto",
    "msds-allowedtoactonbehalfofotheridentity",
    "msds-keycredentiallink",
    "serviceprincipalname",
    "altsecurityidentities",
    "iscriticalsystemobject",
    "systemflags",
];

impl Work<'_> {
    /// Refuses an attribute that is not written as such, under any of its names.
    pub(crate) fn writable(&self, name: &str) -> Result<(), Failure> {
        if !is_attribute_description(name.as_bytes()) {
            return Err(Failure::invalid(name, "not an attribute name"));
        }
        if self.session.names.holds_secrets(name) {
            return Err(Failure::invalid(name, "it holds passwords or keys; passwords have an operation of their own"));
        }
        let base = name.split(';').next().unwrap_or_default();
        let is = |known: &str| base.eq_ignore_ascii_case(known) || self.session.schema.same(base, known);
        if let Some((_, operation)) = OWN_OPERATION.iter().find(|(known, _)| is(known)) {
            return Err(Failure::invalid(name, format!("it has an operation of its own: {operation}")));
        }
        if RIGHTS.iter().any(|known| is(known)) {
            return Err(Failure::invalid(name, "it gives rights, and is never written"));
        }
        Ok(())
    }
}
