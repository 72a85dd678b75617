//! What entries of each flavour map to.

mod defaults;

use std::borrow::Cow;

use postern_store::Switch;

use super::*;

/// An entry of this test only.
struct Entry {
    login: Option<String>,
    switch: Switch,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl AttributeView for Entry {
    fn columns(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = &[u8]>)> {
        self.attributes.iter().enumerate().map(|(place, (_, values))| (place, values.iter().map(Vec::as_slice)))
    }

    fn external_id(&self) -> &'static str {
        "id"
    }

    fn dn(&self) -> Option<&str> {
        Some("uid=a,dc=x")
    }

    fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    fn switch(&self) -> Switch {
        self.switch
    }
}

impl Entry {
    fn names(&self) -> Vec<&str> {
        self.attributes.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn mapping(&self, flavour: Flavour) -> Mapping {
        Mapping::new(flavour, &self.names())
    }
}

fn entry(login: Option<&str>, attributes: &[(&str, &[&[u8]])]) -> Entry {
    let values = |values: &[&[u8]]| values.iter().map(|value| value.to_vec()).collect();
    let attributes = attributes.iter().map(|(name, of_name)| ((*name).to_owned(), values(of_name))).collect();
    Entry { login: login.map(str::to_owned), switch: Switch::Unknown, attributes }
}

/// The name and description of a group.
fn group_of(entry: &Entry) -> (String, Option<String>) {
    let (group, json) = entry.mapping(Flavour::OpenLdap).group(entry);
    assert_eq!(json, json_of(entry));
    (group.display_name.into_owned(), group.description.map(Cow::into_owned))
}

fn mapped_user<T>(
    entry: &Entry,
    flavour: Flavour,
    now: Timestamp,
    look: impl FnOnce(MappedUser<'_>, String) -> T,
) -> T {
    let (user, attributes) = entry.mapping(flavour).user(entry, now);
    look(user, attributes)
}

fn json_of(entry: &Entry) -> String {
    let json = mapped_user(entry, Flavour::Generic, Timestamp::UNIX_EPOCH, |_, attributes| attributes);
    assert_eq!(entry.mapping(Flavour::Generic).attributes(entry), json);
    json
}

#[test]
fn the_unique_value_names_the_user_and_nothing_fills_in_for_it() {
    let attributes: &[(&str, &[&[u8]])] = &[
        ("sAMAccountName", &[b"ada"]),
        ("userPrincipalName", &[b"ada@corp.example"]),
        ("givenName", &[b"", b"Ada"]),
        ("sn", &["Löwe".as_bytes()]),
        ("cn", &["Ada Löwe".as_bytes()]),
        ("departmentNumber", &[b"42"]),
        ("department", &[b"Engines"]),
    ];
    let described = entry(None, attributes);
    let user = mapped_user(&described, Flavour::ActiveDirectory, Timestamp::UNIX_EPOCH, |user, _| {
        (
            user.user_name.map(Cow::into_owned),
            user.given_name.unwrap().into_owned(),
            user.display_name.unwrap().into_owned(),
            user.email.map(Cow::into_owned),
            user.attributes,
        )
    });
    assert_eq!(user.0, None, "neither of the other two names");
    assert_eq!((user.1.as_str(), user.2.as_str()), ("Ada", "Ada Löwe"));
    assert_eq!(user.3, None, "a login that looks like an address is not one");
    assert_eq!(user.4, r#"{"department":"Engines"}"#);
    let described = entry(Some("ada"), attributes);
    let name = mapped_user(&described, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
        user.user_name.unwrap().into_owned()
    });
    assert_eq!(name, "ada");
}

#[test]
fn the_site_says_who_is_active_and_unknown_is_not() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let of = |switch| {
        let entry = Entry { switch, ..entry(Some("a"), &[("userAccountControl", &[b"512"])]) };
        let active = mapped_user(&entry, Flavour::ActiveDirectory, now, |user, _| user.active);
        (active, expired(&entry, now))
    };
    let until = |second| Switch::OnUntil(Timestamp::from_second(second).unwrap());
    assert_eq!(of(Switch::On), (true, false));
    assert_eq!(of(Switch::Off), (false, false));
    assert_eq!(of(Switch::Unknown), (false, false), "independent of the attributes");
    assert_eq!(of(until(1_800_000_001)), (true, false));
    assert_eq!(of(until(1_800_000_000)), (false, true));
    assert_eq!(of(until(0)), (false, true));
}

#[test]
fn an_attribute_with_options_fills_in_where_there_is_none_without() {
    let fields = |attributes: &[(&str, &[&[u8]])]| {
        let described = entry(Some("a"), attributes);
        mapped_user(&described, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
            (user.family_name.map(Cow::into_owned), user.display_name.map(Cow::into_owned), user.attributes)
        })
    };
    let alone: &[(&str, &[&[u8]])] =
        &[("sn;lang-de", &["Löwe".as_bytes()]), ("cn", &[b"Ada"]), ("title;lang-de", &[b"Ingenieurin"])];
    let (family, display, further) = fields(alone);
    assert_eq!((family.as_deref(), display.as_deref()), (Some("Löwe"), Some("Ada")));
    assert_eq!(further, r#"{"title":"Ingenieurin"}"#);
    let both: &[(&str, &[&[u8]])] = &[
        ("title", &[b"Engineer"]),
        ("title;lang-de", &[b"Ingenieurin"]),
        ("sn;lang-de", &[b"Loewe"]),
        ("sn", &[b"Lion"]),
    ];
    let (family, _, further) = fields(both);
    assert_eq!(family.as_deref(), Some("Lion"));
    assert_eq!(further, r#"{"title":"Engineer"}"#);

    let described = entry(None, &[("cn;lang-de", &[b"Belegschaft"]), ("description;lang-de", &[b"alle"])]);
    assert_eq!(group_of(&described), ("Belegschaft".to_owned(), Some("alle".to_owned())));
}

#[test]
fn an_attribute_means_the_same_by_any_of_its_names() {
    let attributes: &[(&str, &[&[u8]])] = &[
        ("rfc822Mailbox", &[b"ada@corp.example"]),
        ("2.5.4.4", &["Löwe".as_bytes()]),
        ("mobileTelephoneNumber", &[b"7"]),
        ("commonName", &[b"Ada"]),
    ];
    let user = mapped_user(&entry(Some("ada"), attributes), Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
        (
            [user.email, user.family_name, user.display_name].map(|field| field.unwrap_or_default().into_owned()),
            user.attributes,
        )
    });
    assert_eq!(user.0, ["ada@corp.example", "Löwe", "Ada"]);
    assert_eq!(user.1, r#"{"mobile_number":"7"}"#);
}

#[test]
fn bytes_that_happen_to_be_text_stay_bytes() {
    let json = json_of(&entry(None, &[("jpegPhoto", &[b"text"]), ("2.5.4.36", &[b"text"]), ("cn", &[b"text"])]));
    assert_eq!(json, r#"{"jpegPhoto":[{"base64":"dGV4dA=="}],"2.5.4.36":[{"base64":"dGV4dA=="}],"cn":["text"]}"#);
}

#[test]
fn a_blank_unique_value_names_nobody() {
    let described = entry(Some(" "), &[("uid", &[b"ada"])]);
    let name = mapped_user(&described, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
        user.user_name.map(Cow::into_owned)
    });
    assert_eq!(name, None);
}

#[test]
fn the_other_values_of_the_login_are_known() {
    let others = |unique: Option<&str>, attributes: &[(&str, &[&[u8]])]| {
        let described = entry(unique, attributes);
        described.mapping(Flavour::OpenLdap).other_logins(&described)
    };
    let entry: &[(&str, &[&[u8]])] =
        &[("cn", &[b"ada", b"Ada Byron"]), ("uid", &[b"alias", b"ada"]), ("mail", &[b"a@x", b"b@x"])];
    assert_eq!(others(Some("ada"), entry), ["alias"], "of uid, which comes before cn");
    assert_eq!(others(Some("b@x"), entry), ["a@x"]);
    assert_eq!(others(Some("other"), entry), [] as [&str; 0]);
    assert_eq!(others(None, entry), [] as [&str; 0]);
}

#[test]
fn each_set_of_rules_has_its_own_stamp() {
    let stamp = |flavour| Mapping::new(flavour, &[]).stamp();
    assert_eq!(stamp(Flavour::Unknown), stamp(Flavour::OpenLdap), "nothing is mapped otherwise");
    assert_ne!(stamp(Flavour::Unknown), stamp(Flavour::ActiveDirectory));
}

#[test]
fn the_form_of_an_unknown_attribute_follows_what_the_directory_says_of_it() {
    let described = entry(None, &[("badgeKey", &[b"text by chance"]), ("badge", &[b"text"])]);
    let plain = described.mapping(Flavour::OpenLdap);
    let by_schema = described.mapping(Flavour::OpenLdap).with_binary(&described.names(), |name| name == "badgeKey", 7);
    assert_eq!(plain.attributes(&described), r#"{"badgeKey":["text by chance"],"badge":["text"]}"#);
    assert_eq!(
        by_schema.attributes(&described),
        r#"{"badgeKey":[{"base64":"dGV4dCBieSBjaGFuY2U="}],"badge":["text"]}"#
    );
    assert_ne!(plain.stamp(), by_schema.stamp(), "accounts that were mapped before are mapped anew");
}

#[test]
fn values_that_are_no_text_are_base64() {
    let described =
        entry(None, &[("cn", &[b"a\"b\\\n", "ü".as_bytes()]), ("photo", &[&[0xff, 0xd8], b"a\0b"]), ("none", &[])]);
    let json = json_of(&described);
    assert_eq!(json, r#"{"cn":["a\"b\\\n","ü"],"photo":[{"base64":"/9g="},{"base64":"YQBi"}],"none":[]}"#);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn a_group_without_a_name_is_shown_by_its_dn() {
    let described = entry(None, &[("description", &[b"all"])]);
    assert_eq!(group_of(&described).0, "uid=a,dc=x");
    let described = entry(None, &[("cn", &[b"staff"]), ("displayName", &[b"Staff"])]);
    assert_eq!(group_of(&described).0, "Staff");
}

proptest::proptest! {
    #[test]
    fn whatever_the_values_the_json_is_valid(name in ".{0,8}", values in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20), 0..4)) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let described = entry(None, &[(&name, &values)]);
        let json = json_of(&described);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        proptest::prop_assert_eq!(parsed[&name].as_array().unwrap().len(), values.len());
    }
}

#[test]
fn an_entry_with_huge_values_maps_to_a_user_of_bounded_size() {
    let huge = "x".repeat(300 << 10);
    let entry = entry(Some("a"), &[("cn", &[b"Ada"]), ("title", &[huge.as_bytes()]), ("l", &[b"Rome"])]);
    mapped_user(&entry, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
        assert_eq!(user.attributes, r#"{"location":"Rome"}"#);
        let failed: Vec<&str> = user.failed.iter().map(|failed| failed.name.as_str()).collect();
        assert_eq!(failed, ["attributes.title"]);
    });
}
