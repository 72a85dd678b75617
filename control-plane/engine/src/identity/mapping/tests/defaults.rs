//! The default mapping written as rules gives the same as the default mapping itself, whatever an entry holds.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::rules::{Rules, defaults};
use super::*;

/// What the default mapping reads, some of it by other names of the same attribute, and something that it does not read.
const NAMES: [&str; 31] = [
    "givenName",
    "gn",
    "2.5.4.42",
    "sn",
    "surname",
    "displayName",
    "cn",
    "commonName",
    "name",
    "mail",
    "rfc822Mailbox",
    "title",
    "department",
    "departmentNumber",
    "telephoneNumber",
    "mobile",
    "employeeNumber",
    "employeeID",
    "employeeType",
    "l",
    "localityName",
    "physicalDeliveryOfficeName",
    "company",
    "o",
    "organizationName",
    "preferredLanguage",
    "description",
    "sAMAccountName",
    "userPrincipalName",
    "uid",
    "jpegPhoto",
];
const OPTIONS: [&str; 4] = ["", "", ";lang-de", ";lang-fr"];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-zA-ZüßŁ0-9@. -]{1,12}".prop_map(String::into_bytes),
        1 => select(vec!["", " ", "\t ", "TRUE", "0", "20261128093000.0Z", "a\u{0}b", "\u{0}", "null", "\"", "{}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => Just("x".repeat(1_025).into_bytes()),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<(String, Vec<Vec<u8>>)>> {
    let name =
        (select(NAMES.to_vec()), select(OPTIONS.to_vec())).prop_map(|(name, options)| format!("{name}{options}"));
    let attribute = (name, proptest::collection::vec(value(), 0..4));
    // A server returns an attribute by one name.
    proptest::collection::vec(attribute, 0..12).prop_map(|all| {
        let mut seen = BTreeSet::new();
        let standard = |name: &str| {
            let (base, options) = name.split_once(';').unwrap_or((name, ""));
            (postern_dn::attribute_names::standard_name(base).unwrap_or(base).to_ascii_lowercase(), options.to_owned())
        };
        all.into_iter().filter(|(name, _)| seen.insert(standard(name))).collect()
    })
}

/// All that mapping fills of a user and a group.
fn filled(mapping: &Mapping, entry: &Entry) -> (serde_json::Value, Vec<Option<String>>) {
    let (user, _) = mapping.user(entry, Timestamp::UNIX_EPOCH);
    let (group, _) = mapping.group(entry);
    let further = serde_json::from_str(&user.attributes).unwrap();
    let text = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned);
    let fields = [user.user_name, user.given_name, user.family_name, user.display_name, user.email, group.description];
    let name = Some(group.display_name.into_owned());
    (further, fields.into_iter().map(text).chain([name]).collect())
}

/// Compiled once: the parser has a thread of its own.
static ACTIVE_DIRECTORY: LazyLock<Arc<Rules>> = LazyLock::new(|| compiled(true));
static OTHERS: LazyLock<Arc<Rules>> = LazyLock::new(|| compiled(false));

fn compiled(active_directory: bool) -> Arc<Rules> {
    Arc::new(Rules::compile(1, &defaults(active_directory)).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_defaults_as_rules_map_every_entry_as_the_default_mapping_does(
        attributes in attributes(), binary in any::<bool>(),
    ) {
        let entry = Entry { login: Some("ada".to_owned()), switch: Switch::On, attributes };
        let names = entry.names();
        for flavour in [Flavour::ActiveDirectory, Flavour::OpenLdap] {
            let plain = Mapping::new(flavour, &names);
            // The schema may say that an attribute holds bytes.
            let is_binary = |name: &str| binary && name.len().is_multiple_of(3);
            let plain = plain.with_binary(&names, is_binary, 0);
            let rules = if flavour == Flavour::ActiveDirectory { &*ACTIVE_DIRECTORY } else { &*OTHERS };
            let ruled = Mapping::new(flavour, &names).with_binary(&names, is_binary, 0);
            let ruled = ruled.with_rules(Some(rules), &names);
            prop_assert_eq!(filled(&ruled, &entry), filled(&plain, &entry));
        }
    }
}
