//! What the server's schema says of an attribute that is written: the form of its values, and whether it takes several.

use std::collections::HashMap;

use super::gate::Written;
use crate::flavour::Flavour;
use crate::schema::{self, AttributeType};
use postern_dn::attribute_names::{oid, standard_name};

/// The attributes of a server's schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// By name and OID, in lower case.
    places: HashMap<Box<str>, u32>,
    rules: Vec<Rule>,
    /// All names of each attribute, its OID last.
    names: Vec<Vec<Box<str>>>,
}

/// What counts for one attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rule {
    pub(crate) form: Form,
    /// It takes one value at most.
    pub(crate) single: bool,
    /// Single values can be deleted, because the server can compare them.
    pub(crate) comparable: bool,
}

/// The form of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Text, or what is written as text.
    Text,
    /// `TRUE` or `FALSE`.
    Boolean,
    /// A whole number.
    Integer,
    /// Generalized time (RFC 4517 §3.3.13).
    Time,
    /// A distinguished name.
    Dn,
    /// Bytes.
    Bytes,
}

const UNKNOWN: Rule = Rule { form: Form::Text, single: false, comparable: true };

impl Schema {
    pub(crate) fn new(kinds: &[AttributeType], flavour: Flavour) -> Self {
        let mut schema = Self::default();
        for kind in kinds {
            let place = u32::try_from(schema.rules.len()).unwrap_or(u32::MAX);
            let syntax = schema::syntax_of(kinds, kind);
            schema.rules.push(Rule {
                form: syntax.map_or(Form::Text, form),
                single: kind.single_value,
                comparable: flavour == Flavour::ActiveDirectory || schema::is_comparable(kinds, kind),
            });
            let names: Vec<Box<str>> = kind.names.iter().chain([&kind.oid]).map(|name| name.as_str().into()).collect();
            schema.places.extend(names.iter().map(|name| (name.clone(), place)));
            schema.names.push(names);
        }
        schema
    }

    /// What counts for an attribute; of one that the schema does not show, nothing is assumed.
    pub(crate) fn rule(&self, name: &str) -> Rule {
        self.place(name).and_then(|place| self.rules.get(place as usize)).copied().unwrap_or(UNKNOWN)
    }

    /// An attribute by every name that it has.
    pub(crate) fn written(&self, description: &str) -> Written {
        let base = base(description);
        let of_schema = self.place(description).and_then(|place| self.names.get(place as usize));
        let mut names: Vec<String> = of_schema.into_iter().flatten().map(ToString::to_string).collect();
        // The schema knows better: in Active Directory, `street` and `streetAddress` are two.
        if names.is_empty() {
            names.extend([standard_name(&base), oid(&base)].into_iter().flatten().map(str::to_owned));
            names.push(base);
        }
        Written { description: description.to_owned(), names }
    }

    /// Whether the schema has this attribute.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Whether two descriptions mean the same attribute with the same options.
    pub(crate) fn same(&self, one: &str, other: &str) -> bool {
        if one.eq_ignore_ascii_case(other) {
            return true;
        }
        let options = |text: &str| text.split_once(';').map(|(_, options)| options.to_ascii_lowercase());
        options(one) == options(other)
            && match (self.place(one), self.place(other)) {
                (Some(one), Some(other)) => one == other,
                _ => base(one) == base(other),
            }
    }

    fn place(&self, name: &str) -> Option<u32> {
        self.places.get(base(name).as_str()).copied()
    }
}

/// A name without its options, in lower case.
fn base(description: &str) -> String {
    description.split(';').next().unwrap_or_default().to_ascii_lowercase()
}

/// RFC 4517 §3.3 and MS-ADTS §3.1.1.2.2.2.
fn form(syntax: &str) -> Form {
    match syntax {
        "1.3.6.1.4.1.1466.115.121.1.7" => Form::Boolean,
        "1.3.6.1.4.1.1466.115.121.1.27" | "1.2.840.113556.1.4.906" => Form::Integer,
        "1.3.6.1.4.1.1466.115.121.1.24" => Form::Time,
        "1.3.6.1.4.1.1466.115.121.1.12" => Form::Dn,
        other if schema::is_binary_syntax(other) => Form::Bytes,
        _ => Form::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(flavour: Flavour) -> Schema {
        let kinds: Vec<AttributeType> = [
            "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
            "( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )",
            "( 0.9.2342.19200300.100.1.60 NAME 'jpegPhoto' SYNTAX 1.3.6.1.4.1.1466.115.121.1.28 )",
            "( 1.2.840.113556.1.4.159 NAME 'accountExpires' SYNTAX '1.2.840.113556.1.4.906' SINGLE-VALUE )",
            "( 1.1 NAME 'shown' SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 )",
        ]
        .into_iter()
        .filter_map(schema::parse)
        .collect();
        Schema::new(&kinds, flavour)
    }

    #[test]
    fn the_schema_says_how_an_attribute_is_written() {
        let schema = schema(Flavour::OpenLdap);
        assert_eq!(schema.rule("SN;lang-de"), Rule { form: Form::Text, single: false, comparable: true });
        assert!(!schema.rule("jpegPhoto").comparable, "no equality rule: it can only be replaced");
        assert_eq!(schema.rule("jpegPhoto").form, Form::Bytes);
        assert_eq!(schema.rule("accountExpires"), Rule { form: Form::Integer, single: true, comparable: false });
        assert_eq!(schema.rule("shown").form, Form::Boolean);
        assert_eq!(schema.rule("unheard"), UNKNOWN);
        assert!(super::tests::schema(Flavour::ActiveDirectory).rule("accountExpires").comparable);
    }

    #[test]
    fn the_site_knows_an_attribute_by_any_of_its_names() {
        let schema = schema(Flavour::OpenLdap);
        for written in ["SN;lang-de", "surname", "2.5.4.4"] {
            let written = schema.written(written);
            assert!(written.is("sn") && written.is("Surname") && written.is("OID.2.5.4.4"), "{written:?}");
            assert!(!written.is("cn"), "{written:?}");
        }
        assert!(Schema::default().written("rfc822Mailbox").is("mail"), "by the standards where no schema shows");
        assert!(Schema::default().written("x-own").is("X-Own"));
    }

    #[test]
    fn a_name_and_its_alias_are_one_attribute() {
        let schema = schema(Flavour::OpenLdap);
        assert!(schema.same("sn", "surname") && schema.same("2.5.4.4", "SN") && schema.same("x-own", "X-Own"));
        assert!(!schema.same("sn;lang-de", "sn") && !schema.same("sn", "name"));
        assert!(schema.same("sn;lang-DE", "surname;lang-de"));
    }
}
