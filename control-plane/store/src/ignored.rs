//! Accounts that an administrator wants to stay without a user: no import asks about them again.

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::Bulk;
use crate::error::{Error, Result};
use crate::ids::{AccountId, DirectoryId, OrganizationId};
use crate::imports::{Intake, ids};
use crate::records::{IgnoredAccount, Page, PageRequest, Room};
use crate::sql::{Row, sql};

/// The columns that [`read`] reads.
macro_rules! select_ignored {
    ($rest:literal) => {
        select_accounts!(
            ", i.name_key, i.ignored_at, i.ignored_by",
            "JOIN ignored_accounts i ON i.account_id = a.id WHERE a.organization_id = $1 AND i.organization_id = $1 ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<IgnoredAccount> {
    let account = accounts::read(&mut row)?;
    Ok(IgnoredAccount { account, name_key: row.take()?, at: row.take()?, by: row.take()? })
}

impl Intake {
    /// Ends the conflict of an account without a user: it stays without one. [`Error::NotFound`]: it has a user, or no
    /// conflict about this name.
    pub async fn ignore_conflict(&mut self, account: AccountId, name_key: &str, by: &str) -> Result<()> {
        let update =
            sql("UPDATE accounts SET conflict = NULL, updated_at = $1 WHERE id = $2 AND organization_id = $3 \
             AND target = $4 AND conflict = $5 AND identity IS NULL AND missing_since IS NULL")
            .bind(self.identities.now)
            .bind(account)
            .bind(self.identities.organization)
            .bind(self.directory)
            .bind(name_key);
        if self.identities.tx.execute(update).await? == 0 {
            return Err(Error::NotFound { what: "the conflict" });
        }
        let insert = sql("INSERT INTO ignored_accounts (organization_id, target, account_id, name_key, ignored_at, \
             ignored_by) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(self.identities.organization)
        .bind(self.directory)
        .bind(account)
        .bind(name_key)
        .bind(self.identities.now)
        .bind(by);
        self.identities.tx.execute(insert).await.map(|_| ())
    }

    /// Makes an ignored account a conflict again; the next import tries it. [`Error::NotFound`]: it is not ignored.
    pub async fn ask_again(&mut self, account: AccountId) -> Result<()> {
        let delete =
            sql("DELETE FROM ignored_accounts WHERE account_id = $1 AND organization_id = $2 AND target = $3 \
             RETURNING name_key")
            .bind(account)
            .bind(self.identities.organization)
            .bind(self.directory);
        let name_key: Option<String> = self.identities.tx.row(delete, |mut row| row.take()).await?;
        let name_key = name_key.ok_or(Error::NotFound { what: "the ignored account" })?;
        let update = sql("UPDATE accounts SET conflict = $1, updated_at = $2 WHERE id = $3 AND identity IS NULL");
        self.identities.tx.execute(update.bind(name_key).bind(self.identities.now).bind(account)).await.map(|_| ())
    }

    /// Those of these accounts that are ignored.
    pub async fn ignored(&mut self, accounts: &[AccountId]) -> Result<Vec<AccountId>> {
        let query = Bulk::new("SELECT account_id FROM ignored_accounts WHERE account_id {in} AND target = :1");
        self.identities.tx.bulk_rows(query.column(ids(accounts)).shared(self.directory), |mut row| row.take()).await
    }
}

impl Store {
    /// The ignored accounts of a directory, oldest first.
    pub async fn list_ignored(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        page: &PageRequest,
    ) -> Result<Page<IgnoredAccount>> {
        let after: Option<AccountId> = page.cursor()?;
        let query = sql(select_ignored!("AND d.id = $2 AND a.id > $3 ORDER BY a.id LIMIT $4"))
            .bind(organization)
            .bind(directory)
            .bind(after.unwrap_or(AccountId::from_uuid(uuid::Uuid::nil())))
            .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(found, page, &room, |last| last.account.id.to_string()))
    }

    /// One of them.
    pub async fn get_ignored(&self, organization: OrganizationId, id: AccountId) -> Result<Option<IgnoredAccount>> {
        let query = sql(select_ignored!("AND a.id = $2"));
        self.database.row(query.bind(organization).bind(id), read).await
    }
}
