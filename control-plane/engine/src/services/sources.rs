//! Where the values of a user come from: each from the first directory that has one, or from the organization.

use std::collections::BTreeMap;

use super::access::Access;
use super::error::Result;
use super::known_directories;
use crate::intake::said::{self, SavedRules};
use crate::records::{DirectoryId, UserId};

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

    /// Notes the directory that would say a field if it had a value.
    pub(super) fn add(&mut self, field: String, directory: String) {
        self.fields.insert(field, directory);
    }

    /// Every field that a directory says, with its name.
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }
}

/// The sources of a user's values.
pub(super) async fn of(access: Access<'_>, user: UserId) -> Result<Sources> {
    let accounts = access.store().accounts_of(access.organization(), user.as_uuid()).await?;
    let directories = known_directories::all(access).await?;
    let rules = SavedRules::of(access.store(), &accounts, &directories).await?;
    let said = said::fields(&rules, &accounts, &directories, access.now());
    let name =
        |id: DirectoryId| directories.iter().find(|directory| directory.id == id).map(|found| found.name.clone());
    Ok(Sources { fields: said.into_iter().filter_map(|(field, id)| Some((field, name(id)?))).collect() })
}
