//! Attributes that are never written as such: those of passwords and switches have operations of their own, and others
//! belong to the server or to the site.

use bytes::Bytes;

use super::syntax::Schema;
use super::work::Work;
use crate::failure::{Denied, Failure};
use crate::filter::is_attribute_description;
use crate::names::Names;

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

/// Attributes that give rights, or say who an entry is to those that give rights. They are nobody's to map.
const RIGHTS: &[&str] = &[
    // Active Directory
    "primarygroupid",
    "sidhistory",
    "objectsid",
    "admincount",
    "ntsecuritydescriptor",
    "msds-allowedtodelegateto",
    "msds-allowedtoactonbehalfofotheridentity",
    "msds-keycredentiallink",
    "msds-assignedauthnpolicy",
    "msds-assignedauthnpolicysilo",
    "msds-psoappliesto",
    "serviceprincipalname",
    "altsecurityidentities",
    "iscriticalsystemobject",
    "systemflags",
    // Access rules, roles and privileges of other servers, and who may act for whom
    "aci",
    "acl",
    "olcaccess",
    "openldapaci",
    "authzto",
    "authzfrom",
    "saslauthzto",
    "saslauthzfrom",
    "pwdpolicysubentry",
    "ds-pwp-password-policy-dn",
    "ds-privilege-name",
    "nsrole",
    "nsroledn",
    "nsrolefilter",
    "securityequals",
    "equivalenttome",
    "groupmembership",
    // Kerberos
    "krbprincipalname",
    "krbcanonicalname",
    "krbprincipalaliases",
    "krballowedtodelegateto",
    "krbpwdpolicyreference",
    "krbticketpolicyreference",
    "krbprincipalauthind",
    // Members by a search, and members of other kinds of group
    "memberurl",
    "dgidentity",
    "dgauthz",
    "roleoccupant",
    "nisnetgrouptriple",
    "membernisnetgroup",
    // sudo
    "sudouser",
    "sudohost",
    "sudocommand",
    "sudooption",
    "sudorunas",
    "sudorunasuser",
    "sudorunasgroup",
];

/// Numbers of which zero is the superuser or the superuser's group (RFC 2307).
const NUMBERS: &[&str] = &["uidnumber", "gidnumber"];

impl Work<'_> {
    /// Refuses an attribute that is not written as such, under any of its names.
    pub(crate) fn writable(&self, name: &str, wanted: &[Bytes]) -> Result<(), Failure> {
        writable(&self.session.names, &self.session.schema, name, wanted)
    }
}

fn writable(names: &Names, schema: &Schema, name: &str, wanted: &[Bytes]) -> Result<(), Failure> {
    if !is_attribute_description(name.as_bytes()) {
        return Err(Failure::invalid(name, "not an attribute name"));
    }
    if names.holds_secrets(name) {
        return Err(Failure::invalid(name, "it holds passwords or keys; passwords have an operation of their own"));
    }
    if names.stays(name) {
        // Whether a guess is right would show what the attribute has.
        let detail = Some(format!("{name:?} never leaves, so that no change compares or writes it"));
        return Err(Failure::Denied(Denied { rule: "excluded_attributes".to_owned(), detail, for_now: false }));
    }
    let base = name.split(';').next().unwrap_or_default();
    let is = |known: &str| base.eq_ignore_ascii_case(known) || schema.same(base, known);
    if let Some((_, operation)) = OWN_OPERATION.iter().find(|(known, _)| is(known)) {
        return Err(Failure::invalid(name, format!("it has an operation of its own: {operation}")));
    }
    if RIGHTS.iter().any(|known| is(known)) {
        return Err(Failure::invalid(name, "it gives rights, and is never written"));
    }
    if NUMBERS.iter().any(|known| is(known)) && wanted.iter().any(|value| is_root(value)) {
        return Err(Failure::invalid(name, "0 is the number of the superuser, and is never written"));
    }
    Ok(())
}

/// Whether a number is zero to systems that keep the last 32 bits of it.
fn is_root(value: &[u8]) -> bool {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<i128>().ok());
    number.is_some_and(|number| number.trailing_zeros() >= 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, wanted: &str) -> Option<Failure> {
        let names = Names::new(&[], &["uid"], &["homePhone".to_owned()]);
        writable(&names, &Schema::default(), name, &[Bytes::copy_from_slice(wanted.as_bytes())]).err()
    }

    #[test]
    fn attributes_that_give_rights_are_refused_in_any_spelling() {
        for name in ["authzTo", "saslAuthzFrom", "pwdPolicySubentry", "nsRoleDN", "SERVICEPRINCIPALNAME", "aci;x-y"] {
            let refused = refusal(name, "x");
            assert!(matches!(&refused, Some(Failure::Invalid { what, .. }) if what == name), "{name} {refused:?}");
        }
        assert_eq!(refusal("title", "x"), None);
    }

    #[test]
    fn nobody_becomes_the_superuser() {
        for zero in ["0", "000", "-0", " 0", "4294967296"] {
            assert!(refusal("uidNumber", zero).is_some() && refusal("gidnumber", zero).is_some(), "{zero}");
        }
        for other in ["1", "1000", "-1", "none"] {
            assert_eq!(refusal("uidNumber", other), None, "{other}");
        }
        assert_eq!(refusal("employeeNumber", "0"), None);
    }

    #[test]
    fn what_never_leaves_is_not_compared() {
        for name in ["homePhone", "HOMEPHONE;lang-de", "homeTelephoneNumber"] {
            let refused = refusal(name, "1");
            let denied = |denied: &Denied| denied.rule == "excluded_attributes" && !denied.for_now;
            assert!(matches!(&refused, Some(Failure::Denied(found)) if denied(found)), "{name} {refused:?}");
        }
    }
}
