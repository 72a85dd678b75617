//! How the entries of an import are read: which attributes the site delivers, and by which rules they are mapped.

use std::sync::Arc;

use postern_store::{
    Account, AccountKind, Directory, DirectoryId, MappingDirection, MappingVersion, OrganizationId, Store,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::listed::Listed;
use crate::identity::mapping::definitions::Definitions;
use crate::identity::mapping::rules::{Rule, Rules};

/// What all entries of a delivery have in common beside their place.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The attributes that the site delivers.
    pub listed: Listed,
    /// The rules of the directory, with what the organization has defined. `None`: neither, and the default mapping is all.
    pub rules: Option<Arc<Rules>>,
    /// What imports of the directory leave alone.
    pub skips: Skips,
}

/// Kinds of entries that change no user and no group: only their accounts are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// Users.
    pub users: bool,
    /// Groups.
    pub groups: bool,
}

/// What imports of a directory make of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ProvisioningImports)]
pub struct Imports {
    /// Users are made of entries, and change with them. Off: an import only learns which accounts there are.
    pub users: bool,
    /// Groups are made of entries, and change with them. Off: as for users.
    pub groups: bool,
}

impl Default for Imports {
    fn default() -> Self {
        Self { users: true, groups: true }
    }
}

/// What settings of provisioning say about imports.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    imports: Imports,
}

impl Reading {
    /// Reads the rules of today beside what the site delivers.
    pub async fn of(
        store: &Store,
        organization: OrganizationId,
        directory: DirectoryId,
        listed: Listed,
    ) -> Result<Self, postern_store::Error> {
        let rules = rules_in(store, organization, directory).await?;
        let skips = Skips::of_target(store, organization, directory).await?;
        Ok(Self { listed, rules, skips })
    }
}

impl Skips {
    /// What imports of a directory leave alone today.
    pub async fn of_directory(store: &Store, directory: &Directory) -> Result<Self, postern_store::Error> {
        Self::of_target(store, directory.organization, directory.id).await
    }

    async fn of_target(
        store: &Store,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Self, postern_store::Error> {
        let saved = store.get_provisioning(organization, directory.into()).await?;
        let said = saved.and_then(|saved| serde_json::from_value::<Said>(saved.settings).ok());
        let Imports { users, groups } = said.unwrap_or_default().imports;
        Ok(Self { users: !users, groups: !groups })
    }

    /// Whether a stored account gives nothing: provisioning has made it, or imports leave its kind alone.
    pub fn account(self, account: &Account) -> bool {
        let skipped = match account.kind {
            AccountKind::User => self.users,
            AccountKind::Group => self.groups,
        };
        account.outbound || skipped
    }
}

/// The rules of a directory as they are today, with what its organization has defined. `None`: neither.
pub async fn rules_of(store: &Store, directory: &Directory) -> Result<Option<Arc<Rules>>, postern_store::Error> {
    rules_in(store, directory.organization, directory.id).await
}

/// The saved rules alone, for somebody who only asks what they fill.
pub async fn saved_rules_of(store: &Store, directory: &Directory) -> Result<Option<Arc<Rules>>, postern_store::Error> {
    let saved = store.current_mapping(directory.organization, directory.id, MappingDirection::Inbound).await?;
    Ok(saved.map(|saved| Arc::new(compiled(saved))))
}

fn compiled(saved: MappingVersion) -> Rules {
    let rules: Vec<Rule> = serde_json::from_value(saved.rules).unwrap_or_default();
    Rules::compile_saved(saved.version, &rules)
}

async fn rules_in(
    store: &Store,
    organization: OrganizationId,
    directory: DirectoryId,
) -> Result<Option<Arc<Rules>>, postern_store::Error> {
    let saved = store.current_mapping(organization, directory, MappingDirection::Inbound).await?;
    let defined = Definitions::of(store.attribute_definitions(organization).await?);
    let rules = match saved {
        Some(saved) => compiled(saved),
        None if defined.is_some() => Rules::default(),
        None => return Ok(None),
    };
    Ok(Some(Arc::new(rules.with_definitions(defined))))
}
