//! The outbound rules of a directory as they are today.

use postern_store::{Directory, MappingDirection, Store};

use crate::identity::mapping::outbound::{self, Outbound};
use crate::records::Flavour;

/// The saved rules, or those to begin with. `Err` of the inner result: they cannot be used, for people.
pub async fn of(store: &Store, directory: &Directory) -> Result<Result<Outbound, String>, postern_store::Error> {
    let rules = match store.current_mapping(directory.organization, directory.id, MappingDirection::Outbound).await? {
        Some(saved) => serde_json::from_value(saved.rules).unwrap_or_default(),
        None => outbound::defaults(directory.flavour == Flavour::ActiveDirectory),
    };
    Ok(Outbound::compile(&rules).map_err(|faults| faults.first().map_or_else(String::new, ToString::to_string)))
}
