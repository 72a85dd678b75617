//! What entries of each flavour become.

use bytes::Bytes;
use postern_proto::chunk::{self, ChunkReader, ChunkWriter, Kind, MemberForm};

use super::*;

fn chunk(unique: Option<&str>, attributes: &[(&str, &[&[u8]])]) -> Bytes {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let mut entry = writer.entry(Kind::User, "id", "uid=a,dc=x", unique);
    for (name, values) in attributes {
        entry.attribute(name, values.iter().copied());
    }
    entry.finish();
    writer.finish()
}

fn mapped<T>(payload: &Bytes, map: impl FnOnce(&EntryView<'_>) -> T) -> T {
    let mut reader = ChunkReader::parse(payload).unwrap();
    map(&reader.next_entry().unwrap().unwrap())
}

/// Maps the one entry of a chunk.
fn mapped_user<T>(
    payload: &Bytes,
    flavour: Flavour,
    now: Timestamp,
    look: impl FnOnce(MappedUser<'_>, String) -> T,
) -> T {
    let mut reader = ChunkReader::parse(payload).unwrap();
    let mapping = Mapping::new(flavour, reader.names());
    let (user, attributes) = mapping.user(&reader.next_entry().unwrap().unwrap(), now);
    look(user, attributes)
}

fn json_of(payload: &Bytes) -> String {
    let json = mapped_user(payload, Flavour::Generic, Timestamp::UNIX_EPOCH, |_, attributes| attributes);
    let mut reader = ChunkReader::parse(payload).unwrap();
    let mapping = Mapping::new(Flavour::Generic, reader.names());
    assert_eq!(mapping.attributes(&reader.next_entry().unwrap().unwrap()), json);
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
    let payload = chunk(None, attributes);
    let user = mapped_user(&payload, Flavour::ActiveDirectory, Timestamp::UNIX_EPOCH, |user, _| {
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
    let payload = chunk(Some("ada"), attributes);
    let name =
        mapped_user(&payload, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| user.user_name.unwrap().into_owned());
    assert_eq!(name, "ada");
}

#[test]
fn the_site_says_who_is_active_and_unknown_is_not() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let of = |switch| {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        let mut entry = writer.entry(Kind::User, "id", "uid=a,dc=x", Some("a"));
        entry.attribute("userAccountControl", [b"512".as_slice()]);
        entry.switch(switch);
        entry.finish();
        let payload = writer.finish();
        let active = mapped_user(&payload, Flavour::ActiveDirectory, now, |user, _| user.active);
        (active, mapped(&payload, |entry| expired(entry, now)))
    };
    assert_eq!(of(chunk::Switch::On), (true, false));
    assert_eq!(of(chunk::Switch::Off), (false, false));
    assert_eq!(of(chunk::Switch::Unknown), (false, false), "whatever the attributes seem to say");
    assert_eq!(of(chunk::Switch::OnUntil(1_800_000_001)), (true, false));
    assert_eq!(of(chunk::Switch::OnUntil(1_800_000_000)), (false, true));
    assert_eq!(of(chunk::Switch::OnUntil(0)), (false, true));
    assert_eq!(of(chunk::Switch::OnUntil(u64::MAX)), (true, false));
}

#[test]
fn an_attribute_with_options_fills_in_where_there_is_none_without() {
    let fields = |attributes: &[(&str, &[&[u8]])]| {
        let payload = chunk(Some("a"), attributes);
        mapped_user(&payload, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
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

    let payload = chunk(None, &[("cn;lang-de", &[b"Belegschaft"]), ("description;lang-de", &[b"alle"])]);
    mapped(&payload, |entry| {
        let group = group(entry);
        assert_eq!((group.display_name.as_ref(), group.description.as_deref()), ("Belegschaft", Some("alle")));
    });
}

#[test]
fn an_attribute_means_the_same_by_any_of_its_names() {
    let attributes: &[(&str, &[&[u8]])] = &[
        ("rfc822Mailbox", &[b"ada@corp.example"]),
        ("2.5.4.4", &["Löwe".as_bytes()]),
        ("mobileTelephoneNumber", &[b"7"]),
        ("commonName", &[b"Ada"]),
    ];
    let user = mapped_user(&chunk(Some("ada"), attributes), Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| {
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
    let json = json_of(&chunk(None, &[("jpegPhoto", &[b"text"]), ("2.5.4.36", &[b"text"]), ("cn", &[b"text"])]));
    assert_eq!(json, r#"{"jpegPhoto":[{"base64":"dGV4dA=="}],"2.5.4.36":[{"base64":"dGV4dA=="}],"cn":["text"]}"#);
}

#[test]
fn a_blank_unique_value_names_nobody() {
    let payload = chunk(Some(" "), &[("uid", &[b"ada"])]);
    let name =
        mapped_user(&payload, Flavour::OpenLdap, Timestamp::UNIX_EPOCH, |user, _| user.user_name.map(Cow::into_owned));
    assert_eq!(name, None);
}

#[test]
fn the_other_values_of_the_login_are_known() {
    let others = |unique: Option<&str>, attributes: &[(&str, &[&[u8]])]| {
        let payload = chunk(unique, attributes);
        let mut reader = ChunkReader::parse(&payload).unwrap();
        let mapping = Mapping::new(Flavour::OpenLdap, reader.names());
        mapping.other_logins(&reader.next_entry().unwrap().unwrap())
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
    let payload = chunk(None, &[("badgeKey", &[b"text by chance"]), ("badge", &[b"text"])]);
    let mut reader = ChunkReader::parse(&payload).unwrap();
    let plain = Mapping::new(Flavour::OpenLdap, reader.names());
    let told =
        Mapping::new(Flavour::OpenLdap, reader.names()).with_binary(reader.names(), |name| name == "badgeKey", 7);
    let entry = reader.next_entry().unwrap().unwrap();
    assert_eq!(plain.attributes(&entry), r#"{"badgeKey":["text by chance"],"badge":["text"]}"#);
    assert_eq!(told.attributes(&entry), r#"{"badgeKey":[{"base64":"dGV4dCBieSBjaGFuY2U="}],"badge":["text"]}"#);
    assert_ne!(plain.stamp(), told.stamp(), "accounts that were mapped before are mapped anew");
}

#[test]
fn values_that_are_no_text_are_base64() {
    let payload =
        chunk(None, &[("cn", &[b"a\"b\\\n", "ü".as_bytes()]), ("photo", &[&[0xff, 0xd8], b"a\0b"]), ("none", &[])]);
    let json = json_of(&payload);
    assert_eq!(json, r#"{"cn":["a\"b\\\n","ü"],"photo":[{"base64":"/9g="},{"base64":"YQBi"}],"none":[]}"#);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn a_group_without_a_name_is_shown_by_its_dn() {
    let payload = chunk(None, &[("description", &[b"all"])]);
    assert_eq!(mapped(&payload, |entry| group(entry).display_name.into_owned()), "uid=a,dc=x");
    let payload = chunk(None, &[("cn", &[b"staff"]), ("displayName", &[b"Staff"])]);
    assert_eq!(mapped(&payload, |entry| group(entry).display_name.into_owned()), "Staff");
}

proptest::proptest! {
    #[test]
    fn whatever_the_values_the_json_is_valid(name in ".{0,8}", values in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20), 0..4)) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let payload = chunk(None, &[(&name, &values)]);
        let json = json_of(&payload);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        proptest::prop_assert_eq!(parsed[&name].as_array().unwrap().len(), values.len());
    }
}
