//! What the server's schema says of an attribute that is written: the form of its values, and whether it takes several.

use std::collections::HashMap;

use crate::flavour::Flavour;
use crate::schema::{self, AttributeType};

/// The attributes of a server's schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// By name and OID, in lower case.
    places: HashMap<Box<str>, u32>,
    rules: Vec<Rule>,
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
            for name in kind.names.iter().chain([&kind.oid]) {
                schema.places.insert(name.as_str().into(), place);
            }
        }
        schema
    }

    /// What counts for an attribute; of one that the schema does not show, nothing is assumed.
    pub(crate) fn rule(&self, name: &str) -> Rule {
        self.place(name).and_then(|place| self.rules.get(place as usize)).copied().unwrap_or(UNKNOWN)
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
    fn a_name_and_its_alias_are_one_attribute() {
        let schema = schema(Flavour::OpenLdap);
        assert!(schema.same("sn", "surname") && schema.same("2.5.4.4", "SN") && schema.same("x-own", "X-Own"));
        assert!(!schema.same("sn;lang-de", "sn") && !schema.same("sn", "name"));
        assert!(schema.same("sn;lang-DE", "surname;lang-de"));
    }
}
