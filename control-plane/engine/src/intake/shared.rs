//! Accounts whose external id two entries had in an import. When one of the two entries is gone, the other one looks like
//! a rename of the account. It may be another person, so an administrator decides, see
//! [`ChangeKind::Reassigned`](postern_store::ChangeKind::Reassigned).

use jiff::Timestamp;
use postern_store::{AccountId, Directory, Intake, Lease, Staged, Store};

use super::keys::recorded_key;
use super::missing;
use super::repeats::Repeats;

/// Accounts in one transaction.
const BATCH: usize = 5_000;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Remembers the accounts whose ids two entries of this import have, whatever becomes of the import. `None`: the job was
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

/// Forgets the accounts whose ids this import has brought once. They are what they were, or an administrator has approved
/// of the change. Those that did not come stay remembered. `None`: the job was taken over.
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
