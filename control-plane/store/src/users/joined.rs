//! Users that several directories have: their accounts, and their profiles, read in a transaction that writes them.

use super::{columns, in_organization, read};
use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{AccountId, OrganizationId, UserId};
use crate::records::{Account, UserRow};
use crate::sql::Row;

impl Identities {
    /// The present accounts of these users in directories that are not deleted, in the order of the directories.
    pub async fn accounts_of_users(&mut self, users: &[UserId]) -> Result<Vec<Account>> {
        let query = of_users(self.organization, users);
        Ok(in_order(self.tx.bulk_rows(query, read_ranked).await?))
    }

    /// These users of the organization as they are now.
    pub async fn users_as_they_are(&mut self, users: &[UserId]) -> Result<Vec<UserRow>> {
        let query = Bulk::new(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE id {in} AND (",
            in_organization!(":1"),
            ") IS TRUE"
        ));
        let organization = self.organization;
        let query = query.column(Cells::Uuids(uuids(users))).shared(organization);
        self.tx.bulk_rows(query, |mut row| read(&mut row, organization)).await
    }

    /// Users of the organization after this seq, each with its own.
    pub(crate) async fn users_after(&mut self, seq: i64, limit: u32) -> Result<Vec<(UserRow, i64)>> {
        let query = crate::sql::sql(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE seq > $2 AND ",
            in_organization!("$1"),
            " ORDER BY seq LIMIT $3"
        ));
        let organization = self.organization;
        let query = query.bind(organization).bind(seq).bind(limit);
        self.tx.rows(query, |mut row| Ok((read(&mut row, organization)?, row.take()?))).await
    }

    /// Adds what the organization says of these users where no directory says something.
    pub async fn add_own_values(&mut self, users: &mut [UserRow]) -> Result<()> {
        self.fill_from_own(users).await
    }

    /// Gives these users what the organization says of them, in place of what a directory has said.
    pub async fn put_own_values(&mut self, users: &mut [UserRow]) -> Result<()> {
        self.replace_by_own(users).await
    }

    /// Records that these accounts, which have a user, wait for a user name.
    pub async fn await_names(&mut self, waiting: &[(AccountId, String)]) -> Result<()> {
        let (accounts, names) = waiting.iter().map(|(account, name)| (account.as_uuid(), name.clone())).unzip();
        let update = Bulk::new(
            "WITH v(id, conflict) AS ({rows}) {update} accounts SET conflict = v.conflict, updated_at = :2 FROM v \
             WHERE accounts.id = v.id AND (accounts.organization_id = :1) IS TRUE",
        )
        .column(Cells::Uuids(accounts))
        .column(Cells::Texts(names))
        .shared(self.organization)
        .shared(self.now);
        self.tx.bulk(update).await.map(|_| ())
    }
}

impl Store {
    /// The present accounts of these users in directories that are not deleted, in the order of the directories, without
    /// those that give nothing.
    pub async fn present_accounts_of(&self, organization: OrganizationId, users: &[UserId]) -> Result<Vec<Account>> {
        Ok(in_order(self.database.bulk_rows(of_users(organization, users), read_ranked).await?))
    }
}

fn of_users(organization: OrganizationId, users: &[UserId]) -> Bulk {
    Bulk::new(select_accounts!(
        ", d.rank",
        "WHERE a.identity {in} AND a.kind = 1 AND a.missing_since IS NULL AND d.deleted_at IS NULL AND NOT a.outbound \
         AND (a.organization_id = :1) IS TRUE"
    ))
    .column(Cells::Uuids(uuids(users)))
    .shared(organization)
}

fn read_ranked(mut row: Row) -> Result<(Account, i64)> {
    Ok((accounts::read(&mut row)?, row.take()?))
}

fn in_order(mut found: Vec<(Account, i64)>) -> Vec<Account> {
    found.sort_by_key(|(account, rank)| (*rank, account.id));
    found.into_iter().map(|(account, _)| account).collect()
}

fn uuids(users: &[UserId]) -> Vec<uuid::Uuid> {
    users.iter().map(|user| user.as_uuid()).collect()
}
