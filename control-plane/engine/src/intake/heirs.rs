//! Users whose accounts an import has marked missing, and whom other directories still have: their accounts there fill the
//! profiles.

use jiff::Timestamp;
use postern_store::{AccountId, Directory, Lease, Store, UserId};

use super::joined_profiles::JoinedProfiles;

/// Users in one transaction.
const BATCH: u32 = 500;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Fills the profiles of users whose accounts this import has marked missing, from their accounts in other directories;
/// `None` if the job was taken over. May be repeated.
pub(super) async fn settle(store: &Store, directory: &Directory, lease: Lease, now: Timestamp) -> Result<Option<()>> {
    let (organization, id) = (directory.organization, directory.id);
    let mut after = AccountId::from_uuid(uuid::Uuid::nil());
    let mut profiles = JoinedProfiles::new(store, organization);
    loop {
        let heirs = store.heirs(organization, id, lease.job, after, BATCH).await?;
        let Some(last) = heirs.last() else { return Ok(Some(())) };
        after = last.left;
        let users: Vec<UserId> = heirs.iter().map(|heir| heir.user).collect();
        let mut tx = store.begin_intake(organization, id, now).await?;
        if !tx.check_owner(&lease).await? {
            return Ok(None);
        }
        tx.identities().lower_users(&users).await?;
        profiles.write(tx.identities(), &users, now).await?;
        tx.commit().await?;
    }
}
