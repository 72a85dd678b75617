//! What an import reports of its accounts besides their number: those that joined a user of another directory, and
//! those without a login.

use jiff::Timestamp;

use crate::Store;
use crate::dialect::Bulk;
use crate::error::Result;
use crate::ids::{AccountId, DirectoryId, OrganizationId};
use crate::imports::{Intake, ids};
use crate::sql::{Row, sql};

/// An account that shares its user with an account of another directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedAccount {
    /// Its DN.
    pub dn: String,
    /// The user's name.
    pub user_name: String,
    /// Names of the other directories, separated by commas. Empty: no other directory has the user.
    pub directories: String,
    /// Whether the organization made the user.
    pub is_own: bool,
}

/// An account in a list of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSample {
    /// Its DN.
    pub dn: String,
    /// The name that its user keeps, if it has one.
    pub user_name: Option<String>,
}

impl Intake {
    /// Records that accounts share their users with other directories since now.
    pub async fn mark_joined(&mut self, accounts: &[AccountId]) -> Result<u64> {
        let update = Bulk::new(
            "{update} accounts SET joined_at = :1 WHERE id {in} AND (organization_id = :2) IS TRUE \
             AND (target = :3) IS TRUE",
        );
        let update = update
            .column(ids(accounts))
            .shared(self.identities.now)
            .shared(self.identities.organization)
            .shared(self.directory);
        self.identities.tx.bulk(update).await
    }
}

impl Store {
    /// How many accounts of a directory joined users of other directories and are not yet reported, with samples.
    pub async fn joined_accounts(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        samples: u32,
    ) -> Result<(u64, Vec<JoinedAccount>)> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok((0, Vec::new())) };
        let count = sql("SELECT count(*) FROM accounts WHERE target = $1 AND joined_at IS NOT NULL").bind(seq);
        let count = self.database.row(count, |mut row| row.take()).await?.unwrap_or_default();
        if count == 0 {
            return Ok((0, Vec::new()));
        }
        let query = sql("SELECT a.dn, u.user_name, COALESCE((SELECT string_agg(d.name, ', ') FROM accounts h \
             JOIN directories d ON d.seq = h.target WHERE h.identity = a.identity AND h.target <> a.target), ''), u.is_own \
             FROM accounts a JOIN users u ON u.id = a.identity \
             WHERE a.target = $1 AND a.joined_at IS NOT NULL ORDER BY a.id LIMIT $2");
        let read = |mut row: Row| {
            let (dn, user_name, directories) = (row.take()?, row.take()?, row.take()?);
            Ok(JoinedAccount { dn, user_name, directories, is_own: row.take()? })
        };
        Ok((count, self.database.rows(query.bind(seq).bind(samples), read).await?))
    }

    /// Records that the joins of a directory's accounts up to `until` were reported.
    pub async fn joins_are_reported(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        until: Timestamp,
    ) -> Result<u64> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(0) };
        let update = sql("UPDATE accounts SET joined_at = NULL WHERE target = $1 AND joined_at <= $2");
        self.database.execute(update.bind(seq).bind(until)).await
    }

    /// How many user accounts of a directory have no login, with samples. Missing accounts do not count.
    pub async fn accounts_without_login(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        samples: u32,
    ) -> Result<(u64, Vec<AccountSample>)> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok((0, Vec::new())) };
        let count = sql("SELECT count(*) FROM accounts WHERE target = $1 AND kind = 1 AND unique_value IS NULL \
             AND missing_since IS NULL");
        let count = self.database.row(count.bind(seq), |mut row| row.take()).await?.unwrap_or_default();
        if count == 0 {
            return Ok((0, Vec::new()));
        }
        let query = sql("SELECT a.dn, u.user_name FROM accounts a LEFT JOIN users u ON u.id = a.identity \
             WHERE a.target = $1 AND a.kind = 1 AND a.unique_value IS NULL AND a.missing_since IS NULL \
             ORDER BY a.id LIMIT $2");
        let read = |mut row: Row| Ok(AccountSample { dn: row.take()?, user_name: row.take()? });
        Ok((count, self.database.rows(query.bind(seq).bind(samples), read).await?))
    }
}
