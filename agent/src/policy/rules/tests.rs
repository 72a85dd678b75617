//! What a hostile control plane may try, and the rule that stops it.

use postern_directory::DirectoryConfig;

use super::*;
use crate::served::Phase;
use crate::served::write::Facts;

/// A site that lets staff be changed, and little of them.
fn rules(lines: &str) -> Rules {
    let text = format!(
        r#"
name = "corp"
urls = ["ldaps://ldap.example"]
bind_dn = "cn=writer,dc=example"
bind_password = "secret"
[users]
base_dns = ["ou=people,dc=example"]
unique_attribute = "uid"
attributes = ["uid"]
[groups]
base_dns = ["ou=groups,dc=example"]
[write]
user_container = "ou=people,dc=example"
[policy]
{lines}
"#
    );
    Rules::new(&toml::from_str::<DirectoryConfig>(&text).unwrap())
}

const STRICT: &str = r#"
read_only = false
operations = ["create", "update", "move", "delete", "members"]
writable_containers = ["ou=staff,ou=people,dc=example", "ou=groups,dc=example"]
writable_attributes = ["cn", "mail", "description"]
protected_dns = ["uid=root,ou=staff,ou=people,dc=example", "ou=board,ou=staff,ou=people,dc=example"]
protected_groups = ["cn=admins,ou=groups,dc=example"]
"#;

struct Tried {
    kind: Kind,
    dn: &'static str,
    destination: Option<&'static str>,
    attributes: &'static [&'static [&'static str]],
    groups: &'static [&'static str],
    members: &'static [&'static str],
    members_group: Option<&'static str>,
    facts: Facts,
    sets_password: bool,
}

const ANNA: &str = "uid=anna,ou=staff,ou=people,dc=example";
const TEAM: &str = "cn=team,ou=groups,dc=example";

fn tried(kind: Kind) -> Tried {
    Tried {
        kind,
        dn: ANNA,
        destination: None,
        attributes: &[],
        groups: &[],
        members: &[],
        members_group: None,
        facts: Facts::default(),
        sets_password: false,
    }
}

/// The rule that is broken; nothing where it is allowed.
fn decided(rules: &Rules, tried: &Tried) -> &'static str {
    let dn = |text: &str| Dn::parse(text).unwrap();
    let dns = |texts: &[&str]| texts.iter().map(|text| dn(text)).collect::<Vec<Dn>>();
    let (own, destination) = (dn(tried.dn), tried.destination.map(dn));
    let (groups, members) = (dns(tried.groups), dns(tried.members));
    let nested = tried.members_group.map(dn);
    let written = |names: &&[&str]| Written {
        description: names[0].to_owned(),
        names: names.iter().map(|name| name.split(';').next().unwrap().to_ascii_lowercase()).collect(),
    };
    let intent = Intent {
        kind: tried.kind,
        phase: Phase::Users,
        external_id: None,
        dn: &own,
        destination: destination.as_ref(),
        attributes: tried.attributes.iter().map(written).collect(),
        groups: groups.iter().collect(),
        members: members.iter().collect(),
        members_group: nested.as_ref(),
        sets_password: tried.sets_password,
        facts: &tried.facts,
        again: false,
    };
    rules.decide(&intent).err().map_or("", |broken| broken.rule)
}

#[test]
fn nothing_is_written_until_the_site_says_so() {
    for lines in ["", "operations = [\"update\"]", "read_only = true"] {
        assert_eq!(decided(&rules(lines), &tried(Kind::Update)), "read_only", "{lines}");
    }
    assert_eq!(decided(&Rules::default(), &tried(Kind::Update)), "read_only");
    assert_eq!(decided(&rules("read_only = false"), &tried(Kind::Update)), "");
}

#[test]
fn only_listed_operations_are_allowed() {
    let strict = rules(STRICT);
    for kind in Kind::ALL {
        let allowed = !matches!(kind, Kind::Enable | Kind::Disable | Kind::Unlock | Kind::SetPassword);
        let expected = if allowed { "" } else { "operations" };
        assert_eq!(decided(&strict, &tried(kind)), expected, "{kind:?}");
    }
    let with_password = Tried { sets_password: true, ..tried(Kind::Create) };
    assert_eq!(decided(&strict, &with_password), "operations", "a new user's password is one too");
    assert_eq!(decided(&rules("read_only = false\noperations = []"), &tried(Kind::Update)), "operations");
}

#[test]
fn only_entries_below_a_writable_container_are_changed_in_whatever_spelling() {
    let strict = rules(STRICT);
    for (dn, expected) in [
        (ANNA, ""),
        ("UID=anna, OU=Staff,OU=PEOPLE,DC=Example", ""),
        ("uid=anna,ou=st\\61ff,ou=people,dc=example", ""),
        ("2.5.4.3=anna,2.5.4.11=staff,ou=people,dc=example", ""),
        ("uid=anna,ou=sales,ou=people,dc=example", "writable_containers"),
        ("ou=staff,ou=people,dc=example", "writable_containers"),
        ("ou=people,dc=example", "writable_containers"),
        ("uid=anna,dc=example", "writable_containers"),
        ("uid=anna\\,ou=staff,ou=people,dc=example", "writable_containers"),
        ("uid=anna,ou=staff\\,ou=people,dc=example", "writable_containers"),
        ("uid=anna,ou=staff+cn=x,ou=people,dc=example", "writable_containers"),
        ("uid=anna,ou=sta\u{200b}ff,ou=people,dc=example", "writable_containers"),
        ("uid=anna,ou=staff,ou=people,dc=example,dc=evil", "writable_containers"),
        ("uid=anna,ou=xstaff,ou=people,dc=example", "writable_containers"),
    ] {
        for kind in [Kind::Create, Kind::Update, Kind::Move, Kind::Delete] {
            let found = decided(&strict, &Tried { dn, ..tried(kind) });
            // A container that is moved or deleted carries along what is protected, which is said first.
            let carries = matches!(kind, Kind::Move | Kind::Delete) && found == "protected_dns";
            assert!(found == expected || carries && !expected.is_empty(), "{kind:?} {dn}: {found}");
        }
        if expected.is_empty() {
            continue;
        }
        let out = Tried { destination: Some(dn), ..tried(Kind::Move) };
        assert!(!decided(&strict, &out).is_empty(), "moved to {dn}");
    }
    let group = Tried { groups: &["cn=team,ou=other,dc=example"], ..tried(Kind::Delete) };
    assert_eq!(decided(&strict, &group), "writable_containers", "a group elsewhere would lose a member");
}

#[test]
fn only_the_containers_of_new_entries_are_written_where_the_site_names_none() {
    let text = r#"
name = "corp"
urls = ["ldaps://ldap.example"]
bind_dn = "cn=writer,dc=example"
bind_password = "secret"
[users]
base_dns = ["dc=example"]
unique_attribute = "uid"
attributes = ["uid"]
[write]
user_container = "ou=people,dc=example"
[policy]
read_only = false
"#;
    let default = Rules::new(&toml::from_str::<DirectoryConfig>(text).unwrap());
    let admin = "uid=root,ou=admins,dc=example";
    for kind in Kind::ALL {
        assert_eq!(decided(&default, &tried(kind)), "", "{kind:?}");
        let elsewhere = Tried { dn: admin, ..tried(kind) };
        assert_eq!(decided(&default, &elsewhere), "writable_containers", "{kind:?} outside of the container");
    }
    let away = Tried { destination: Some(admin), ..tried(Kind::Move) };
    assert_eq!(decided(&default, &away), "writable_containers");
    assert_eq!(decided(&default, &Tried { groups: &[TEAM], ..tried(Kind::Delete) }), "writable_containers");
}

#[test]
fn only_listed_attributes_are_written_by_all_their_names() {
    let strict = rules(STRICT);
    for (names, expected) in [
        (&["mail", "rfc822mailbox", "0.9.2342.19200300.100.1.3"][..], ""),
        (&["0.9.2342.19200300.100.1.3", "mail", "rfc822mailbox"], ""),
        (&["MAIL;lang-de", "mail"], ""),
        (&["userPassword;binary", "userpassword", "2.5.4.35"], "writable_attributes"),
        (&["2.5.4.35", "userpassword"], "writable_attributes"),
        (&["sn"], "writable_attributes"),
        (&["mail2"], "writable_attributes"),
        (&["1.2.3.4"], "writable_attributes"),
        (&["objectClass"], "writable_attributes"),
    ] {
        let list: &'static [&'static [&'static str]] = Box::leak(vec![&["cn"][..], names].into_boxed_slice());
        for kind in [Kind::Create, Kind::Update] {
            assert_eq!(decided(&strict, &Tried { attributes: list, ..tried(kind) }), expected, "{names:?}");
        }
    }
    let renamed = Tried { destination: Some("uid=bob,ou=staff,ou=people,dc=example"), ..tried(Kind::Move) };
    assert_eq!(decided(&strict, &renamed), "writable_attributes", "a rename writes uid");
    let renamed = Tried { dn: TEAM, destination: Some("cn=other,ou=groups,dc=example"), ..tried(Kind::Move) };
    assert_eq!(decided(&strict, &renamed), "");
    let moved = Tried { destination: Some("uid=anna,ou=x,ou=staff,ou=people,dc=example"), ..tried(Kind::Move) };
    assert_eq!(decided(&strict, &moved), "");
}

#[test]
fn protected_entries_are_left_alone_from_every_side() {
    let strict = rules(STRICT);
    let root = "UID=Root , ou=staff,ou=people,dc=example";
    let board = "uid=eve,ou=b\\6fard,ou=staff,ou=people,dc=example";
    for dn in [root, board, "ou=board,ou=staff,ou=people,dc=example"] {
        for kind in [Kind::Update, Kind::Move, Kind::Delete, Kind::Create] {
            assert_eq!(decided(&strict, &Tried { dn, ..tried(kind) }), "protected_dns", "{kind:?} {dn}");
        }
        let into = Tried { destination: Some(dn), ..tried(Kind::Move) };
        assert_eq!(decided(&strict, &into), "protected_dns", "moved to {dn}");
        let members: &'static [&'static str] = Box::leak(vec![ANNA, dn].into_boxed_slice());
        let member = Tried { dn: TEAM, groups: &[TEAM], members, ..tried(Kind::Members) };
        assert_eq!(decided(&strict, &member), "protected_dns", "{dn} becomes a member");
    }
    let rules = rules(&STRICT.replace("ou=staff,ou=people,dc=example\", \"ou=groups", "dc=example\", \"ou=groups"));
    for kind in [Kind::Move, Kind::Delete] {
        let above = Tried { dn: "ou=staff,ou=people,dc=example", ..tried(kind) };
        assert_eq!(decided(&rules, &above), "protected_dns", "a container above is carried along: {kind:?}");
        let above = Tried { dn: "ou=groups,dc=example", ..tried(kind) };
        assert_eq!(decided(&rules, &above), "protected_groups", "{kind:?}");
    }
}

#[test]
fn protected_groups_protect_themselves_and_their_members() {
    let strict = rules(STRICT);
    let admins = "CN=Admins,ou=groups,dc=example";
    for kind in [Kind::Update, Kind::Delete, Kind::Members, Kind::Create] {
        assert_eq!(decided(&strict, &Tried { dn: admins, ..tried(kind) }), "protected_groups", "{kind:?}");
    }
    let nested =
        Tried { dn: TEAM, groups: &[TEAM], members: &["CN=Admins,ou=groups,dc=example"], ..tried(Kind::Members) };
    assert_eq!(decided(&strict, &nested), "protected_groups", "its members would be the team's");
    let member = Tried {
        dn: TEAM,
        members: &[ANNA],
        members_group: Some("cn=admins,ou=groups,dc=example"),
        ..tried(Kind::Members)
    };
    assert_eq!(decided(&strict, &member), "protected_groups", "an administrator joins or leaves another group");
    let renamed = Tried { destination: Some("CN=Admins,ou=groups,dc=example"), dn: TEAM, ..tried(Kind::Move) };
    assert_eq!(decided(&strict, &renamed), "protected_groups", "nobody takes its name");
    for kind in Kind::ALL.into_iter().filter(|kind| strict.of_kind(*kind, false).is_ok()) {
        let facts = Facts { protected_group: Some(Dn::parse(admins).unwrap()), ..Facts::default() };
        assert_eq!(decided(&strict, &Tried { facts, ..tried(kind) }), "protected_groups", "{kind:?} of a member");
    }
}

#[test]
fn nobody_protected_is_carried_along() {
    let admins = Dn::parse("cn=admins,ou=groups,dc=example").ok();
    for kind in [Kind::Move, Kind::Delete] {
        let facts = Facts { protected_below: admins.clone(), ..Facts::default() };
        let tried = Tried { destination: (kind == Kind::Move).then_some(ANNA), facts, ..tried(kind) };
        assert_eq!(decided(&rules(STRICT), &tried), "protected_groups", "{kind:?}");
    }
}
