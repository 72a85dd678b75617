//! Names as RFC 4514 §4 shows them, as servers write them, and as nobody would.

use proptest::prelude::*;

use super::*;

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    assert_eq!(dn("UID=jsmith,DC=example,DC=net").rdns().len(), 3);
    assert_eq!(dn("OU=Sales+CN=J.  Smith,DC=example,DC=net").rdns()[0].avas().len(), 2);
    let smith = dn(r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#);
    assert_eq!(smith.rdns()[0].avas()[0].value(), &Value::Text(r#"James "Jim" Smith, III"#.to_owned()));
    assert_eq!(dn(r"CN=Before\0dAfter,DC=example").rdns()[0].avas()[0].value().as_bytes(), b"Before\rAfter");
    assert_eq!(dn("1.3.6.1.4.1.1466.0=#04024869").rdns()[0].avas()[0].value(), &Value::Text("Hi".to_owned()));
    assert_eq!(dn(r"CN=Lu\C4\8Di\C4\87").rdns()[0].avas()[0].value(), &Value::Text("Lučić".to_owned()));
    assert!(dn("").is_root());
}

#[test]
fn texts_of_one_name_are_equal() {
    let one = "cn=doe\\, jane,ou=people,dc=corp,dc=example";
    for other in [
        "CN=Doe\\2C Jane,OU=People,DC=corp,DC=example",
        "cn=doe\\2c  jane , ou = people;dc=corp,dc=example",
        "cn=\"Doe, Jane\",ou=people,dc=corp,dc=example",
        "commonName=#0c09446f652c204a616e65,2.5.4.11=people,0.9.2342.19200300.100.1.25=corp,OID.0.9.2342.19200300.100.1.25=example",
    ] {
        assert_eq!(dn(one), dn(other), "{other}");
        assert_eq!(normalize(other).expect("a name"), dn(one).normalized());
    }
    assert_eq!(dn("ou=a+cn=b,dc=x"), dn("CN=B + OU=A,dc=x"));
    assert_eq!(dn("cn=STRASSE"), dn("cn=straße"));
    assert_eq!(dn("cn=Jose\u{301}"), dn("cn=JOSÉ"));
    assert_eq!(dn("cn=\u{1f130}x"), dn("cn=ax"));
    assert_ne!(dn("cn=a\\,b=c"), dn("cn=a,b=c"));
    assert_ne!(dn("cn=ab"), dn("cn=a b"));
    assert_ne!(dn("cn=#0500"), dn("cn=\\#0500"));
}

#[test]
fn only_case_and_writing_make_no_difference_to_the_case_folded_form() {
    let one = "cn=doe\\, jörg  ß,ou=people,dc=corp";
    for other in [
        "CN=Doe\\2C JÖRG  ß,OU=People,DC=corp",
        " cn = doe\\2c j\\C3\\B6rg  ß , ou = people;dc=CORP",
        "commonName=\"Doe, Jörg  ß\",2.5.4.11=people,OID.0.9.2342.19200300.100.1.25=corp",
    ] {
        assert_eq!(case_folded(one), case_folded(other), "{other}");
    }
    assert_eq!(case_folded("ou=a+cn=B,dc=x"), case_folded("CN=b + OU=a,dc=x"));
    assert_eq!(case_folded("cn=ΩΜΕΓΑ"), case_folded("cn=ωμεγα"));
    // Equal for RFC 4518, and two entries on some servers.
    for (one, other) in [
        ("cn=weiß karl", "cn=weiss karl"),
        ("cn=ka\u{200b}rl", "cn=karl"),
        ("cn=karl\u{ad}", "cn=karl"),
        ("cn=\u{fb01}nn", "cn=finn"),
        ("cn=\u{ff4b}arl", "cn=karl"),
        ("cn=\u{212a}arl", "cn=karl"),
        ("cn=jo\u{308}rg", "cn=jörg"),
        ("cn=karl\u{a0}weiss", "cn=karl weiss"),
        ("cn=karl  weiss", "cn=karl weiss"),
        ("cn=karl\\ ", "cn=karl"),
        ("ou=a,cn=karl", "ou=a\u{200b},cn=karl"),
    ] {
        assert_eq!(normalize(one), normalize(other), "{other}");
        assert_ne!(case_folded(one), case_folded(other), "{other}");
    }
}

#[test]
fn an_invalid_dn_has_the_position_of_its_error() {
    for (text, position) in [
        ("cn", 2),
        ("cn=a,", 5),
        ("=a", 0),
        ("cn=a\\", 5),
        ("cn=a\\zz", 5),
        ("cn=\"a", 5),
        ("cn=#", 4),
        ("1..2=a", 0),
        ("cn=#zz", 4),
    ] {
        let error = Dn::parse(text).expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
    }
}

#[test]
fn within_is_by_structure_and_not_by_text() {
    let base = dn("DC=corp, DC=example");
    assert!(dn("cn=a,dc=corp,dc=example").is_within(&base));
    assert!(base.is_within(&base));
    assert!(base.is_within(&dn("")));
    assert!(!dn("dc=example").is_within(&base));
    assert!(!dn("cn=a\\,dc=corp,dc=example").is_within(&base));
    assert_eq!(dn("cn=a,dc=corp,dc=example").parent(), Some(base));
    assert_eq!(dn("").parent(), None);
}

#[test]
fn spaces_at_the_ends_survive_when_escaped() {
    let name =
        Dn { rdns: vec![Rdn { avas: vec![Ava { attribute: "cn".to_owned(), value: Value::Text(" # ".to_owned()) }] }] };
    assert_eq!(name.to_string(), "cn=\\ #\\ ");
    assert_eq!(dn(&name.to_string()).rdns(), name.rdns());
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        "[ a-zA-Z,+\"\\\\<>;#=]{0,12}".prop_map(Value::Text),
        proptest::collection::vec(0x80_u8..=0xbf, 1..200).prop_map(Value::Octets),
        (0_u8..100).prop_map(|integer| Value::Encoded(vec![0x02, 0x01, integer])),
    ]
}

fn names() -> impl Strategy<Value = Dn> {
    let ava = ("[a-zA-Z][a-zA-Z0-9-]{0,8}|[0-9]{1,3}(\\.[0-9]{1,3}){1,4}", values())
        .prop_map(|(attribute, value)| Ava { attribute, value });
    let rdn = proptest::collection::vec(ava, 1..3).prop_map(|avas| Rdn { avas });
    proptest::collection::vec(rdn, 0..5).prop_map(|rdns| Dn { rdns })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        if let Ok(name) = Dn::parse(&text) {
            let _ = name.normalized();
        }
    }

    #[test]
    fn a_written_name_reads_back_the_same(name in names()) {
        let read = Dn::parse(&name.to_string()).expect("its own text");
        prop_assert_eq!(read.rdns(), name.rdns());
    }

    #[test]
    fn the_normalized_form_is_a_name_of_the_same_shape(name in names()) {
        let again = Dn::parse(&name.normalized()).expect("a normalized name");
        prop_assert_eq!(again.rdns().len(), name.rdns().len());
        prop_assert_eq!(again.normalized(), name.normalized());
        prop_assert_eq!(&again, &name);
    }

    #[test]
    fn the_case_folded_form_is_a_name_of_the_same_shape(name in names()) {
        let again = Dn::parse(&name.case_folded()).expect("a case-folded name");
        prop_assert_eq!(again.rdns().len(), name.rdns().len());
        prop_assert_eq!(again.case_folded(), name.case_folded());
    }

    #[test]
    fn case_and_spaces_of_ascii_names_do_not_matter(value in "[a-z][a-z0-9=.@ -]{0,20}", other in "[a-z]{1,5}") {
        let plain = format!("cn={value},dc={other}");
        let shouted = format!("  CN = {}   , DC={}", value.to_uppercase().replace(' ', "  "), other.to_uppercase());
        prop_assert_eq!(dn(&plain), dn(&shouted));
        prop_assert_eq!(dn(&plain).normalized(), dn(&shouted).normalized());
    }

    #[test]
    fn the_short_way_and_the_long_way_agree(text in "([a-zA-Z0-9. -]{1,6}=[ -~]{0,10},){0,3}[a-z]{1,10}=[ -~]{0,10}") {
        prop_assert_eq!(normalize(&text), Dn::parse(&text).map(|name| name.normalized()));
        prop_assert_eq!(case_folded(&text), Dn::parse(&text).map(|name| name.case_folded()));
    }
}

#[test]
fn a_name_is_built_from_a_value_with_any_characters() {
    let container = Dn::parse("ou=people,dc=x").expect("a name");
    for value in [" a", "a ", "  ", "#1", "a,b+c=d\"e\\f<g>h;i", "a\0b", "a\r\nb", "\u{202e}olleh", "😀", "a\u{301}"]
    {
        let built = container.child("cn", value);
        let read = Dn::parse(&built.to_string()).expect("what was built");
        let leaf = &read.rdns()[0];
        assert_eq!(leaf.avas()[0].value().as_bytes(), value.as_bytes(), "{built}");
        assert_eq!(
            (read.parent(), built.leaf().map(|leaf| leaf.below(&container))),
            (Some(container.clone()), Some(read))
        );
    }
}
