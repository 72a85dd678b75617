//! Users and groups by name, as samples of what an import changes or would change.

use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, EntryView, Kind};
use postern_store::{AccountKind, ExternalKey, Flavour, NamedAccount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shortened::shortened;
use crate::identity::mapping::{self, Mapping};

/// The most that are shown of each kind.
pub(super) const SHOWN: usize = 20;

/// A user or group of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = HeldPerson)]
pub struct Person {
    /// The DN.
    pub dn: String,
    /// The current DN of the account, if it may pass to another person. Absent: it stays with the same person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_dn: Option<String>,
    /// The name. Absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl Person {
    /// A person with these names, which may have any length in an entry.
    pub(super) fn new(dn: &str, display_name: Option<&str>) -> Self {
        Self { dn: shortened(dn), former_dn: None, display_name: display_name.map(shortened) }
    }
}

impl From<NamedAccount> for Person {
    fn from(account: NamedAccount) -> Self {
        Self::new(&account.dn, account.display_name.as_deref())
    }
}

/// Whose entry it is.
type Id = (AccountKind, ExternalKey);

/// The first people of these entries that are wanted, named as in the entries. What cannot be read names nobody.
pub(super) fn of_entries(
    payload: &bytes::Bytes,
    flavour: Flavour,
    now: Timestamp,
    wanted: impl Fn(AccountKind, &EntryView<'_>) -> bool,
) -> Vec<(Person, Id)> {
    let mut people = Vec::new();
    let Ok(mut reader) = ChunkReader::parse(payload) else { return people };
    let mapping = Mapping::new(flavour, reader.names());
    while let Ok(Some(entry)) = reader.next_entry() {
        let kind = if entry.kind == Kind::User { AccountKind::User } else { AccountKind::Group };
        if people.len() < SHOWN && wanted(kind, &entry) {
            let display_name = match kind {
                AccountKind::User => mapping.user(&entry, now).0.display_name,
                AccountKind::Group => Some(mapping.group(&entry).0.display_name),
            };
            let person = Person::new(&mapping::printable(entry.dn), display_name.as_deref());
            people.push((person, (kind, ExternalKey::from_text(entry.external_id))));
        }
    }
    people
}
