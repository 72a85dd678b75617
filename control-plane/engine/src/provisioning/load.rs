//! A target with its settings and rules, as decisions need it.

use std::collections::HashSet;

use postern_store::{Directory, IdentityId, MemberForm, PageRequest, Provisioning, Store, TargetId};

use super::change::Change;
use super::rules;
use super::sensitive::sensitive_fields;
use super::settings::{Compiled, Settings};
use crate::identity::mapping::outbound::Outbound;
use crate::intake::listed::Listed;
use crate::intake::reading::Reading;

/// The most directories of an organization.
const MOST_DIRECTORIES: u32 = 1_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// What all decisions about a target need.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) store: Store,
    pub(super) provisioning: Provisioning,
    pub(super) directory: Directory,
    pub(super) settings: Settings,
    /// Differs from today's once the settings, the rules or the sensitive attributes have changed.
    pub(super) stamp: Option<String>,
    pub(super) compiled: Compiled,
    pub(super) rules: Outbound,
    pub(super) directories: Vec<Directory>,
    /// The attributes of the target that sensitive values of users go to, in lower case.
    secrets: HashSet<String>,
    pub(super) form: MemberForm,
}

impl Target {
    /// Notes whose the entries are that have one of the names of an account that may have been made: theirs may look the same.
    pub(super) async fn note_others(&self, change: &mut Change, identity: IdentityId) -> Result<()> {
        let Change::Create { attributes, choices, others, .. } = change else { return Ok(()) };
        let Some(first) = choices.first() else { return Ok(()) };
        let own = attributes.iter().filter(|(name, _)| first.contains_key(*name));
        let names: Vec<String> = own.chain(choices.iter().flatten()).flat_map(|(_, values)| values.clone()).collect();
        let organization = self.provisioning.organization;
        *others = self.store.accounts_with_logins(organization, self.id(), &names, identity).await?;
        Ok(())
    }

    /// Reads the settings and rules of a target. `Err` of the inner result: they cannot be used, for people.
    pub(super) async fn open(store: &Store, provisioning: Provisioning) -> Result<std::result::Result<Self, String>> {
        let (organization, id) = (provisioning.organization, provisioning.target.directory());
        // First: what changes after it is noticed.
        let stamp = store.provisioning_stamp(organization, provisioning.target).await?;
        let provisioning = store.get_provisioning(organization, provisioning.target).await?.unwrap_or(provisioning);
        let Some(directory) = store.get_directory(organization, id).await? else {
            return Ok(Err("the directory does not exist".to_owned()));
        };
        let settings: Settings = match serde_json::from_value(provisioning.settings.clone()) {
            Ok(settings) => settings,
            Err(error) => return Ok(Err(format!("the settings cannot be read: {error}"))),
        };
        let rules = match rules::of(store, &directory).await? {
            Ok(rules) => rules,
            Err(fault) => return Ok(Err(fault)),
        };
        let sensitive: Vec<String> = sensitive_fields(&store.attribute_definitions(organization).await?);
        let compiled = settings.compile().and_then(|compiled| compiled.knowing(sensitive.iter().cloned().collect()));
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err((field, reason)) => return Ok(Err(format!("{field}: {reason}"))),
        };
        let secrets = rules.attributes_that_read(&sensitive).map(str::to_ascii_lowercase).collect();
        let directories = store.list_directories(organization, &PageRequest::first(MOST_DIRECTORIES)).await?.items;
        let form = store.member_form(organization, id).await?.unwrap_or(MemberForm::Dn);
        let target = Self {
            store: store.clone(),
            provisioning,
            directory,
            settings,
            stamp,
            compiled,
            rules,
            directories,
            secrets,
            form,
        };
        Ok(Ok(target))
    }

    /// The target's id.
    pub(super) fn id(&self) -> TargetId {
        self.provisioning.target
    }

    /// How entries are read that come back from the target, today.
    pub(super) async fn reading(&self) -> Result<Reading> {
        Reading::of(&self.store, self.provisioning.organization, self.directory.id, Listed::default()).await
    }

    /// Whether the values of an attribute of the target are masked in reports.
    pub(super) fn is_secret(&self, attribute: &str) -> bool {
        self.secrets.contains(&attribute.to_ascii_lowercase())
    }
}
