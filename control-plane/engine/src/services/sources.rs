//! Where the values of a user come from: from the directory that provides the profile, or from the organization.

use std::collections::BTreeMap;

use super::access::Access;
use super::error::Result;
use super::known_directories;
use crate::identity::profile;
use crate::intake::conflicts;
use crate::intake::place::Place;
use crate::intake::reading::rules_of;
use crate::records::UserId;

/// The directory that provides a user's profile, and the fields that it says. All others are the organization's.
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
    for account in present {
        // Accounts come in the order in which their directories have precedence.
        let of_account = directories.iter().find(|directory| directory.id == account.target.directory());
        let Some(directory) = of_account.filter(|directory| directory.deleted_at.is_none()) else { continue };
        let (place, rules) = (Place::of(directory), rules_of(access.store(), directory).await?);
        let Some(claim) = conflicts::claim(place, rules.as_ref(), &account, access.now()) else { continue };
        let mut fields: BTreeMap<String, String> =
            profile::values(&claim.wanted).into_keys().map(|field| (field, directory.name.clone())).collect();
        // The name stays the directory's, even while its entry has none.
        fields.insert("user_name".to_owned(), directory.name.clone());
        return Ok(Sources { fields });
    }
    Ok(Sources::default())
}
