//! Where the values of a user come from: each from the first directory that has one, or from the organization.

use std::collections::BTreeMap;

use super::access::Access;
use super::error::Result;
use super::known_directories;
use crate::identity::profile;
use crate::intake::claims::claim;
use crate::intake::place::Place;
use crate::intake::reading::saved_rules_of;
use crate::records::UserId;

/// The fields of a user that directories say, each with the first that does. All others are the organization's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    fields: BTreeMap<String, String>,
}

impl Sources {
    /// The name of the directory that says a field. `None`: the organization may say it.
    pub fn directory_of(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// Every field that a directory says, with its name.
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }
}

/// The sources of a user's values.
pub(super) async fn of(access: Access<'_>, user: UserId) -> Result<Sources> {
    let accounts = access.store().accounts_of(access.organization(), user.as_uuid()).await?;
    let present = accounts.into_iter().filter(|account| account.missing_since.is_none());
    let directories = known_directories::all(access).await?;
    let mut fields = BTreeMap::new();
    // They come in the order of their directories.
    for account in present {
        let of_account = directories.iter().find(|directory| directory.id == account.target.directory());
        let Some(directory) = of_account.filter(|directory| directory.deleted_at.is_none()) else { continue };
        let (place, rules) = (Place::of(directory), saved_rules_of(access.store(), directory).await?);
        let Some(claim) = claim(place, rules.as_ref(), &account, access.now()) else { continue };
        // The name stays the first directory's, even while its entry has none.
        fields.entry("user_name".to_owned()).or_insert_with(|| directory.name.clone());
        for field in profile::values(&claim.wanted).into_keys() {
            fields.entry(field).or_insert_with(|| directory.name.clone());
        }
    }
    Ok(Sources { fields })
}
