//! Accounts with an external id that two entries had in an import. When one of the entries is gone, the other looks
//! like a rename of the account but may be another person, so an administrator decides, see
//! [`ChangeKind::Reassigned`](postern_store::ChangeKind::Reassigned).

use jiff::Timestamp;
use postern_store::{AccountId, Directory, Intake, Lease, Staged, Store};

use super::keys::recorded_key;
use super::missing;
use super::repeats::Repeats;

/// Accounts in one transaction.
const BATCH: usize = 5_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Records the accounts with ids that two entries of this import have, however the import ends. `None`: the job was
/// taken over.
pub(super) async fn remember(
    store: &Store,
    directory: &Directory,
    lease: Lease,
    repeats: &Repeats,
    now: Timestamp,
) -> Result<Option<()>> {
    for batch in repeats.accounts().chunks(BATCH) {
        let Some(mut tx) = begin(store, directory, lease, now).await? else { return Ok(None) };
        tx.remember_shared(batch).await?;
        tx.commit().await?;
    }
    Ok(Some(()))
}

/// Deletes the records of accounts whose ids this import brought once: they are unchanged, or an administrator approved
/// the change. Records of accounts that did not come stay. `None`: the job was taken over.
pub(super) async fn forget(
    store: &Store,
    directory: &Directory,
    lease: Lease,
    staged: &Staged,
    repeats: &Repeats,
    now: Timestamp,
) -> Result<Option<()>> {
    let remembered = store.shared_accounts(directory.organization, directory.id).await?;
    if remembered.is_empty() {
        return Ok(Some(()));
    }
    let seen = missing::seen(store, directory.organization, lease.job, lease.attempt, staged).await?;
    let came_alone = remembered.into_iter().filter_map(|(account, kind, id)| {
        let key = recorded_key(kind, &id);
        (seen.binary_search(&key).is_ok() && !repeats.is_shared(key)).then_some(account)
    });
    let came_alone: Vec<AccountId> = came_alone.collect();
    for batch in came_alone.chunks(BATCH) {
        let Some(mut tx) = begin(store, directory, lease, now).await? else { return Ok(None) };
        tx.forget_shared(batch).await?;
        tx.commit().await?;
    }
    Ok(Some(()))
}

async fn begin(store: &Store, directory: &Directory, lease: Lease, now: Timestamp) -> Result<Option<Intake>> {
    let mut tx = store.begin_intake(directory.organization, directory.id, now).await?;
    Ok(tx.check_owner(&lease).await?.then_some(tx))
}
