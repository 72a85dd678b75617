//! Values as Active Directory, OpenLDAP and 389 Directory Server write them.

use super::*;

fn time(text: &str) -> Value {
    Value::Time(text.parse().unwrap())
}

fn read(name: &str, value: &[u8]) -> Option<Value> {
    Syntax::of(name).read(value)
}

#[test]
fn values_mean_what_the_name_of_their_attribute_says() {
    let guid = [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let sid = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 244, 1, 0, 0];
    let table: &[(&str, &[u8], Value)] = &[
        ("employeenumber", b"007", Value::text("007")),
        ("cn", "Jürgen".as_bytes(), Value::text("Jürgen")),
        ("cn", &[0xff, 0xfe], Value::text("//4=")),
        ("useraccountcontrol", b"514", Value::Number(514)),
        ("grouptype", b"-2147483646", Value::Number(-2_147_483_646)),
        ("uidnumber", b"10001", Value::Number(10_001)),
        ("pwdreset", b"TRUE", Value::Bool(true)),
        ("nsaccountlock", b"false", Value::Bool(false)),
        ("whencreated", b"20261128093000.0Z", time("2026-11-28T09:30:00Z")),
        ("createtimestamp", b"20261128093000Z", time("2026-11-28T09:30:00Z")),
        ("createtimestamp", b"202611281030+0100", time("2026-11-28T09:30:00Z")),
        ("modifytimestamp", b"2026112809Z", time("2026-11-28T09:00:00Z")),
        ("pwdaccountlockedtime", b"000001010000Z", Value::Null),
        ("pwdlastset", b"133000000000000000", time("2022-06-18T04:26:40Z")),
        ("accountexpires", b"0", Value::Null),
        ("accountexpires", b"9223372036854775807", Value::Null),
        ("objectguid", &guid, Value::text("00112233-4455-6677-8899-aabbccddeeff")),
        ("objectsid", &sid, Value::text("S-1-5-21-1-2-3-500")),
        ("manager", b"cn=Boss,dc=example", Value::text("cn=Boss,dc=example")),
        ("entryuuid", b"00112233-4455-6677-8899-aabbccddeeff", Value::text("00112233-4455-6677-8899-aabbccddeeff")),
    ];
    for (name, value, wanted) in table {
        assert_eq!(read(name, value).as_ref(), Some(wanted), "{name}");
    }
}

#[test]
fn what_is_not_of_the_syntax_is_refused() {
    let table: &[(&str, &[u8])] = &[
        ("useraccountcontrol", b"many"),
        ("useraccountcontrol", b"99999999999999999999"),
        ("pwdreset", b"1"),
        ("whencreated", b"yesterday"),
        ("whencreated", b"20261328093000Z"),
        ("whencreated", b"20261128093000.Z"),
        ("whencreated", b"20261128093000+1"),
        ("whencreated", "2026112809300\u{e9}Z".as_bytes()),
        ("whencreated", "20261128093000+\u{e9}0".as_bytes()),
        ("accountexpires", b"never"),
        ("objectguid", b"short"),
        ("objectsid", &[1, 5, 0, 0, 0, 0, 0, 5, 21]),
        ("objectsid", &[]),
    ];
    for (name, value) in table {
        assert_eq!(read(name, value), None, "{name} {value:?}");
    }
}

#[test]
fn times_survive_the_way_there_and_back() {
    let time: Timestamp = "2026-11-28T09:30:15Z".parse().unwrap();
    assert_eq!(generalized_time(time), "20261128093015Z");
    assert_eq!(parse_generalized_time("20261128093015Z"), Some(time));
    assert_eq!(filetime(time).and_then(from_filetime), Some(time));
}

#[test]
fn flags_are_read_by_name_and_unknown_where_nothing_says() {
    let of = |attributes: &'static [(&'static str, &'static str)], name: &str| {
        flag(name, |wanted| attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value))
    };
    let user: &[(&str, &str)] =
        &[("useraccountcontrol", "514"), ("msds-user-account-control-computed", "8388624"), ("pwdlastset", "0")];
    for (name, wanted) in [("disabled", true), ("locked", true), ("expired", true), ("must_change", true)] {
        assert_eq!(of(user, name), Value::Bool(wanted), "{name}");
    }
    assert_eq!(of(&[("useraccountcontrol", "66050")], "password_never_expires"), Value::Bool(true));
    assert_eq!(of(user, "smartcard_required"), Value::Bool(false));
    assert_eq!(of(user, "scope"), Value::Null);
    let group: &[(&str, &str)] = &[("grouptype", "-2147483640")];
    assert_eq!(of(group, "security"), Value::Bool(true));
    assert_eq!(of(group, "distribution"), Value::Bool(false));
    assert_eq!(of(group, "scope"), Value::text("universal"));
    assert_eq!(of(&[("grouptype", "4")], "scope"), Value::text("domain_local"));
    assert_eq!(of(&[("pwdaccountlockedtime", "20261128093000Z")], "locked"), Value::Bool(true));
    assert_eq!(of(&[("nsaccountlock", "TRUE")], "disabled"), Value::Bool(true));
    for name in FLAGS {
        assert_eq!(of(&[], name), Value::Null, "{name}");
    }
}

#[test]
fn a_lapsed_lockout_locks_nobody_and_who_has_no_password_to_change_need_not() {
    let of = |attributes: &[(&'static str, &'static str)], name: &str| {
        flag(name, |wanted| attributes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value))
    };
    let lockout = ("lockouttime", "132000000000000000");
    assert_eq!(of(&[lockout], "locked"), Value::Bool(true), "nothing says whether it has lapsed");
    for (computed, locked) in [("0", false), ("16", true), ("8388608", false)] {
        assert_eq!(of(&[lockout, ("msds-user-account-control-computed", computed)], "locked"), Value::Bool(locked));
    }
    for (control, must) in [("512", true), ("66048", false), ("262656", false), ("328192", false)] {
        assert_eq!(of(&[("pwdlastset", "0"), ("useraccountcontrol", control)], "must_change"), Value::Bool(must));
    }
}

#[test]
fn the_primary_address_is_the_one_in_capitals() {
    let of = |values: &[&'static str]| primary_mail(values.iter().map(|value| value.as_bytes()));
    assert_eq!(of(&["smtp:old@x.org", "X500:/o=x", "SMTP: ada@x.org"]), Some("ada@x.org"));
    assert_eq!(of(&["smtp:old@x.org"]), None);
    assert_eq!(of(&["SMTP:"]), None);
}

#[test]
fn the_tables_are_sorted() {
    assert!(FLAGS.is_sorted());
    for name in ["admincount", "usncreated", "iscriticalsystemobject", "whencreated", "pwdlastset", "tokengroups"] {
        assert_ne!(Syntax::of(name), Syntax::Text, "{name}");
    }
}
