//! The default mapping: how the attributes of an account become those of a user or group, for each flavour of
//! directory; and the account's own attributes as JSON. One pass, no tree in between.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use postern_proto::chunk::{EntryView, Kind, Values};
use postern_store::Flavour;

/// What a user becomes from one account.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MappedUser<'e> {
    /// The name that the organization knows the user by; `None` when the entry offers none.
    pub user_name: Option<Cow<'e, str>>,
    /// First name.
    pub given_name: Option<Cow<'e, str>>,
    /// Last name.
    pub family_name: Option<Cow<'e, str>>,
    /// How people see the user.
    pub display_name: Option<Cow<'e, str>>,
    /// Address of the first mailbox.
    pub email: Option<Cow<'e, str>>,
    /// Whether the directory lets the user in.
    pub active: bool,
    /// Further attributes, a JSON object of strings.
    pub attributes: String,
}

/// What a group becomes from one account.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MappedGroup<'e> {
    /// How people see the group.
    pub display_name: Cow<'e, str>,
    /// What it is for.
    pub description: Option<Cow<'e, str>>,
}

/// A field with the attributes that may fill it, best first.
struct Rule {
    field: Field,
    attributes: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    UserName,
    GivenName,
    FamilyName,
    DisplayName,
    Email,
}

const FIELDS: usize = 5;

const ACTIVE_DIRECTORY: [Rule; FIELDS] = [
    Rule { field: Field::UserName, attributes: &["userprincipalname", "samaccountname"] },
    Rule { field: Field::GivenName, attributes: &["givenname"] },
    Rule { field: Field::FamilyName, attributes: &["sn"] },
    Rule { field: Field::DisplayName, attributes: &["displayname", "cn", "name"] },
    Rule { field: Field::Email, attributes: &["mail", "userprincipalname"] },
];

const OTHERS: [Rule; FIELDS] = [
    Rule { field: Field::UserName, attributes: &["uid", "mail", "cn"] },
    Rule { field: Field::GivenName, attributes: &["givenname"] },
    Rule { field: Field::FamilyName, attributes: &["sn", "surname"] },
    Rule { field: Field::DisplayName, attributes: &["displayname", "cn"] },
    Rule { field: Field::Email, attributes: &["mail", "rfc822mailbox"] },
];

/// Attributes that a user keeps beside the fields, under the name that the organization uses.
const FURTHER: [(&str, &str); 13] = [
    ("title", "title"),
    ("department", "department"),
    ("departmentnumber", "department"),
    ("telephonenumber", "phone_number"),
    ("mobile", "mobile_number"),
    ("employeenumber", "employee_number"),
    ("employeeid", "employee_number"),
    ("employeetype", "employee_type"),
    ("l", "location"),
    ("physicaldeliveryofficename", "office"),
    ("company", "company"),
    ("o", "company"),
    ("preferredlanguage", "locale"),
];

/// `ADS_UF_ACCOUNTDISABLE` (MS-ADTS 2.2.16).
const ACCOUNT_DISABLED: u32 = 0x2;
/// The value by which password policy locks an account for good (draft-behera-ldap-password-policy, 5.3.3); any
/// other is a lock that ends by itself, after a few wrong passwords.
const LOCKED_FOR_GOOD: &str = "000001010000Z";

fn rules(flavour: Flavour) -> &'static [Rule; FIELDS] {
    match flavour {
        Flavour::ActiveDirectory => &ACTIVE_DIRECTORY,
        Flavour::Generic | Flavour::OpenLdap | Flavour::Ds389 | Flavour::Unknown => &OTHERS,
    }
}

/// Maps a user's account. The name is the entry's unique value; the flavour's own attributes fill in for a missing one.
pub fn user<'e>(flavour: Flavour, entry: &EntryView<'e>, now: Timestamp) -> MappedUser<'e> {
    let rules = rules(flavour);
    let mut found: [(usize, Option<&'e str>); FIELDS] = [(usize::MAX, None); FIELDS];
    let mut further: [Option<(&str, &'e str)>; FURTHER.len()] = [None; FURTHER.len()];
    let mut active = true;
    for (name, values) in entry.attributes() {
        let Some(value) = first_text(values) else { continue };
        for (rule, best) in rules.iter().zip(&mut found) {
            let rank = rule.attributes.iter().position(|attribute| attribute.eq_ignore_ascii_case(name));
            if let Some(rank) = rank.filter(|rank| *rank < best.0) {
                *best = (rank, Some(value));
            }
        }
        if let Some(place) = FURTHER.iter().position(|(attribute, _)| attribute.eq_ignore_ascii_case(name)) {
            further[place] = Some((FURTHER[place].1, value));
        }
        active &= !disables(name, value, now);
    }
    let field = |field: Field| {
        let place = rules.iter().position(|rule| rule.field == field)?;
        found[place].1.map(printable)
    };
    MappedUser {
        user_name: entry
            .unique_value
            .filter(|value| !value.is_empty())
            .map(printable)
            .or_else(|| field(Field::UserName)),
        given_name: field(Field::GivenName),
        family_name: field(Field::FamilyName),
        display_name: field(Field::DisplayName),
        email: field(Field::Email),
        active,
        attributes: further_json(&further),
    }
}

/// Maps a group's account; a group without a name of its own is shown by its DN.
pub fn group<'e>(entry: &EntryView<'e>) -> MappedGroup<'e> {
    let mut name: (usize, Option<&'e str>) = (usize::MAX, None);
    let mut description = None;
    for (attribute, values) in entry.attributes() {
        let rank = ["displayname", "cn", "name", "samaccountname"]
            .iter()
            .position(|candidate| candidate.eq_ignore_ascii_case(attribute));
        if let Some(rank) = rank.filter(|rank| *rank < name.0) {
            name = first_text(values.clone()).map_or(name, |value| (rank, Some(value)));
        }
        if attribute.eq_ignore_ascii_case("description") {
            description = first_text(values).map(printable);
        }
    }
    MappedGroup { display_name: printable(name.1.unwrap_or(entry.dn)), description }
}

/// The attributes of an account: `{"name": ["text", {"base64": "…"}]}`.
pub fn account_attributes(entry: &EntryView<'_>) -> String {
    let mut out = Vec::with_capacity(512);
    out.push(b'{');
    for (place, (name, values)) in entry.attributes().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        put_string(&mut out, name);
        out.extend_from_slice(b":[");
        for (place, value) in values.enumerate() {
            if place > 0 {
                out.push(b',');
            }
            if let Some(text) = text(value) {
                put_string(&mut out, text);
            } else {
                out.extend_from_slice(b"{\"base64\":\"");
                out.extend_from_slice(STANDARD.encode(value).as_bytes());
                out.extend_from_slice(b"\"}");
            }
        }
        out.push(b']');
    }
    out.push(b'}');
    into_text(out)
}

/// A text as databases take it: PostgreSQL has no place for NUL.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Whether this attribute says that the directory does not let the user in.
fn disables(name: &str, value: &str, now: Timestamp) -> bool {
    if name.eq_ignore_ascii_case("useraccountcontrol") {
        // AD writes the flags as a signed 32-bit number.
        return value.parse::<i64>().is_ok_and(|flags| flags & i64::from(ACCOUNT_DISABLED) != 0);
    }
    if name.eq_ignore_ascii_case("nsaccountlock") {
        return value.eq_ignore_ascii_case("true");
    }
    if name.eq_ignore_ascii_case("pwdaccountlockedtime") {
        return value == LOCKED_FOR_GOOD;
    }
    if name.eq_ignore_ascii_case("shadowexpire") {
        return has_come(value, now);
    }
    false
}

/// Whether this day has come: days since 1970 (shadow(5)); -1 means never.
fn has_come(day: &str, now: Timestamp) -> bool {
    let today = now.as_second().div_euclid(24 * 60 * 60);
    day.parse::<i64>().is_ok_and(|day| day >= 0 && day <= today)
}

/// Whether the day has come from which on the directory lets the user in no more. Of all that the mapping reads, only
/// this changes with no change of the entry.
pub fn expired(view: &EntryView<'_>, now: Timestamp) -> bool {
    let expires = |(name, values): (&str, Values<'_>)| {
        name.eq_ignore_ascii_case("shadowexpire") && first_text(values).is_some_and(|day| has_come(day, now))
    };
    view.kind == Kind::User && view.attributes().any(expires)
}

fn further_json(further: &[Option<(&str, &str)>]) -> String {
    let mut out = vec![b'{'];
    let mut seen: [&str; FURTHER.len()] = [""; FURTHER.len()];
    let mut count = 0;
    for (name, value) in further.iter().flatten() {
        // Several attributes may fill one place; the table lists the better first.
        if seen[..count].contains(name) {
            continue;
        }
        seen[count] = name;
        count += 1;
        if count > 1 {
            out.push(b',');
        }
        put_string(&mut out, name);
        out.push(b':');
        put_string(&mut out, &printable(value));
    }
    out.push(b'}');
    into_text(out)
}

fn first_text(mut values: Values<'_>) -> Option<&str> {
    values.find_map(|value| text(value).filter(|text| !text.trim().is_empty()))
}

/// A value that JSON and every database can hold as text.
fn text(value: &[u8]) -> Option<&str> {
    if value.contains(&0) {
        return None;
    }
    std::str::from_utf8(value).ok()
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn into_text(out: Vec<u8>) -> String {
    // It was put together from text only; should it not be, an empty object is at least valid.
    String::from_utf8(out).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use postern_proto::chunk::{ChunkReader, ChunkWriter, Kind, MemberForm};

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

    fn active(flavour: Flavour, name: &str, value: &str) -> bool {
        mapped(&chunk(Some("a"), &[(name, &[value.as_bytes()])]), |entry| {
            user(flavour, entry, Timestamp::from_second(1_800_000_000).unwrap()).active
        })
    }

    #[test]
    fn the_unique_value_names_the_user_and_the_flavour_fills_in() {
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
        let user = mapped(&payload, |entry| {
            let user = user(Flavour::ActiveDirectory, entry, Timestamp::UNIX_EPOCH);
            (
                user.user_name.unwrap().into_owned(),
                user.given_name.unwrap().into_owned(),
                user.display_name.unwrap().into_owned(),
                user.email.unwrap().into_owned(),
                user.attributes,
            )
        });
        assert_eq!(user.0, "ada@corp.example");
        assert_eq!((user.1.as_str(), user.2.as_str(), user.3.as_str()), ("Ada", "Ada Löwe", "ada@corp.example"));
        assert_eq!(user.4, r#"{"department":"Engines"}"#);
        let payload = chunk(Some("ada"), attributes);
        assert_eq!(
            mapped(&payload, |entry| super::user(Flavour::OpenLdap, entry, Timestamp::UNIX_EPOCH)
                .user_name
                .unwrap()
                .into_owned()),
            "ada"
        );
    }

    #[test]
    fn each_flavours_way_to_disable_an_account_is_seen() {
        assert!(active(Flavour::ActiveDirectory, "userAccountControl", "512"));
        assert!(!active(Flavour::ActiveDirectory, "userAccountControl", "514"));
        assert!(!active(Flavour::ActiveDirectory, "useraccountcontrol", "-2147483134"), "a signed number");
        assert!(!active(Flavour::Ds389, "nsAccountLock", "TRUE"));
        assert!(active(Flavour::Ds389, "nsAccountLock", "false"));
        assert!(!active(Flavour::OpenLdap, "pwdAccountLockedTime", "000001010000Z"));
        assert!(active(Flavour::OpenLdap, "pwdAccountLockedTime", "20260101120000Z"), "a lock that ends by itself");
        assert!(!active(Flavour::Generic, "shadowExpire", "1"));
        assert!(active(Flavour::Generic, "shadowExpire", "-1"));
        assert!(active(Flavour::Generic, "shadowExpire", "90000"));
    }

    #[test]
    fn values_that_are_no_text_are_base64() {
        let payload =
            chunk(None, &[("cn", &[b"a\"b\\\n", "ü".as_bytes()]), ("photo", &[&[0xff, 0xd8], b"a\0b"]), ("none", &[])]);
        let json = mapped(&payload, account_attributes);
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
            let json = mapped(&payload, account_attributes);
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            proptest::prop_assert_eq!(parsed[&name].as_array().unwrap().len(), values.len());
        }
    }
}
