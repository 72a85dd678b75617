//! The names of attributes. One attribute has a name, maybe aliases, and an OID (RFC 4512 §2.5); a configuration may use
//! any of them, and a server answers by the one it likes. Here they are one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::attributes::{self, is_withheld};
use crate::flavour;
use crate::schema::{self, AttributeType};

/// Which names mean the same attribute: as the server's schema says, and by the standards where it says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Name or OID, lower-case, to the OID of the schema.
    schema: HashMap<Arc<str>, Arc<str>>,
    /// Attributes that never leave.
    withheld: HashSet<String>,
    /// Attributes that the site's policy keeps back.
    excluded: HashSet<String>,
    /// Attributes whose values are bytes by the server's schema.
    binary: HashSet<Arc<str>>,
    /// The server shows its schema.
    shown: bool,
}

impl Names {
    /// The names that a server's schema knows. Only attributes that the configuration or a rule of ours names are kept.
    pub(crate) fn new(schema: &[AttributeType], configured: &[&str], excluded: &[String]) -> Self {
        let ours = configured.iter().copied().chain(excluded.iter().map(String::as_str));
        let wanted = ours.map(base).chain(attributes::withheld_names().map(base));
        let wanted: HashSet<String> = wanted.chain(flavour::switches().map(base)).collect();
        let mut names = Self { shown: !schema.is_empty(), ..Self::default() };
        for kind in schema {
            if !wanted.contains(&*kind.oid) && !kind.names.iter().any(|name| wanted.contains(name)) {
                continue;
            }
            let oid: Arc<str> = kind.oid.as_str().into();
            names.schema.insert(Arc::clone(&oid), Arc::clone(&oid));
            if schema::is_binary(schema, kind) {
                names.binary.insert(Arc::clone(&oid));
            }
            for name in &kind.names {
                names.schema.insert(name.as_str().into(), Arc::clone(&oid));
            }
        }
        names.withheld = attributes::withheld_names().map(|name| names.attribute(name)).collect();
        names.excluded = excluded.iter().map(|name| names.attribute(name)).collect();
        names
    }

    /// Equal for two descriptions of the same attribute with the same options, in any order.
    pub(crate) fn key(&self, description: &str) -> String {
        let mut key = self.attribute(description);
        let options = description.split_once(';').map(|(_, options)| options.to_ascii_lowercase());
        let mut options: Vec<&str> = options.iter().flat_map(|options| options.split(';')).collect();
        options.sort_unstable();
        for option in options {
            key.push(';');
            key.push_str(option);
        }
        key
    }

    /// Equal for two names of the same attribute; options do not count.
    pub(crate) fn attribute(&self, description: &str) -> String {
        let base = base(description);
        match self.schema.get(base.as_str()) {
            Some(oid) => oid.as_ref().to_owned(),
            None => postern_dn::attribute_names::oid(&base).map_or(base, str::to_owned),
        }
    }

    /// Whether the server's schema has this attribute; nothing where the server does not show one. Asked of names
    /// only that the configuration or a rule of ours uses.
    pub(crate) fn in_schema(&self, description: &str) -> Option<bool> {
        self.shown.then(|| self.schema.contains_key(base(description).as_str()))
    }

    /// Whether the values of this attribute are bytes by the server's schema. Asked of names only that the configuration
    /// or a rule of ours uses.
    pub(crate) fn is_binary(&self, description: &str) -> bool {
        self.schema.get(base(description).as_str()).is_some_and(|oid| self.binary.contains(oid))
    }

    /// Whether this attribute holds passwords or keys, whatever the policy says.
    pub(crate) fn holds_secrets(&self, description: &str) -> bool {
        is_withheld(description) || self.withheld.contains(&self.attribute(description))
    }

    /// Whether the values of this attribute never leave: they are passwords or keys, or the policy says so.
    pub(crate) fn stays(&self, description: &str) -> bool {
        self.holds_secrets(description) || self.excluded.contains(&self.attribute(description))
    }
}

/// A name without options and in lower case; `OID.2.5.4.3` is the older spelling of an OID.
fn base(description: &str) -> String {
    let base = description.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match base.strip_prefix("oid.") {
        Some(oid) => oid.to_owned(),
        None => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(oid: &str, names: &[&str]) -> AttributeType {
        AttributeType {
            oid: oid.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            syntax: None,
            superior: None,
            single_value: false,
            equality: false,
        }
    }

    #[test]
    fn a_name_an_alias_and_an_oid_are_one_attribute() {
        let names = Names::default();
        for (one, other) in [
            ("mail", "rfc822Mailbox"),
            ("mail", "0.9.2342.19200300.100.1.3"),
            ("fax", "facsimileTelephoneNumber"),
            ("mobile", "mobileTelephoneNumber"),
            ("sn", "OID.2.5.4.4"),
            ("cn;lang-de;x-a", "commonName;X-A;lang-DE"),
            ("x-own", "X-Own"),
        ] {
            assert_eq!(names.key(one), names.key(other), "{one} {other}");
        }
        assert_ne!(names.key("cn;lang-de"), names.key("cn"));
        assert_eq!(names.attribute("cn;lang-de"), names.attribute("cn"));
    }

    #[test]
    fn the_schema_knows_more_names_and_knows_better() {
        let schema = [
            kind("1.2.3.4", &["badge", "employeebadge"]),
            kind("2.5.4.9", &["street"]),
            kind("1.2.840.113556.1.2.256", &["streetaddress"]),
        ];
        let configured = ["badge", "street", "streetAddress"];
        let names = Names::new(&schema, &configured, &["EmployeeBadge".to_owned()]);
        assert!(names.stays("badge") && names.stays("1.2.3.4") && names.stays("employeeBadge;x-old"));
        assert_ne!(names.key("street"), names.key("streetAddress"), "two attributes in Active Directory");
        assert_eq!(Names::default().key("street"), Names::default().key("streetAddress"));
    }

    #[test]
    fn an_alias_of_a_password_is_a_password() {
        let names = Names::new(&[kind("2.5.4.35", &["userpassword", "secretword"])], &["secretWord"], &[]);
        assert!(names.stays("secretWord") && names.stays("2.5.4.35") && !names.stays("cn"));
    }
}
