//! Accounts with an external id that two entries had. When one of the two is gone, the other must not take the account
//! over.

use crate::Store;
use crate::dialect::Bulk;
use crate::error::Result;
use crate::ids::{AccountId, DirectoryId, OrganizationId};
use crate::imports::{Intake, ids};
use crate::records::{AccountKind, ExternalKey};
use crate::sql::sql;

impl Intake {
    /// Records accounts of this directory whose external id two entries had.
    pub async fn remember_shared(&mut self, accounts: &[AccountId]) -> Result<u64> {
        // Without a WHERE, SQLite would read ON as the condition of a join.
        let insert = Bulk::new(
            "WITH v(account_id) AS ({rows}) INSERT INTO shared_ids (target, account_id) \
             SELECT :1, v.account_id FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        );
        self.identities.tx.bulk(insert.column(ids(accounts)).shared(self.directory)).await
    }

    /// Deletes these records.
    pub async fn forget_shared(&mut self, accounts: &[AccountId]) -> Result<u64> {
        let delete = Bulk::new("DELETE FROM shared_ids WHERE account_id {in} AND target = :1");
        self.identities.tx.bulk(delete.column(ids(accounts)).shared(self.directory)).await
    }
}

impl Store {
    /// The recorded accounts, in no certain order.
    pub async fn shared_accounts(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Vec<(AccountId, AccountKind, ExternalKey)>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query =
            sql("SELECT a.id, a.kind, a.external_key FROM shared_ids s JOIN accounts a ON a.id = s.account_id \
             WHERE s.target = $1")
            .bind(seq);
        self.database
            .rows(query, |mut row| {
                let (id, kind) = (row.take()?, AccountKind::from_code(row.take()?)?);
                Ok((id, kind, ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?))
            })
            .await
    }
}
