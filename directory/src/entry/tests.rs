//! What leaves and what stays.

use super::*;
use crate::raw_entry::tests::message;

fn id(attribute: &str) -> Ids<'_> {
    Ids { attribute, own: None }
}

const NOBODY: &[(&str, Naming)] = &[];

const GUID: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is asked for: these, and what the flavour always needs of users.
fn asked(flavour: Flavour, names: &[&str]) -> Vec<String> {
    strings(&[names, flavour.needed(Phase::Users)].concat())
}

fn select(selection: &Selection, message: &Bytes) -> Result<Selected, Unusable> {
    selection.select(message, &mut Vec::new())
}

#[test]
fn only_listed_attributes_leave_in_the_listed_order() {
    let listed = strings(&["mail", "cn", "CN", "jpegPhoto", "l"]);
    let selection =
        Selection::new(Flavour::OpenLdap, Phase::Users, &Arc::default(), id("entryUUID"), &listed, Some("uid"), NOBODY);
    assert_eq!(selection.requested(), asked(Flavour::OpenLdap, &["mail", "cn", "jpegPhoto", "l", "entryUUID", "uid"]));
    let message = message(
        b"uid=a,dc=x",
        &[
            ("uid", &[b"a", b"b"]),
            ("cn", &[b"A"]),
            ("cn;lang-de", &[b"not listed"]),
            ("sn", &[b"not listed"]),
            ("jpegphoto;binary", &[&[0xff, 0xd8]]),
            ("mail", &[b"a@x", b"b@x"]),
            ("l", &[]),
            ("entryUUID", &[b"F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"]),
        ],
    );
    let entry = select(&selection, &message).expect("usable").entry;
    assert_eq!(entry.external_id, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_eq!(entry.unique_value.as_deref(), Some("a"));
    let names: Vec<&str> = entry.attributes.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["mail", "cn", "jpegPhoto"]);
    assert_eq!(entry.attributes[0].1, [&b"a@x"[..], b"b@x"]);
    assert_eq!(entry.attributes[2].1, [&[0xff_u8, 0xd8][..]]);
}

#[test]
fn attributes_listed_by_another_name_are_known_by_the_one_that_the_server_gives() {
    let listed = strings(&["surname", "2.5.4.42", "0.9.2342.19200300.100.1.3", "title"]);
    let selection = Selection::new(
        Flavour::OpenLdap,
        Phase::Users,
        &Arc::default(),
        id("entryUUID"),
        &listed,
        Some("userid"),
        NOBODY,
    );
    let message = message(
        b"uid=a,dc=x",
        &[
            ("sn", &[b"A"]),
            ("givenName", &[b"B"]),
            ("mail", &[b"a@x"]),
            ("sn;lang-de", &[b"not listed"]),
            ("uid", &[b"a"]),
            ("entryUUID", &[b"1"]),
        ],
    );
    let entry = select(&selection, &message).expect("usable").entry;
    assert_eq!(entry.unique_value.as_deref(), Some("a"));
    let names: Vec<&str> = entry.attributes.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["surname", "2.5.4.42", "0.9.2342.19200300.100.1.3"], "as they are listed");
}

#[test]
fn passwords_never_leave_listed_or_not() {
    let listed = strings(&["cn", "userPassword", "USERPASSWORD;x-old", "unicodePwd", "2.5.4.35"]);
    let selection = Selection::new(
        Flavour::OpenLdap,
        Phase::Users,
        &Arc::default(),
        id("entryUUID"),
        &listed,
        Some("userPassword"),
        &[("sambaNTPassword", Naming::Kept)],
    );
    assert_eq!(selection.requested(), asked(Flavour::OpenLdap, &["cn", "entryUUID"]));
    let message = message(
        b"cn=a",
        &[
            ("userPassword", &[b"{SSHA}secret"]),
            ("userPassword;x-old", &[b"secret"]),
            ("sambaNTPassword", &[b"secret"]),
            ("cn", &[b"a"]),
            ("entryUUID", &[b"1"]),
        ],
    );
    let entry = select(&selection, &message).expect("usable").entry;
    assert!(!format!("{entry:?}").contains("secret"));
}

#[test]
fn a_password_is_no_external_id() {
    let selection = Selection::new(
        Flavour::OpenLdap,
        Phase::Users,
        &Arc::default(),
        id("userPassword"),
        &strings(&["cn"]),
        Some("uid"),
        NOBODY,
    );
    assert_eq!(selection.requested(), asked(Flavour::OpenLdap, &["cn", "uid"]));
    let message = message(b"cn=a", &[("userPassword", &[b"secret"]), ("cn", &[b"a"]), ("uid", &[b"a"])]);
    let unusable = select(&selection, &message).expect_err("no id");
    assert_eq!(unusable.reason, "no usable value in userPassword");
    let nothing = Selection::new(
        Flavour::OpenLdap,
        Phase::Groups,
        &Arc::default(),
        id("userPassword"),
        &[],
        None,
        &[("unicodePwd", Naming::Kept)],
    );
    assert_eq!(nothing.requested(), ["1.1"], "an empty list would ask for everything");
}

#[test]
fn an_entry_without_its_external_id_is_unusable() {
    let selection = Selection::new(
        Flavour::OpenLdap,
        Phase::Users,
        &Arc::default(),
        id("entryUUID"),
        &strings(&["cn"]),
        None,
        NOBODY,
    );
    let unusable = select(&selection, &message(b"cn=a", &[("cn", &[b"a"])])).expect_err("no id");
    assert_eq!(unusable, Unusable { dn: "cn=a".to_owned(), reason: "no usable value in entryUUID".to_owned() });
}

#[test]
fn members_of_active_directory_are_asked_for_in_ranges() {
    let selection = Selection::new(
        Flavour::ActiveDirectory,
        Phase::Groups,
        &Arc::default(),
        id("objectGUID"),
        &strings(&["cn", "objectGUID"]),
        None,
        &[("member", Naming::Kept)],
    );
    assert_eq!(selection.requested()[..3], ["cn", "objectGUID", "member;range=0-1499"]);
    let message =
        message(b"cn=g", &[("objectGUID", &[&GUID]), ("member;range=0-1", &[b"cn=a", b"cn=b"]), ("member", &[])]);
    let mut selected = select(&selection, &message).expect("usable");
    assert_eq!(selected.entry.members, [&b"cn=a"[..], b"cn=b"]);
    assert_eq!(selected.entry.attributes[0].1, [&GUID[..]], "a listed objectGUID keeps its exact bytes");
    let partial = Partial { attribute: "member".to_owned(), target: Target::Members, next: 2 };
    assert_eq!(selected.partial, std::slice::from_ref(&partial));
    assert_eq!(selected.values_mut(&partial).expect("members").len(), 2);
}

#[test]
fn a_first_part_that_is_none_makes_the_entry_unusable_instead_of_costing_it_members() {
    let selection = Selection::new(
        Flavour::ActiveDirectory,
        Phase::Groups,
        &Arc::default(),
        id("objectGUID"),
        &[],
        None,
        &[("member", Naming::Kept)],
    );
    for part in ["member;range=0to1", "member;range=", "member;range=2-3", "member;range=2-*"] {
        let message = message(b"cn=g", &[("objectGUID", &[&GUID]), (part, &[b"cn=a", b"cn=b"])]);
        let unusable = select(&selection, &message).expect_err(part);
        assert!(unusable.reason.contains("range of values"), "{part}: {unusable:?}");
    }
    // Nobody asked for that one.
    let message = message(b"cn=g", &[("objectGUID", &[&GUID]), ("other;range=x", &[b"cn=a"])]);
    select(&selection, &message).expect("usable");
}

#[test]
fn the_bit_string_of_a_unique_member_is_no_part_of_its_dn() {
    let selection = Selection::new(
        Flavour::OpenLdap,
        Phase::Users,
        &Arc::default(),
        id("entryUUID"),
        &[],
        None,
        &[("uniqueMember", Naming::Kept)],
    );
    let values: &[&[u8]] = &[b"cn=a#'0101'B", b"cn=b", b"cn=#'x'B", b"cn=c#''B"];
    let message = message(b"cn=g", &[("entryUUID", &[b"1"]), ("uniqueMember", values)]);
    let entry = select(&selection, &message).expect("usable").entry;
    assert_eq!(entry.members, [&b"cn=a"[..], b"cn=b", b"cn=#'x'B", b"cn=c"]);
}

#[test]
fn one_entry_leaves_nothing_behind_for_the_next() {
    let selection = Selection::new(
        Flavour::OpenLdap,
        Phase::Users,
        &Arc::default(),
        id("entryUUID"),
        &strings(&["cn", "sn"]),
        None,
        NOBODY,
    );
    let mut scratch = Vec::new();
    let _ = selection.select(&message(b"cn=a", &[("cn", &[b"a"]), ("sn", &[b"a"])]), &mut scratch);
    let second = message(b"cn=b", &[("entryUUID", &[b"1"]), ("cn", &[b"b"])]);
    let entry = selection.select(&second, &mut scratch).expect("usable").entry;
    assert_eq!(entry.attributes.len(), 1);
    assert_eq!(entry.attributes[0].1, [&b"b"[..]]);
}

#[test]
fn the_switch_is_read_whether_it_is_listed_or_not_and_only_what_is_listed_is_kept() {
    let entry = |flags: &'static [u8]| {
        message(
            b"cn=a",
            &[("objectGUID", &[&GUID]), ("cn", &[b"a"]), ("userAccountControl", &[flags]), ("accountExpires", &[b"0"])],
        )
    };
    let selection = |listed: &[&str]| {
        Selection::new(
            Flavour::ActiveDirectory,
            Phase::Users,
            &Arc::default(),
            id("objectGUID"),
            &strings(listed),
            None,
            NOBODY,
        )
    };
    let disabled = select(&selection(&["cn"]), &entry(b"514")).expect("usable").entry;
    assert_eq!((disabled.switch, disabled.attributes.len()), (Switch::Off, 1));
    let enabled = select(&selection(&["useraccountcontrol"]), &entry(b"512")).expect("usable").entry;
    assert_eq!((enabled.switch, &*enabled.attributes[0].0), (Switch::On, "useraccountcontrol"));
    let hidden = message(b"cn=a", &[("objectGUID", &[&GUID]), ("cn", &[b"a"])]);
    let hidden = select(&selection(&["cn"]), &hidden).expect("usable");
    assert_eq!((hidden.entry.switch, hidden.unreadable), (Switch::Unknown, Some("userAccountControl")));
}

#[test]
fn of_several_logins_the_one_in_the_name_counts_whatever_the_order() {
    let selection =
        Selection::new(Flavour::OpenLdap, Phase::Users, &Arc::default(), id("entryUUID"), &[], Some("uid"), NOBODY);
    let login = |dn: &[u8], uids: &[&[u8]]| {
        let message = message(dn, &[("uid", uids), ("entryUUID", &[b"1"])]);
        select(&selection, &message).expect("usable").entry.unique_value
    };
    for uids in [[&b"alias"[..], b"Main"], [b"Main", b"alias"]] {
        assert_eq!(login(b"userid=main,dc=x", &uids).as_deref(), Some("Main"));
        assert_eq!(login(b"cn=m+0.9.2342.19200300.100.1.1=main,dc=x", &uids).as_deref(), Some("Main"));
    }
    assert_eq!(login(b"cn=m,dc=x", &[b"one", b"two"]).as_deref(), Some("one"));
    assert_eq!(login(b"uid=other,dc=x", &[b"one", b"two"]).as_deref(), Some("one"));
    assert_eq!(login(b"uid=main,dc=x", &[]), None);
}

#[test]
fn a_group_without_the_configured_id_has_the_servers_own() {
    let ids = Ids { attribute: "employeeNumber", own: Some("entryUUID") };
    let selection = Selection::new(Flavour::OpenLdap, Phase::Groups, &Arc::default(), ids, &[], None, NOBODY);
    let id_of = |attributes: &[(&str, &[&[u8]])]| {
        select(&selection, &message(b"cn=g", attributes)).map(|one| one.entry.external_id)
    };
    assert_eq!(id_of(&[("entryUUID", &[b"1"])]).as_deref(), Ok("1"));
    assert_eq!(id_of(&[("entryUUID", &[b"1"]), ("employeeNumber", &[b"7"])]).as_deref(), Ok("7"));
    assert!(id_of(&[]).is_err());
}

#[test]
fn members_are_read_by_each_class_and_unread_ones_are_noticed() {
    let members = [("member", Naming::Kept), ("uniqueMember", Naming::Kept), ("memberUid", Naming::ByUid)];
    let select_with = |members: &[(&str, Naming)], attributes: &[(&str, &[&[u8]])]| {
        let selection =
            Selection::new(Flavour::OpenLdap, Phase::Groups, &Arc::default(), id("entryUUID"), &[], None, members);
        let mut all = attributes.to_vec();
        all.push(("entryUUID", &[b"1"]));
        select(&selection, &message(b"cn=g", &all)).expect("usable")
    };
    let group = select_with(&members, &[("uniqueMember", &[b"cn=a#'1'B"]), ("memberUid", &[b"bert"])]);
    assert_eq!((group.entry.members, group.member_uids), (vec![Bytes::from("cn=a")], vec![Bytes::from("bert")]));
    let unread = [("member", Naming::Kept), ("uniqueMember", Naming::Unread)];
    let group = select_with(&unread, &[("uniqueMember", &[b"cn=a"])]);
    assert_eq!((group.entry.members.len(), group.unread.as_deref()), (0, Some("uniqueMember")));
    let both = select_with(&unread, &[("uniqueMember", &[b"cn=a"]), ("member", &[b"cn=b"])]);
    assert_eq!((both.entry.members.len(), both.unread), (1, None));
}
