//! The matching rules of a directory: how a new account finds its user. Rules that are too wide would give somebody the
//! rights of another, so only an owner sets them.

use postern_store::DirectoryId;
use serde_json::{Value, json};

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::rights::Right;
use super::versions;
use crate::identity::match_rules::{MatchRule, MatchRules, USER_NAME};
use crate::records::Directory;

/// Faults that are shown at once.
const MOST_FAULTS: usize = 10;

/// Read access to matching rules.
#[derive(Debug)]
pub struct Matchings<'s>(Access<'s>);

/// Access to change matching rules.
#[derive(Debug)]
pub struct MatchingChanges<'s>(Access<'s>);

/// The matching rules of a directory.
#[derive(Clone, Debug)]
pub struct Matching {
    /// The directory.
    pub directory: Directory,
    /// The rules. `None`: none are saved, and a new account finds its user by its login.
    pub rules: Option<Vec<MatchRule>>,
}

impl Matching {
    /// What identifies these rules.
    pub fn version(&self) -> (DirectoryId, &Option<Vec<MatchRule>>) {
        (self.directory.id, &self.rules)
    }
}

impl Services {
    /// Opens the matching rules.
    pub fn matchings<'s>(&'s self, actor: &'s Actor) -> Result<Matchings<'s>> {
        self.open(actor, Right::ReadDirectories).map(Matchings)
    }

    /// Opens the matching rules, to change them.
    pub fn change_matchings<'s>(&'s self, actor: &'s Actor) -> Result<MatchingChanges<'s>> {
        self.open(actor, Right::ChangeOrganization).map(MatchingChanges)
    }
}

impl Matchings<'_> {
    /// The rules of the directory of this name, display name or id.
    pub async fn get(&self, directory: &str) -> Result<Matching> {
        get(self.0, directory).await.map(|(matching, _)| matching)
    }
}

impl MatchingChanges<'_> {
    /// Saves the rules of a directory; `None`: a new account finds its user by its login again. `known` is the version that
    /// the change is based on. For a field that no rule has named before, the values of all users are read first.
    pub async fn save(&self, directory: &str, rules: Option<Vec<MatchRule>>, known: Option<&str>) -> Result<Matching> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let rules = rules.filter(|rules| !rules.is_empty());
        let (before, stored) = get(self.0, directory).await?;
        if known.is_some_and(|known| !versions::fits(known, &versions::of(&before.version()))) {
            return Err(outdated());
        }
        if before.rules == rules {
            return Ok(before);
        }
        for field in fields(rules.as_deref().unwrap_or_default())? {
            store.keep_match_field(organization, &field, self.0.now()).await?;
        }
        let new = rules.as_ref().map(|rules| json!(rules));
        let change = Change::new("matching.saved", before.directory.id.as_uuid(), &before.directory.name);
        let change = change.before(&json!({ "rules": before.rules })).after(&json!({ "rules": rules }));
        let recording = self.0.recording(change);
        if !recording.set_matching(organization, before.directory.id, stored.as_ref(), new.as_ref()).await? {
            return Err(outdated());
        }
        tracing::info!(%organization, by = %self.0.actor().who, directory = %before.directory.id, "matching.saved");
        Ok(Matching { rules, ..before })
    }
}

/// The fields whose values must be kept for rules, which must compile.
fn fields(rules: &[MatchRule]) -> Result<Vec<String>> {
    let compiled = MatchRules::compile(rules).map_err(|faults| {
        let some: Vec<String> = faults.into_iter().take(MOST_FAULTS).collect();
        Error::field("rules", some.join("; "))
    })?;
    Ok(compiled.fields().filter(|field| *field != USER_NAME).map(str::to_owned).collect())
}

async fn get(access: Access<'_>, directory: &str) -> Result<(Matching, Option<Value>)> {
    let directory = find(access, directory).await?;
    let saved = access.store().matching(access.organization(), directory.id).await?;
    let rules = saved.clone().map(|saved| serde_json::from_value(saved).unwrap_or_default());
    Ok((Matching { directory, rules }, saved))
}

fn outdated() -> Error {
    let message = Message::new("The rules are not those that the change is based on.");
    Error::Outdated(message.cure("Read the rules again (`postern matching show`), and change what they are now."))
}
