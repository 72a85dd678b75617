//! The organization's users, groups, links, memberships and marks, written in one transaction. It needs no directory:
//! imports write through it ([`crate::Intake::identities`]), and so do changes by hand.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{AccountId, OrganizationId};
use crate::records::{AuditNote, RefusedValue};
use crate::sql::sql;
use crate::transaction::Tx;

/// A write transaction on an organization's users and groups. Without [`Identities::commit`] nothing is stored.
pub struct Identities {
    pub(crate) tx: Tx,
    pub(crate) organization: OrganizationId,
    pub(crate) now: Timestamp,
    /// The unique attributes that are checked when users are written.
    pub(crate) unique: Vec<String>,
    pub(crate) refused: Vec<RefusedValue>,
    /// The fields that matching rules compare, once they were needed.
    pub(crate) match_fields: Option<Vec<String>>,
}

impl Identities {
    /// Over a transaction, without checks.
    pub(crate) fn over(tx: Tx, organization: OrganizationId, now: Timestamp) -> Self {
        Self { tx, organization, now, unique: Vec::new(), refused: Vec::new(), match_fields: None }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identities").field("organization", &self.organization).finish_non_exhaustive()
    }
}

impl Store {
    /// Starts a transaction. `SQLite` has one writer at a time: keep it short. [`Error::NotFound`]: there is no such
    /// organization.
    pub async fn begin_identities(&self, organization: OrganizationId, now: Timestamp) -> Result<Identities> {
        let mut tx = self.database.begin().await?;
        let query = sql("SELECT seq FROM organizations WHERE id = $1").bind(organization);
        if tx.row(query, |mut row| row.take::<i64>()).await?.is_none() {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the organization" });
        }
        Ok(Identities::over(tx, organization, now))
    }
}

impl Identities {
    /// Writes this into the audit log, with all that the transaction changes.
    pub fn note(&mut self, note: AuditNote) {
        self.tx.note(note);
    }

    /// Makes everything durable.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await
    }

    /// Undoes everything. Dropping it does the same.
    pub async fn rollback(self) -> Result<()> {
        self.tx.rollback().await
    }

    /// Links accounts of the organization to their users or groups, and ends their conflicts. Returns how many there were.
    pub async fn link_accounts(&mut self, links: &[(AccountId, Uuid)]) -> Result<u64> {
        let (accounts, identities) = links.iter().map(|(account, identity)| (account.as_uuid(), *identity)).unzip();
        let update = Bulk::new(
            "WITH v(id, identity) AS ({rows}) {update} accounts SET identity = v.identity, former_user = NULL, \
             conflict = NULL, updated_at = :2 FROM v WHERE accounts.id = v.id AND (accounts.organization_id = :1) IS TRUE",
        )
        .column(Cells::Uuids(accounts))
        .column(Cells::Uuids(identities))
        .shared(self.organization)
        .shared(self.now);
        self.tx.bulk(update).await
    }
}
