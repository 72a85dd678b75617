//! Attributes that the organization defines for its users.

use postern_runtime::plain::quoted;
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::rights::Right;
use crate::identity::profile;
use crate::records::AttributeDefinition;

/// The definitions, for somebody who may see users.
#[derive(Debug)]
pub struct Attributes<'s>(Access<'s>);

/// The definitions, for somebody who may change them.
#[derive(Debug)]
pub struct AttributeChanges<'s>(Access<'s>);

impl Services {
    /// Opens the definitions.
    pub fn attributes<'s>(&'s self, actor: &'s Actor) -> Result<Attributes<'s>> {
        self.open(actor, Right::ReadPeople).map(Attributes)
    }

    /// Opens the definitions to change them.
    pub fn change_attributes<'s>(&'s self, actor: &'s Actor) -> Result<AttributeChanges<'s>> {
        self.open(actor, Right::ChangeOrganization).map(AttributeChanges)
    }
}

impl Attributes<'_> {
    /// All definitions, by name.
    pub async fn list(&self) -> Result<Vec<AttributeDefinition>> {
        Ok(self.0.store().attribute_definitions(self.0.organization()).await?)
    }
}

impl AttributeChanges<'_> {
    /// Defines an attribute.
    pub async fn define(&self, new: AttributeDefinition) -> Result<AttributeDefinition> {
        profile::named(&new.name).map_err(|wrong| Error::field("name", wrong.detail))?;
        let change = Change::new("attribute.defined", None, &new.name).after(&facts(&new));
        let store = self.0.recording(change);
        store.define_attribute(self.0.organization(), &new, self.0.now()).await.map_err(|error| {
            match error.into() {
                Error::Conflict(message) => Error::Conflict(
                    message.cure("Choose another name, or remove the values and the old definition first."),
                ),
                other => other,
            }
        })?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, name = new.name, "attribute.defined");
        Ok(new)
    }

    /// Takes a definition away. Values that users have stay; a sensitive one is refused while there are any.
    pub async fn forget(&self, name: &str) -> Result<()> {
        let known = self.0.store().attribute_definitions(self.0.organization()).await?;
        let known = known.into_iter().find(|defined| defined.name == name).ok_or_else(|| {
            let message = Message::new(format!("There is no attribute {}.", quoted(name)));
            Error::NotFound(message.cure("`postern attributes list` shows those that there are."))
        })?;
        let change = Change::new("attribute.removed", None, name).before(&facts(&known));
        self.0.recording(change).forget_attribute(self.0.organization(), name).await.map_err(|error| {
            match error.into() {
                Error::Conflict(message) => Error::Conflict(message.cure(
                    "Take the values away first: where directories give them, in the mapping rules; then in the users, for \
                     example with `postern users import`. Restore deleted users, or wait until they are forgotten.",
                )),
                other => other,
            }
        })?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, name, "attribute.removed");
        Ok(())
    }
}

fn facts(defined: &AttributeDefinition) -> Value {
    json!({
        "type": defined.kind,
        "required": defined.required,
        "unique": defined.unique,
        "sensitive": defined.sensitive,
    })
}
