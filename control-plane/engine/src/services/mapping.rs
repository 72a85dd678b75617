//! The rules of a directory: how its accounts become users and groups, and what it gets of users and groups.

use std::sync::Arc;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::mapping_facts::facts;
use super::rights::Right;
use super::terms::Terms;
use super::versions;
use crate::identity::mapping::definitions::Definitions;
use crate::identity::mapping::outbound::{self, Outbound};
use crate::identity::mapping::rules::{self, Rule, RuleFault, Rules};
use crate::intake::effect::Effect;
use crate::intake::effect_of_rules;
use crate::records::{Directory, Flavour, MappingDirection, MappingProgress, MappingVersion, NewMapping};

/// The rules of directories, for somebody who may see them.
#[derive(Debug)]
pub struct Mappings<'s>(Access<'s>, MappingDirection);

/// The rules of directories, for somebody who may change them.
#[derive(Debug)]
pub struct MappingChanges<'s>(Access<'s>, MappingDirection);

/// The rules of a directory as they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The directory.
    pub directory: Directory,
    /// The current version. `None`: none were ever saved.
    pub saved: Option<MappingVersion>,
    /// The current rules. Where none were ever saved, the default mapping as rules.
    pub rules: Vec<Rule>,
    /// How far the stored accounts are mapped by them. `None`: none were ever saved.
    pub progress: Option<MappingProgress>,
}

impl Services {
    /// Opens the rules of directories by which accounts become users and groups.
    pub fn mappings<'s>(&'s self, actor: &'s Actor) -> Result<Mappings<'s>> {
        let access = self.open(actor, Right::ReadDirectories)?;
        Ok(Mappings(access, MappingDirection::Inbound))
    }

    /// Opens the rules of what directories get.
    pub fn outbound_mappings<'s>(&'s self, actor: &'s Actor) -> Result<Mappings<'s>> {
        let access = self.open(actor, Right::ReadDirectories)?;
        Ok(Mappings(access, MappingDirection::Outbound))
    }

    /// Opens the rules of directories to change them.
    pub fn change_mappings<'s>(&'s self, actor: &'s Actor) -> Result<MappingChanges<'s>> {
        let access = self.open(actor, Right::ChangeDirectories)?;
        Ok(MappingChanges(access, MappingDirection::Inbound))
    }

    /// Opens the rules of what directories get, to change them.
    pub fn change_outbound_mappings<'s>(&'s self, actor: &'s Actor) -> Result<MappingChanges<'s>> {
        let access = self.open(actor, Right::ChangeDirectories)?;
        Ok(MappingChanges(access, MappingDirection::Outbound))
    }
}

/// How far accounts are mapped by the current rules. Outbound rules map none.
async fn progress(
    access: Access<'_>,
    directory: &Directory,
    direction: MappingDirection,
) -> Result<Option<MappingProgress>> {
    match direction {
        MappingDirection::Inbound => Ok(access.store().mapping_progress(access.organization(), directory.id).await?),
        MappingDirection::Outbound => Ok(None),
    }
}

impl Mappings<'_> {
    /// The rules of the directory of this name, display name or id.
    pub async fn get(&self, directory: &str) -> Result<Standing> {
        let directory = find(self.0, directory).await?;
        let saved = self.0.store().current_mapping(self.0.organization(), directory.id, self.1).await?;
        let rules = saved.as_ref().map_or_else(|| defaults(&directory, self.1), rules_of);
        let progress = progress(self.0, &directory, self.1).await?;
        Ok(Standing { directory, saved, rules, progress })
    }

    /// The versions of its rules that are kept, the newest first.
    pub async fn versions(&self, directory: &str) -> Result<Vec<MappingVersion>> {
        let directory = find(self.0, directory).await?;
        Ok(self.0.store().mapping_versions(self.0.organization(), directory.id, self.1).await?)
    }
}

impl MappingChanges<'_> {
    /// Saves rules as the next version. The first is based on version 0.
    pub async fn save(&self, directory: &str, terms: Terms<'_>, rules: &[Rule]) -> Result<Standing> {
        let directory = find(self.0, directory).await?;
        match self.1 {
            MappingDirection::Inbound => drop(compiled(rules)?),
            MappingDirection::Outbound => drop(compiled_outbound(rules)?),
        }
        self.put(directory, terms, rules, None).await
    }

    /// Saves the rules of an earlier version as the next version.
    pub async fn restore(&self, directory: &str, version: u32, terms: Terms<'_>) -> Result<Standing> {
        let directory = find(self.0, directory).await?;
        let found = self.0.store().mapping_version(self.0.organization(), directory.id, self.1, version).await?;
        let found = found.ok_or_else(|| {
            let message = Message::new(format!("The rules of {} have no version {version}.", directory.name));
            Error::NotFound(message.cure(format!(
                "`postern mapping versions {}{}` shows those that are kept.",
                directory.name,
                option(self.1)
            )))
        })?;
        self.put(directory, terms, &rules_of(&found), Some(version)).await
    }

    async fn put(
        &self,
        directory: Directory,
        terms: Terms<'_>,
        rules: &[Rule],
        restored_from: Option<u32>,
    ) -> Result<Standing> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let current = store.current_mapping(organization, directory.id, self.1).await?;
        let expected = current.as_ref().map_or(0, |current| current.version);
        if terms.known.is_some_and(|known| !versions::fits(known, &expected.to_string())) {
            return Err(outdated(&directory, self.1, current.as_ref()));
        }
        let confirmed = self.confirmed(&directory, terms, rules).await?;
        let before = current.as_ref().map_or_else(Vec::new, rules_of);
        let mut after = facts(expected.saturating_add(1), rules, &before);
        if let (Some(confirmed), Some(facts)) = (confirmed, after.as_object_mut()) {
            facts.insert("confirmed_losses".to_owned(), confirmed.into());
        }
        let note = Change::new(action(self.1), directory.id.as_uuid(), &directory.name)
            .before(&facts(expected, &before, rules))
            .after(&after);
        let new = NewMapping {
            rules: serde_json::to_value(rules).unwrap_or_default(),
            restored_from,
            created_by: self.0.actor().who.name().to_owned(),
        };
        let saved =
            self.0.recording(note).save_mapping(organization, directory.id, self.1, expected, new, self.0.now()).await;
        let saved = match saved {
            // Somebody saved rules since they were read above.
            Err(postern_store::Error::Conflict { .. }) => {
                let current = store.current_mapping(organization, directory.id, self.1).await?;
                return Err(outdated(&directory, self.1, current.as_ref()));
            }
            saved => saved?,
        };
        if self.1 == MappingDirection::Outbound {
            // What the directory has is compared with what the new rules give.
            store.compare_all(organization, directory.id.into()).await?;
        }
        tracing::info!(%organization, by = %self.0.actor().who, directory = %directory.id, version = saved.version,
            direction = %self.1, "mapping.saved");
        let rules = rules_of(&saved);
        let progress = progress(self.0, &directory, self.1).await?;
        Ok(Standing { directory, saved: Some(saved), rules, progress })
    }
}

impl MappingChanges<'_> {
    /// How many losses the caller has confirmed. `None`: no threshold asks for that. Outbound rules change nothing here.
    async fn confirmed(&self, directory: &Directory, terms: Terms<'_>, rules: &[Rule]) -> Result<Option<u64>> {
        if self.1 == MappingDirection::Outbound {
            return Ok(None);
        }
        let effect = effect(self.0, directory, rules).await?;
        let effect = terms.confirm(&format!("The mapping of {}", directory.name), effect)?;
        Ok(effect.needs_confirmation.then_some(effect.losing))
    }
}

/// What rules would change of the users and groups of a directory. Rules that do not compile any more fail.
pub(super) async fn effect(access: Access<'_>, directory: &Directory, rules: &[Rule]) -> Result<Effect> {
    let defined = access.store().attribute_definitions(access.organization()).await?;
    let rules = Arc::new(Rules::compile_saved(0, rules).with_definitions(Definitions::of(defined)));
    let _turn = access.turn().await;
    Ok(effect_of_rules::of(access.store(), directory, &rules, access.now()).await?)
}

/// The refusal to replace rules that the caller has not seen, with who saved them and when.
fn outdated(directory: &Directory, direction: MappingDirection, current: Option<&MappingVersion>) -> Error {
    let name = &directory.name;
    let state = current.map_or_else(
        || "none were ever saved".to_owned(),
        |current| format!("{} saved version {} at {}", current.created_by, current.version, current.created_at),
    );
    let message =
        Message::new(format!("The rules of {name} have changed since the version that yours are based on: {state}."));
    let option = option(direction);
    Error::Outdated(message.cure(format!("Run `postern --json mapping show {name}{option}`, and change those rules.")))
}

/// What the command line needs to name the direction.
const fn option(direction: MappingDirection) -> &'static str {
    match direction {
        MappingDirection::Inbound => "",
        MappingDirection::Outbound => " --outbound",
    }
}

/// The rules of a saved version.
pub fn rules_of(saved: &MappingVersion) -> Vec<Rule> {
    serde_json::from_value(saved.rules.clone()).unwrap_or_default()
}

pub(super) fn defaults(directory: &Directory, direction: MappingDirection) -> Vec<Rule> {
    let active_directory = directory.flavour == Flavour::ActiveDirectory;
    match direction {
        MappingDirection::Inbound => rules::defaults(active_directory),
        MappingDirection::Outbound => outbound::defaults(active_directory),
    }
}

/// What the audit log calls a save.
const fn action(direction: MappingDirection) -> &'static str {
    match direction {
        MappingDirection::Inbound => "mapping.saved",
        MappingDirection::Outbound => "outbound_mapping.saved",
    }
}

/// Compiles rules to see what is wrong with them.
pub(super) fn compiled(rules: &[Rule]) -> Result<Rules> {
    Rules::compile(0, rules).map_err(|faults| refused(&faults))
}

/// The same for outbound rules.
pub(super) fn compiled_outbound(rules: &[Rule]) -> Result<Outbound> {
    Outbound::compile(rules).map_err(|faults| refused(&faults))
}

fn refused(faults: &[RuleFault]) -> Error {
    let faults: Vec<String> = faults.iter().take(MOST_FAULTS).map(ToString::to_string).collect();
    Error::field("rules", faults.join("; "))
}

/// The most faults of one refusal.
const MOST_FAULTS: usize = 10;
