//! Tries outbound rules on one user or group of the organization: what the directory would get. Nothing is written, and
//! nothing is sent.

use std::collections::BTreeMap;

use serde_json::Value;

use super::access::{Access, Services};
use super::actor::Actor;
use super::error::{Error, Result};
use super::known_directories::find;
use super::mapping::{compiled_outbound, defaults, rules_of};
use super::resolve;
use super::rights::Right;
use crate::identity::attributes::MASK;
use crate::identity::mapping::outbound::Wanted;
use crate::identity::mapping::rules::{Rule, RuleOf};
use crate::identity::profile;
use crate::provisioning::sensitive::shown;
use crate::records::{Directory, MappingDirection};

/// Previews of outbound rules, for somebody who may save them.
#[derive(Debug)]
pub struct OutboundPreviews<'s>(Access<'s>);

/// What a directory would get.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundPreview {
    /// The directory.
    pub directory: Directory,
    /// The version of the saved rules, 0 where none are saved. `None`: the rules came with the request.
    pub version: Option<u32>,
    /// The name of the user or group.
    pub name: String,
    /// The fields that rules can read.
    pub fields: BTreeMap<String, Value>,
    /// What each rule gives.
    pub wanted: Vec<Wanted>,
}

impl Services {
    /// Opens previews of outbound rules.
    pub fn preview_outbound_mappings<'s>(&'s self, actor: &'s Actor) -> Result<OutboundPreviews<'s>> {
        self.open(actor, Right::ChangeDirectories).map(OutboundPreviews)
    }
}

impl OutboundPreviews<'_> {
    /// Tries rules on a user or group. Without rules, those that are saved.
    pub async fn preview(
        &self,
        directory: &str,
        (of, named): (RuleOf, &str),
        rules: Option<Vec<Rule>>,
    ) -> Result<OutboundPreview> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let directory = find(self.0, directory).await?;
        let (version, source) = match rules {
            Some(rules) => (None, rules),
            None => match store.current_mapping(organization, directory.id, MappingDirection::Outbound).await? {
                Some(saved) => (Some(saved.version), rules_of(&saved)),
                None => (Some(0), defaults(&directory, MappingDirection::Outbound)),
            },
        };
        let rules = compiled_outbound(&source)?;
        let (name, mut fields) = self.subject(of, named).await?;
        let mut wanted = rules.wanted(of, &fields);
        for defined in store.attribute_definitions(organization).await?.iter().filter(|defined| defined.sensitive) {
            let field = profile::further(&defined.name);
            for wanted in wanted.iter_mut().filter(|wanted| wanted.reads.contains(&field)) {
                match &mut wanted.values {
                    Ok(values) => values.iter_mut().for_each(|value| MASK.clone_into(value)),
                    Err(reason) => *reason = shown(|read| *read == field, &wanted.reads, std::mem::take(reason)),
                }
            }
            if let Some(value) = fields.get_mut(&field) {
                *value = MASK.into();
            }
        }
        Ok(OutboundPreview { directory, version, name, fields, wanted })
    }

    /// The name and the fields of a user or group.
    async fn subject(&self, of: RuleOf, named: &str) -> Result<(String, BTreeMap<String, Value>)> {
        let (store, organization) = (self.0.store(), self.0.organization());
        match of {
            RuleOf::Users => {
                let id = resolve::user(self.0, named).await?;
                let user = store.get_user(organization, id).await?.ok_or_else(|| Error::no("user"))?;
                let mut fields = profile::values(&user);
                fields.insert("active".to_owned(), user.active.into());
                Ok((user.user_name, fields))
            }
            RuleOf::Groups => {
                let id = resolve::group(self.0, named).await?;
                let group = store.get_group(organization, id).await?.ok_or_else(|| Error::no("group"))?;
                let name = ("display_name".to_owned(), Value::from(group.display_name.clone()));
                let description = group.description.map(|text| ("description".to_owned(), Value::from(text)));
                Ok((group.display_name, std::iter::once(name).chain(description).collect()))
            }
        }
    }
}
