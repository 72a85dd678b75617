//! What an account would become by rules that are not saved: mapped as an import maps it, and not written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postern_store::{GroupId, GroupRow, Store, UserId, UserRow};
use serde_json::Value;
use uuid::Uuid;

use super::place::Place;
use super::{decide, last_good};
use crate::identity::mapping::Mapping;
use crate::identity::stored::StoredAccount;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The user of an account; what fails has the last good value of `known`.
pub async fn user(
    store: &Store,
    place: Place,
    (mapping, view): (&Mapping, &StoredAccount<'_>),
    known: Option<UserId>,
    now: Timestamp,
) -> Result<UserRow> {
    let (mut wanted, failed) = decide::user(place, mapping, view, now);
    let ids = known.iter().map(|user| user.as_uuid()).collect();
    if let Some((_, good)) = last_good::profiles(store, place.organization, ids, Vec::new()).await?.into_iter().next() {
        last_good::restore(&mut wanted, &failed, &good);
    }
    Ok(wanted)
}

/// The values of a group of an account, as they are and as they would be.
pub async fn group(
    store: &Store,
    place: Place,
    (mapping, view): (&Mapping, &StoredAccount<'_>),
    known: Option<Uuid>,
    now: Timestamp,
) -> Result<(Option<BTreeMap<String, Value>>, BTreeMap<String, Value>)> {
    let id = known.map_or_else(GroupId::new, GroupId::from_uuid);
    let (mut wanted, failed) = decide::group(place, id, mapping, view, now);
    let current = if known.is_some() { store.get_group(place.organization, id).await? } else { None };
    if let Some(current) = &current {
        let ids = vec![current.id.as_uuid()];
        let good = last_good::profiles(store, place.organization, Vec::new(), ids).await?;
        if let Some(good) = good.get(&current.id.as_uuid()) {
            last_good::restore_group(&mut wanted, &failed, good);
        }
    }
    Ok((current.as_ref().map(values), values(&wanted)))
}

fn values(group: &GroupRow) -> BTreeMap<String, Value> {
    let name = ("display_name".to_owned(), Value::from(group.display_name.clone()));
    let description = group.description.clone().map(|text| ("description".to_owned(), Value::from(text)));
    std::iter::once(name).chain(description).collect()
}
