//! The entry that a write has left in the directory: it becomes the account, as if an import had brought it.

use bytes::Bytes;
use jiff::Timestamp;
use postern_store::{AccountKind, ExternalKey, IdentityId, Intake, Store};
use uuid::Uuid;

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

impl Written {
    /// Its attributes, if something has changed.
    pub fn attributes(&self) -> Option<&str> {
        self.decided.rows.first().map(|row| row.account.attributes.as_str())
    }

    /// Its DN, if something has changed.
    pub fn dn(&self) -> Option<&str> {
        self.decided.rows.first().map(|row| row.account.dn.as_str())
    }
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

/// Writes the account of a user or group that gets nothing from it; of a group without its members. Returns whose account
/// it is if it is somebody else's; then nothing is written.
pub async fn write_outbound(tx: &mut Intake, written: Written, identity: IdentityId) -> Result<Option<Uuid>, Error> {
    let Some((kind, key)) = written.key else { return Ok(None) };
    if let Some(owner) = tx.owner_of(kind, &key).await?.filter(|owner| *owner != identity.as_uuid()) {
        return Ok(Some(owner));
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
    Ok(None)
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
