//! The order of the directories: of a user that several directories have, each value comes from the first that has one.

use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::known_directories;
use super::rights::Right;
use super::terms::Terms;
use super::versions;
use crate::intake::effect::Effect;
use crate::intake::effect_of_order;
use crate::records::{Directory, DirectoryId};

/// Read access to the order.
#[derive(Debug)]
pub struct DirectoryOrder<'s>(Access<'s>);

/// Access to change the order.
#[derive(Debug)]
pub struct DirectoryOrderChanges<'s>(Access<'s>);

/// The order as it stands.
#[derive(Clone, Debug)]
pub struct Order {
    /// The directories, the first provides values before all others.
    pub directories: Vec<Directory>,
    /// Whether the profiles of all users follow this order by now.
    pub applied: bool,
}

impl Order {
    /// What identifies this order.
    pub fn version(&self) -> Vec<DirectoryId> {
        self.directories.iter().map(|directory| directory.id).collect()
    }
}

impl Services {
    /// Opens the order of the directories.
    pub fn directory_order<'s>(&'s self, actor: &'s Actor) -> Result<DirectoryOrder<'s>> {
        self.open(actor, Right::ReadDirectories).map(DirectoryOrder)
    }

    /// Opens the order of the directories, to change it. It decides whose administrators provide the values of users.
    pub fn change_directory_order<'s>(&'s self, actor: &'s Actor) -> Result<DirectoryOrderChanges<'s>> {
        self.open(actor, Right::ChangeOrganization).map(DirectoryOrderChanges)
    }
}

impl DirectoryOrder<'_> {
    /// The order.
    pub async fn get(&self) -> Result<Order> {
        get(self.0).await
    }
}

impl DirectoryOrderChanges<'_> {
    /// Puts these directories first, by name, display name or id; all others follow in their present order. Users are mapped
    /// anew in the background.
    pub async fn set(&self, first: &[String], terms: Terms<'_>) -> Result<Order> {
        let organization = self.0.organization();
        let before = get(self.0).await?;
        if terms.known.is_some_and(|known| !versions::fits(known, &versions::of(&before.version()))) {
            return Err(outdated());
        }
        let wanted = self.wanted(&before, first).await?;
        let ids: Vec<DirectoryId> = wanted.iter().map(|directory| directory.id).collect();
        if ids == before.version() {
            return Ok(before);
        }
        let effect = terms.confirm("The order", self.counted(&wanted).await?)?;
        let names = |directories: &[Directory]| directories.iter().map(|directory| directory.name.clone()).collect();
        let (former, names): (Vec<String>, Vec<String>) = (names(&before.directories), names(&wanted));
        let mut after = json!({ "directories": names });
        if effect.needs_confirmation {
            after["confirmed_losses"] = effect.losing.into();
        }
        let change = Change::new("directories.ordered", organization.as_uuid(), "the order of the directories");
        let change = change.before(&json!({ "directories": former })).after(&after);
        let recording = self.0.recording(change);
        let now = self.0.now();
        if !recording.set_directory_order(organization, &ids, Some(&before.version()), now).await? {
            return Err(outdated());
        }
        tracing::info!(%organization, by = %self.0.actor().who, "directories.ordered");
        get(self.0).await
    }

    /// What an order would change of the users that several directories have.
    pub async fn effect(&self, first: &[String]) -> Result<Effect> {
        let before = get(self.0).await?;
        let wanted = self.wanted(&before, first).await?;
        self.counted(&wanted).await
    }

    async fn counted(&self, wanted: &[Directory]) -> Result<Effect> {
        let _turn = self.0.turn().await;
        Ok(effect_of_order::of(self.0.store(), self.0.organization(), wanted, self.0.now()).await?)
    }

    /// All directories in the order that puts these first.
    async fn wanted(&self, before: &Order, first: &[String]) -> Result<Vec<Directory>> {
        let mut wanted: Vec<Directory> = Vec::with_capacity(before.directories.len());
        for (place, named) in first.iter().enumerate() {
            let directory = known_directories::find(self.0, named).await?;
            if wanted.iter().any(|known| known.id == directory.id) {
                let what = format!("{} stands there twice", directory.name);
                return Err(Error::field(format!("directories[{place}]"), what));
            }
            wanted.push(directory);
        }
        for directory in &before.directories {
            if !wanted.iter().any(|known| known.id == directory.id) {
                wanted.push(directory.clone());
            }
        }
        Ok(wanted)
    }
}

async fn get(access: Access<'_>) -> Result<Order> {
    let (store, organization) = (access.store(), access.organization());
    let mut known = known_directories::all(access).await?;
    let order = store.directory_order(organization).await?;
    let place = |directory: &Directory| order.iter().position(|id| *id == directory.id).unwrap_or(order.len());
    known.sort_by_key(place);
    let applied = store.order_is_applied(organization).await?.unwrap_or(true);
    Ok(Order { directories: known, applied })
}

fn outdated() -> Error {
    let message = Message::new("The order is not the one that the change is based on.");
    Error::Outdated(message.cure("Read the order again (`postern directories order`), and change what it is now."))
}
