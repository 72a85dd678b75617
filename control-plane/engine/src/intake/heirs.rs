//! Profiles of users whose account in the providing directory has left: the account in the next directory fills them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::{AccountId, Directory, DirectoryId, Heir, Intake, Lease, OrganizationId, Store, UserId, UserRow};

use super::place::Place;
use super::reading::rules_of;
use super::{conflicts, last_good};
use crate::identity::mapping::rules::Rules;

/// Users in one transaction.
const BATCH: u32 = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Another directory, with its rules.
struct Other {
    directory: Directory,
    rules: Option<Arc<Rules>>,
}

impl Other {
    async fn of(store: &Store, organization: OrganizationId, id: DirectoryId) -> Result<Option<Self>> {
        let Some(directory) = store.get_directory(organization, id).await? else { return Ok(None) };
        let rules = rules_of(store, &directory).await?;
        Ok(Some(Self { directory, rules }))
    }
}

/// Fills the profiles of users whose accounts this import has marked missing, from their accounts in other directories;
/// `None` if the job was taken over. May be repeated.
pub(super) async fn settle(store: &Store, directory: &Directory, lease: Lease, now: Timestamp) -> Result<Option<()>> {
    let (organization, id) = (directory.organization, directory.id);
    let (mut after, mut directories) = (AccountId::from_uuid(uuid::Uuid::nil()), HashMap::new());
    loop {
        let heirs = store.heirs(organization, id, lease.job, after, BATCH).await?;
        let Some(last) = heirs.last() else { return Ok(Some(())) };
        after = last.left;
        let rows = rows(store, directory, &heirs, &mut directories, now).await?;
        let mut tx = store.begin_intake(organization, id, now).await?;
        if !tx.check_owner(&lease).await? {
            return Ok(None);
        }
        write(&mut tx, rows).await?;
        tx.commit().await?;
    }
}

/// The users as their remaining accounts describe them.
async fn rows(
    store: &Store,
    directory: &Directory,
    heirs: &[Heir],
    directories: &mut HashMap<DirectoryId, Option<Other>>,
    now: Timestamp,
) -> Result<Vec<UserRow>> {
    let mut rows = Vec::with_capacity(heirs.len());
    for heir in heirs {
        let Some(account) = store.get_account(directory.organization, heir.account).await? else { continue };
        let its = match directories.entry(account.target.directory()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(Other::of(store, directory.organization, account.target.directory()).await?)
            }
        };
        let Some(its) = its else { continue };
        let mut claim = conflicts::claim(Place::of(&its.directory), its.rules.as_ref(), &account, now);
        let known = claim.iter_mut().map(|claim| (heir.user, claim));
        last_good::keep_of_claims(store, directory.organization, known).await?;
        rows.extend(claim.map(|claim| UserRow { id: heir.user, ..claim.wanted }));
    }
    Ok(rows)
}

/// Writes the users. One without a login there, or whose login another user has, keeps its name.
async fn write(tx: &mut Intake, rows: Vec<UserRow>) -> Result<()> {
    let names: Vec<String> = rows.iter().map(|row| row.name_key.clone()).filter(|key| !key.is_empty()).collect();
    let found = tx.users_by_name(&names, None).await?;
    let mut taken: HashMap<String, UserId> = found.into_iter().map(|named| (named.name_key, named.user)).collect();
    let (mut renamed, mut unnamed) = (Vec::new(), Vec::new());
    for row in rows {
        let free = !row.name_key.is_empty() && *taken.entry(row.name_key.clone()).or_insert(row.id) == row.id;
        if free { renamed.push(row) } else { unnamed.push(row) }
    }
    tx.identities().update_users(renamed).await?;
    tx.identities().update_profiles(unnamed).await
}
