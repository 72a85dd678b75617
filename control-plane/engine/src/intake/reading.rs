//! How the entries of an import are read: which attributes the site delivers, and by which rules they are mapped.

use std::sync::Arc;

use postern_store::{Directory, DirectoryId, OrganizationId, Store};

use super::listed::Listed;
use crate::identity::mapping::rules::{Rule, Rules};

/// What all entries of a delivery have in common beside their place.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The attributes that the site delivers.
    pub listed: Listed,
    /// The rules of the directory. `None`: it has none, and the default mapping is all.
    pub rules: Option<Arc<Rules>>,
}

impl Reading {
    /// Reads the rules of today beside what the site delivers.
    pub async fn of(
        store: &Store,
        organization: OrganizationId,
        directory: DirectoryId,
        listed: Listed,
    ) -> Result<Self, postern_store::Error> {
        Ok(Self { listed, rules: rules_in(store, organization, directory).await? })
    }
}

/// The rules of a directory as they are today.
pub async fn rules_of(store: &Store, directory: &Directory) -> Result<Option<Arc<Rules>>, postern_store::Error> {
    rules_in(store, directory.organization, directory.id).await
}

async fn rules_in(
    store: &Store,
    organization: OrganizationId,
    directory: DirectoryId,
) -> Result<Option<Arc<Rules>>, postern_store::Error> {
    let Some(saved) = store.current_mapping(organization, directory).await? else { return Ok(None) };
    let rules: Vec<Rule> = serde_json::from_value(saved.rules).unwrap_or_default();
    Ok(Some(Arc::new(Rules::compile_saved(saved.version, &rules))))
}
