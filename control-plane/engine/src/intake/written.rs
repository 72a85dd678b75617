//! The entry that a write has left in the directory: it becomes the account, as if an import had brought it.

use bytes::Bytes;
use jiff::Timestamp;
use postern_store::{AccountKind, ExternalKey, IdentityId, Intake, Store};

use super::apply::{self, Error};
use super::decide;
use super::place::Place;
use super::reading::Reading;

/// What an entry means for the account, decided before the transaction.
#[derive(Debug)]
pub struct Written {
    decided: super::decided::Decided,
    /// What it is, and its external id.
    pub key: Option<(AccountKind, ExternalKey)>,
}

/// Reads an entry, and compares it with what is known.
pub async fn read(
    store: &Store,
    place: Place,
    entry: &Bytes,
    reading: &Reading,
    now: Timestamp,
) -> Result<Written, decide::Error> {
    let key = decide::first_key(entry)?;
    let decided = decide::decide_finally(store, place, entry, reading, now).await?;
    Ok(Written { decided, key })
}

/// Writes the account of a user or group that gets nothing from it; of a group without its members. `false`: it is the
/// account of somebody else.
pub async fn write_outbound(tx: &mut Intake, written: Written, identity: IdentityId) -> Result<bool, Error> {
    let Some((kind, key)) = written.key else { return Ok(true) };
    if tx.owner_of(kind, &key).await?.is_some_and(|owner| owner != identity.as_uuid()) {
        return Ok(false);
    }
    for row in written.decided.rows {
        let mut account = row.account;
        account.identity = Some(identity.as_uuid());
        if row.new {
            tx.insert_accounts(vec![account]).await?;
        } else {
            tx.update_accounts(vec![account]).await?;
        }
    }
    tx.make_outbound(kind, &key, identity.as_uuid()).await?;
    Ok(true)
}

/// Writes the account of a user or group that comes from the directory, as an import does.
pub async fn write_inbound(
    store: &Store,
    place: Place,
    tx: &mut Intake,
    written: Written,
    now: Timestamp,
) -> Result<(), Error> {
    apply::one(store, place, tx, written.decided, now).await
}
