//! The groups that the settings of directories name.

use super::access::Access;
use super::error::{Error, Message, Result};
use crate::provisioning::settings::Settings;
use crate::records::{GroupId, Provisioning};

/// The directories whose settings name a group, for people. `None`: none does.
pub(super) async fn directories_that_name(access: Access<'_>, group: GroupId) -> Result<Option<Message>> {
    let mut names = Vec::new();
    for provisioning in access.store().list_provisioning(access.organization()).await? {
        let settings = read(&provisioning)?;
        if settings.assigned_groups().iter().chain(&settings.groups).any(|named| *named == group.as_uuid()) {
            let found = access.store().get_directory(access.organization(), provisioning.target.directory()).await?;
            names.extend(found.map(|directory| directory.name));
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    let text = format!("What {} gets depends on this group: its members may lose their accounts.", names.join(", "));
    Ok(Some(Message::new(text).cure(
        "Change the settings first (`postern provisioning set`), or delete the group all the same: `postern groups \
         delete` asks, and says how many accounts there are; the API takes `provisioned=true`.",
    )))
}

/// The settings of a directory.
pub(super) fn read(provisioning: &Provisioning) -> Result<Settings> {
    serde_json::from_value(provisioning.settings.clone())
        .map_err(|error| Error::Internal(postern_store::Error::corrupt(error.to_string())))
}
