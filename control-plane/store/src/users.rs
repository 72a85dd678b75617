//! An organization's users: `search` and `filtered` have the lists, `writes` the writes, `named` whom entries name.

mod filtered;
mod joined;
mod named;
mod own;
mod search;
mod writes;

use uuid::Uuid;

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::fold;
use crate::ids::{OrganizationId, UserId};
use crate::records::{Account, UserRow};
use crate::sql::{Row, sql};

/// The columns that [`read`] reads, and the seq.
macro_rules! columns {
    () => {
        "id, user_name, name_key, given_name, family_name, display_name, email, active, attributes, \
         created_at, updated_at, missing_since, seq"
    };
}

/// Selects the users of an organization, which they name by its seq.
macro_rules! in_organization {
    ($id:literal) => {
        concat!("organization = (SELECT seq FROM organizations WHERE id = ", $id, ")")
    };
}

macro_rules! select_users {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM users WHERE ", in_organization!("$1"), " ", $rest)
    };
}
use {columns, in_organization, select_users};

pub use filtered::FilterBounds;

fn read(row: &mut Row, organization: OrganizationId) -> Result<UserRow> {
    Ok(UserRow {
        id: row.take()?,
        organization,
        user_name: row.take()?,
        name_key: row.take()?,
        given_name: row.take()?,
        family_name: row.take()?,
        display_name: row.take()?,
        email: row.take()?,
        active: row.take()?,
        attributes: row.take()?,
        created_at: row.take()?,
        updated_at: row.take()?,
        missing_since: row.take()?,
    })
}

impl Store {
    /// One user.
    pub async fn get_user(&self, organization: OrganizationId, id: UserId) -> Result<Option<UserRow>> {
        let query = sql(select_users!("AND id = $2"));
        self.database.row(query.bind(organization).bind(id), |mut row| read(&mut row, organization)).await
    }

    /// These users, those that there are, in no order.
    pub async fn get_users(&self, organization: OrganizationId, ids: &[UserId]) -> Result<Vec<UserRow>> {
        let query = Bulk::new(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE id {in} AND (",
            in_organization!(":1"),
            ") IS TRUE"
        ));
        let query = query.column(Cells::Uuids(ids.iter().map(|id| id.as_uuid()).collect())).shared(organization);
        self.database.bulk_rows(query, |mut row| read(&mut row, organization)).await
    }

    /// The users with these folded names, in no order.
    pub async fn users_of_names(&self, organization: OrganizationId, name_keys: Vec<String>) -> Result<Vec<UserRow>> {
        let query =
            Bulk::new(concat!("SELECT ", columns!(), " FROM users WHERE name_key {in} AND ", in_organization!(":1")));
        let query = query.column(Cells::Texts(name_keys)).shared(organization);
        self.database.bulk_rows(query, |mut row| read(&mut row, organization)).await
    }

    /// The user with this name; case does not matter.
    pub async fn find_user(&self, organization: OrganizationId, user_name: &str) -> Result<Option<UserRow>> {
        let query = sql(select_users!("AND name_key = $2"));
        self.database.row(query.bind(organization).bind(fold(user_name)), |mut row| read(&mut row, organization)).await
    }

    /// The accounts of a user or group, in the order of their directories.
    pub async fn accounts_of(&self, organization: OrganizationId, identity: Uuid) -> Result<Vec<Account>> {
        let query = sql(select_accounts!(
            "",
            "WHERE a.organization_id = $1 AND a.identity = $2 ORDER BY d.rank, a.target, a.id"
        ));
        self.database.rows(query.bind(organization).bind(identity), |mut row| accounts::read(&mut row)).await
    }

    /// Whether the organization has any user.
    pub async fn has_users(&self, organization: OrganizationId) -> Result<bool> {
        let query = sql(concat!("SELECT seq FROM users WHERE ", in_organization!("$1"), " LIMIT 1")).bind(organization);
        Ok(self.database.row(query, |mut row| row.take::<i64>()).await?.is_some())
    }

    /// How many users the organization has.
    pub async fn count_users(&self, organization: OrganizationId) -> Result<u64> {
        let query = sql(concat!("SELECT count(*) FROM users WHERE ", in_organization!("$1"))).bind(organization);
        Ok(self.database.row(query, |mut row| row.take()).await?.unwrap_or_default())
    }
}
