//! The users that a filter selects, if they are few.

use jiff::Timestamp;
use uuid::Uuid;

use super::one_more;
use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::fold;
use crate::ids::{DirectoryId, OrganizationId, UserId};
use crate::records::{AccountKind, IdentityFilter, UserFilter, UserSource};
use crate::sql::{Row, Statement, sql};
use crate::users::in_organization;
use crate::users::search::{Keys, Place, UserList};

/// A user, as far as a list is sorted and checked by it.
struct Light {
    id: UserId,
    keys: Keys,
    fields: IdentityFilter,
    is_own: bool,
    updated_at: Timestamp,
}

impl Light {
    fn read(row: &mut Row) -> Result<Self> {
        let (id, seq, name, display, email) = (row.take()?, row.take()?, row.take()?, row.take()?, row.take()?);
        let address: Option<String> = row.take()?;
        let (active, missing): (bool, bool) = (row.take()?, row.take()?);
        Ok(Self {
            id,
            keys: Keys { seq, name, display, email, address: address.as_deref().map(fold) },
            fields: IdentityFilter { active: Some(active), missing: Some(missing) },
            is_own: row.take()?,
            updated_at: row.take()?,
        })
    }

    fn fits(&self, filter: &UserFilter) -> bool {
        let same = |wanted: Option<bool>, is: Option<bool>| wanted.is_none() || wanted == is;
        same(filter.fields.active, self.fields.active)
            && same(filter.fields.missing, self.fields.missing)
            && (self.is_own || filter.source != Some(UserSource::Organization))
            && filter.updated_after.is_none_or(|time| self.updated_at > time)
    }
}

impl Store {
    /// The users of a list that one of the filters selects, in the order of the list, if they are at most this many; other
    /// filters that need a look at accounts or members are not applied. `None`: each filter selects more.
    pub(super) async fn few(
        &self,
        list: &UserList,
        filter: &UserFilter,
        most: usize,
    ) -> Result<Option<Vec<(Place, UserId)>>> {
        let Some(ids) = self.few_ids(list, filter, most).await? else { return Ok(None) };
        let query = Bulk::new(concat!(
            "SELECT id, seq, name_key, display_key, email_key, email, active, missing_since IS NOT NULL, is_own, updated_at \
             FROM users WHERE id {in} AND (",
            in_organization!(":1"),
            ") IS TRUE"
        ));
        let query = query.column(Cells::Uuids(ids)).shared(list.organization);
        let found = self.database.bulk_rows(query, |mut row| Light::read(&mut row)).await?;
        let fitting = found.into_iter().filter(|user| user.fits(filter));
        let mut few: Vec<(Place, UserId)> =
            fitting.filter_map(|user| Some((Place::of(user.keys, &list.prefix)?, user.id))).collect();
        few.sort_unstable();
        Ok(Some(few))
    }

    async fn few_ids(&self, list: &UserList, filter: &UserFilter, most: usize) -> Result<Option<Vec<Uuid>>> {
        let organization = list.organization;
        if let Some(time) = filter.updated_after
            && let Some(ids) = self.few_changed(organization, time, most).await?
        {
            return Ok(Some(ids));
        }
        if let Some(group) = filter.group
            && let Some(ids) = self.few_members(organization, group, most).await?
        {
            return Ok(Some(ids));
        }
        match filter.source {
            Some(UserSource::Directory(directory)) => self.few_of_directory(organization, directory, most).await,
            // They have an index by name, so all of them are a list already.
            Some(UserSource::Organization) if list.prefix.is_empty() => Ok(None),
            Some(UserSource::Organization) => self.few_own(organization, most).await,
            None => Ok(None),
        }
    }

    async fn few_changed(
        &self,
        organization: OrganizationId,
        time: Timestamp,
        most: usize,
    ) -> Result<Option<Vec<Uuid>>> {
        let count = sql(concat!(
            "SELECT count(*) FROM (SELECT 1 FROM users WHERE ",
            in_organization!("$1"),
            " AND updated_at > $2 LIMIT $3) found"
        ));
        let ids = sql(concat!("SELECT id FROM users WHERE ", in_organization!("$1"), " AND updated_at > $2 LIMIT $3"));
        self.if_few(most, [count, ids].map(|query| query.bind(organization).bind(time))).await
    }

    async fn few_own(&self, organization: OrganizationId, most: usize) -> Result<Option<Vec<Uuid>>> {
        let count = sql(concat!(
            "SELECT count(*) FROM (SELECT 1 FROM users WHERE ",
            in_organization!("$1"),
            " AND is_own LIMIT $2) found"
        ));
        let ids = sql(concat!("SELECT id FROM users WHERE ", in_organization!("$1"), " AND is_own LIMIT $2"));
        self.if_few(most, [count, ids].map(|query| query.bind(organization))).await
    }

    async fn few_of_directory(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        most: usize,
    ) -> Result<Option<Vec<Uuid>>> {
        let Some(target) = self.directory_seq(organization, directory).await? else { return Ok(Some(Vec::new())) };
        let count = sql("SELECT count(*) FROM (SELECT 1 FROM accounts WHERE target = $1 AND kind = $2 LIMIT $3) found");
        let ids = sql("SELECT identity FROM accounts WHERE target = $1 AND kind = $2 LIMIT $3");
        self.if_few(most, [count, ids].map(|query| query.bind(target).bind(AccountKind::User.code()))).await
    }

    /// What the second statement finds, without repetitions, if the first one, which counts, says that it is little. Both
    /// end with their limit.
    async fn if_few(&self, most: usize, [count, ids]: [Statement; 2]) -> Result<Option<Vec<Uuid>>> {
        let limit = one_more(most);
        let counted: i64 = self.database.row(count.bind(limit), |mut row| row.take()).await?.unwrap_or_default();
        if counted >= limit {
            return Ok(None);
        }
        let found: Vec<Option<Uuid>> = self.database.rows(ids.bind(limit), |mut row| row.take()).await?;
        let mut found: Vec<Uuid> = found.into_iter().flatten().collect();
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}
