//! Reads of an organization's users: lists and searches. `writes` has the writes.

mod filtered;
mod joined;
mod own;
mod writes;

use uuid::Uuid;

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::filters;
use crate::fold;
use crate::ids::{OrganizationId, UserId};
use crate::prefix::end_of;
use crate::records::{Account, IdentityFilter, Page, PageRequest, Room, UserRow};
use crate::sql::{Row, Statement, built, sql};

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
use {columns, in_organization};

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

/// A search reads three indexes in turn, each a range of its own; a user is returned by the first that matches. So
/// every page costs the same. Most addresses begin with the user's name: those are in no index of addresses, which
/// would be the largest of all, and a last step finds them by the name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Name,
    DisplayName,
    Email,
}

/// The number of that last step, after the stages.
const OWN_ADDRESS: usize = Stage::ALL.len();
/// An address has one @; a few more are tried, in case that names contain some.
const ATS: usize = 8;

/// The key for searching an address, unless the user's name finds it.
fn email_key(name_key: &str, email: &str) -> Option<String> {
    let key = fold(email);
    let named = key.strip_prefix(name_key).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
    (!named).then_some(key)
}

impl Stage {
    const ALL: [Self; 3] = [Self::Name, Self::DisplayName, Self::Email];

    /// `$2` ends the range, `$3` and `$4` are the key and seq after which it begins, `$5` is the limit, `$6` the
    /// prefix. Each query has only one lower bound: given two, a database may start at the wider one and read what it
    /// skips.
    const fn query(self) -> (&'static str, &'static str) {
        match self {
            Self::Name => {
                (select_users!("AND (name_key, seq) > ($3, $4) AND name_key < $2"), "ORDER BY name_key LIMIT $5")
            }
            Self::DisplayName => (
                select_users!(
                    "AND (display_key, seq) > ($3, $4) AND display_key < $2 \
                     AND NOT (name_key >= $6 AND name_key < $2)"
                ),
                "ORDER BY display_key, seq LIMIT $5",
            ),
            Self::Email => (
                select_users!(
                    "AND (email_key, seq) > ($3, $4) AND email_key < $2 \
                     AND NOT (name_key >= $6 AND name_key < $2) \
                     AND (display_key IS NULL OR NOT (display_key >= $6 AND display_key < $2))"
                ),
                "ORDER BY email_key, seq LIMIT $5",
            ),
        }
    }

    /// The text of the query for users that the filter selects.
    fn text(self, filter: IdentityFilter) -> String {
        let ((query, order), [active, missing]) = (self.query(), filters::of_users(filter));
        format!("{query}{active}{missing} {order}")
    }

    /// A page of this stage, from its beginning or after a key and seq.
    fn page(
        self,
        organization: OrganizationId,
        prefix: &str,
        filter: IdentityFilter,
        after: Option<(&str, i64)>,
        limit: i64,
    ) -> Statement {
        let (key, seq) = after.unwrap_or((prefix, i64::MIN));
        let query = built(self.text(filter)).bind(organization).bind(end_of(prefix));
        let query = query.bind(key).bind(seq).bind(limit);
        if self == Self::Name { query } else { query.bind(prefix) }
    }

    fn key(self, user: &UserRow) -> String {
        match self {
            Self::Name => user.name_key.clone(),
            Self::DisplayName => fold(user.display_name.as_deref().unwrap_or_default()),
            Self::Email => fold(user.email.as_deref().unwrap_or_default()),
        }
    }
}

/// Where a search continues: `stage seq key`.
struct Cursor {
    stage: usize,
    seq: i64,
    key: String,
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let mut parts = text.splitn(3, ' ');
        let (stage, seq, key) = (parts.next().ok_or(())?, parts.next().ok_or(())?, parts.next().ok_or(())?);
        let stage = stage.parse().map_err(|_| ())?;
        Ok(Self { stage, seq: seq.parse().map_err(|_| ())?, key: key.to_owned() })
    }
}

impl Store {
    /// The organization's users by name; with a query, those whose name, display name or address starts with it (case
    /// does not matter), in that order.
    pub async fn list_users(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<UserRow>> {
        self.list_users_where(organization, query, IdentityFilter::default(), page).await
    }

    /// Like [`Self::list_users`], only those that the filter selects. A search for active users, or for those who are
    /// not missing, may read all matches; the inactive and the missing have indexes of their own.
    pub async fn list_users_where(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: IdentityFilter,
        page: &PageRequest,
    ) -> Result<Page<UserRow>> {
        let prefix = fold(query.unwrap_or_default().trim());
        let cursor: Option<Cursor> = page.cursor()?;
        let begun = cursor.as_ref().map_or(0, |cursor| cursor.stage);
        let stages: &[Stage] = if prefix.is_empty() { &Stage::ALL[..1] } else { &Stage::ALL };
        let (mut found, mut room) = (Vec::new(), Room::default());
        for (place, stage) in stages.iter().enumerate().skip(begun) {
            let wanted = page.probe() - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if wanted <= 0 || room.is_full() {
                break;
            }
            let here = cursor.as_ref().filter(|cursor| cursor.stage == place);
            let after = here.map(|cursor| (cursor.key.as_str(), cursor.seq));
            let query = stage.page(organization, &prefix, filter, after, wanted);
            let read = |mut row: Row| Ok((read(&mut row, organization)?, row.take::<i64>()?, place));
            found.extend(self.database.rows_within(query, &mut room, read).await?);
        }
        let wanted = usize::try_from(page.probe()).unwrap_or(usize::MAX).saturating_sub(found.len());
        let wanted = if room.is_full() { 0 } else { wanted };
        let after = cursor.as_ref().filter(|cursor| cursor.stage == OWN_ADDRESS).map(|cursor| cursor.key.as_str());
        let mut own = self.by_own_address(organization, &prefix, after).await?;
        own.retain(|(user, _)| filter.fits(user));
        found.extend(own.into_iter().take(wanted).map(|(user, seq)| (user, seq, OWN_ADDRESS)));
        let cursor = |(user, seq, place): &(UserRow, i64, usize)| {
            format!(
                "{place} {seq} {}",
                Stage::ALL.get(*place).map_or_else(|| user.name_key.clone(), |stage| stage.key(user))
            )
        };
        Ok(Page::within(found, page, &room, cursor).map(|(user, _, _)| user))
    }

    /// How many pages of 8 KB `PostgreSQL` reads for each step of a search. For tests.
    #[doc(hidden)]
    pub async fn pages_read_for_search(
        &self,
        organization: OrganizationId,
        prefix: &str,
        filter: IdentityFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        for stage in Stage::ALL {
            let after = after.map(|key| (key, i64::MIN));
            let query = stage.page(organization, prefix, filter, after, limit).explained();
            let plan: Vec<String> = self.database.rows(query, |mut row| row.take()).await?;
            pages.push(pages_of(&plan.join("\n")));
        }
        Ok(pages)
    }

    /// Users whose address is their name, an @, and more, and starts with the prefix; ordered by name, after this one.
    pub(crate) async fn by_own_address(
        &self,
        organization: OrganizationId,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<(UserRow, i64)>> {
        let names = prefix.match_indices('@').take(ATS).map(|(at, _)| prefix[..at].to_owned()).collect();
        let query = Bulk::new(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE name_key {in} AND ",
            in_organization!(":1"),
            " AND email_key IS NULL AND email IS NOT NULL"
        ));
        let read = |mut row: Row| Ok((read(&mut row, organization)?, row.take::<i64>()?));
        let mut found = self.database.bulk_rows(query.column(Cells::Texts(names)).shared(organization), read).await?;
        found.retain(|(user, _)| {
            let starts = |text: &Option<String>| text.as_deref().is_some_and(|text| fold(text).starts_with(prefix));
            starts(&user.email)
                && !starts(&user.display_name)
                && after.is_none_or(|after| user.name_key.as_str() > after)
        });
        found.sort_by(|(one, _), (other, _)| one.name_key.cmp(&other.name_key));
        Ok(found)
    }

    /// One user.
    pub async fn get_user(&self, organization: OrganizationId, id: UserId) -> Result<Option<UserRow>> {
        let query = sql(select_users!("AND id = $2"));
        self.database.row(query.bind(organization).bind(id), |mut row| read(&mut row, organization)).await
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

/// The pages that the whole plan read: its first line about buffers includes those below it.
fn pages_of(plan: &str) -> u64 {
    let buffers = plan.lines().find_map(|line| line.trim().strip_prefix("Buffers: shared ")).unwrap_or_default();
    let counts = buffers.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok());
    counts.sum()
}

#[cfg(test)]
mod tests;
