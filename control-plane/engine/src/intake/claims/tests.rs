//! A stored account claims the same as its entry did.

use postern_proto::chunk::{ChunkReader, ChunkWriter, Kind, MemberForm};
use postern_store::{AccountId, AccountKind, DirectoryId, ExternalKey, Flavour, OrganizationId, UserRow};

use super::*;
use crate::identity::mapping::Mapping;
use crate::intake::listed::Listed;

type Attributes<'a> = &'a [(&'a str, &'a [&'a [u8]])];

fn place(flavour: Flavour) -> Place {
    Place { organization: OrganizationId::new(), directory: DirectoryId::new(), flavour }
}

/// The user from an entry, and the user from its stored account later.
fn both(place: Place, attributes: Attributes<'_>, listed: &Listed) -> [UserRow; 2] {
    let mut writer = ChunkWriter::new(MemberForm::Dn);
    let mut entry = writer.entry(Kind::User, "id", "uid=a,dc=x", Some("ada"));
    for (name, values) in attributes {
        entry.attribute(name, values.iter().copied());
    }
    entry.finish();
    let payload = writer.finish();
    let mut reader = ChunkReader::parse(&payload).unwrap();
    let mapping = Mapping::new(place.flavour, reader.names());
    let mapping = mapping.with_binary(reader.names(), |name| listed.is_binary(name), listed.binary_stamp());
    let view = reader.next_entry().unwrap().unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let (_, attributes) = mapping.user(&view, now);
    let account = Account {
        id: AccountId::new(),
        organization: place.organization,
        target: place.directory.into(),
        target_name: "corp".to_owned(),
        kind: AccountKind::User,
        external_key: ExternalKey::from_text("id"),
        dn: "uid=a,dc=x".to_owned(),
        unique_value: Some("ada".to_owned()),
        attributes,
        missing_since: None,
        identity: None,
        former_user: None,
        conflict: Some("ada".to_owned()),
        updated_at: now,
        switch: postern_store::Switch::Unknown,
        switch_hidden: false,
        outbound: false,
    };
    let stored = claim(place, None, &account, now).unwrap().wanted;
    let (came, _) = decide::user(place, &mapping, &view, now);
    [UserRow { id: stored.id, ..came }, stored]
}

#[test]
fn of_two_languages_the_same_one_counts_before_and_after() {
    let attributes: Attributes<'_> = &[("sn;lang-fr", &[b"Lion"]), ("cn", &[b"Ada"]), ("sn;lang-de", &[b"Loewe"])];
    let [came, stored] = both(place(Flavour::OpenLdap), attributes, &Listed::default());
    assert_eq!(came.family_name.as_deref(), Some("Lion"));
    assert_eq!(came, stored);
}

#[test]
fn bytes_by_the_schema_of_the_directory_stay_bytes() {
    let listed = Listed::new(&["title".to_owned()], &[]).with_binary(&["title".to_owned()]);
    let [came, stored] = both(place(Flavour::OpenLdap), &[("title", &[b"text by chance"])], &listed);
    assert_eq!(came.attributes, "{}");
    assert_eq!(came, stored);
}
