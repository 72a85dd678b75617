//! Users of an organization.

use uuid::Uuid;

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::fold;
use crate::ids::{OrganizationId, UserId};
use crate::imports::Intake;
use crate::records::{Account, IdentityFilter, Page, PageRequest, Room, UserRow};
use crate::sql::{Row, Statement, sql};

/// Sorts after every text that starts alike.
pub(crate) const LAST: char = '\u{10FFFF}';

/// The columns that [`read`] reads, and the seq.
macro_rules! columns {
    () => {
        "id, user_name, name_key, given_name, family_name, display_name, email, active, attributes, \
         created_at, updated_at, missing_since, seq"
    };
}

/// Tells the users of an organization, which they name by its seq.
macro_rules! in_organization {
    ($id:literal) => {
        concat!("organization = (SELECT seq FROM organizations WHERE id = ", $id, ")")
    };
}

/// The condition of a list's filter: `$6` and `$7` are those of [`wanted`].
macro_rules! filtered {
    () => {
        "AND CASE $6 WHEN 1 THEN active WHEN 0 THEN NOT active ELSE TRUE END \
         AND CASE $7 WHEN 1 THEN missing_since IS NOT NULL WHEN 0 THEN missing_since IS NULL ELSE TRUE END "
    };
}

macro_rules! select_users {
    ($rest:literal, $order:literal) => {
        concat!("SELECT ", columns!(), " FROM users WHERE ", in_organization!("$1"), " ", $rest, filtered!(), $order)
    };
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM users WHERE ", in_organization!("$1"), " ", $rest)
    };
}

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

/// A search goes through three indexes one after the other, each a range of its own; a user is found in the first
/// that matches. So a page costs the same wherever it is. Most addresses begin with the user's name: those stand in no
/// index of addresses, which would be the largest of all, and are found by the name in a last step of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Name,
    DisplayName,
    Email,
}

/// The place of that last step behind the stages.
const OWN_ADDRESS: usize = Stage::ALL.len();
/// An address has one @; a few more are looked at, in case that names have some.
const ATS: usize = 8;

/// The key by which an address is sought, unless the user's name leads to it.
fn email_key(name_key: &str, email: &str) -> Option<String> {
    let key = fold(email);
    let named = key.strip_prefix(name_key).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
    (!named).then_some(key)
}

impl Stage {
    const ALL: [Self; 3] = [Self::Name, Self::DisplayName, Self::Email];

    /// `$2` ends the range, `$3` and `$4` are the key and seq after which it begins, `$5` is the limit,
    /// `$6` and `$7` the filter, `$8` the prefix.
    /// Each query has one lower bound only: of two, a database may begin at the looser one and read what it skips.
    const fn query(self) -> &'static str {
        match self {
            Self::Name => {
                select_users!("AND (name_key, seq) > ($3, $4) AND name_key < $2 ", "ORDER BY name_key LIMIT $5")
            }
            Self::DisplayName => select_users!(
                "AND (display_key, seq) > ($3, $4) AND display_key < $2 \
                 AND NOT (name_key >= $8 AND name_key < $2) ",
                "ORDER BY display_key, seq LIMIT $5"
            ),
            Self::Email => select_users!(
                "AND (email_key, seq) > ($3, $4) AND email_key < $2 \
                 AND NOT (name_key >= $8 AND name_key < $2) \
                 AND (display_key IS NULL OR NOT (display_key >= $8 AND display_key < $2)) ",
                "ORDER BY email_key, seq LIMIT $5"
            ),
        }
    }

    /// A page of this stage, after a key and seq or from its beginning.
    fn page(
        self,
        organization: OrganizationId,
        prefix: &str,
        filter: IdentityFilter,
        after: Option<(&str, i64)>,
        limit: i64,
    ) -> Statement {
        let (key, seq) = after.unwrap_or((prefix, i64::MIN));
        let query = sql(self.query()).bind(organization).bind(end_of(prefix)).bind(key).bind(seq).bind(limit);
        let query = query.bind(wanted(filter.active)).bind(wanted(filter.missing));
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

/// Where a search goes on: `stage seq key`.
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
    /// The organization's users by name; or those whose name, display name or address starts with the query (case
    /// does not matter), in that order.
    pub async fn list_users(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<UserRow>> {
        self.list_users_where(organization, query, IdentityFilter::default(), page).await
    }

    /// The same, only those whom the filter wants. A rare kind is sought among all: a page may take long.
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

    /// What `PostgreSQL` reads for each step of a search, in pages of 8 KB. For tests.
    #[doc(hidden)]
    pub async fn pages_read_for_search(
        &self,
        organization: OrganizationId,
        prefix: &str,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        for stage in Stage::ALL {
            let after = after.map(|key| (key, i64::MIN));
            let query = stage.page(organization, prefix, IdentityFilter::default(), after, limit).explained();
            let plan: Vec<String> = self.database.rows(query, |mut row| row.take()).await?;
            pages.push(pages_of(&plan.join("\n")));
        }
        Ok(pages)
    }

    /// Users whose address is their name, an @, and more, and starts with the prefix; by name, those after this one.
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

    /// The user of this name; case does not matter.
    pub async fn find_user(&self, organization: OrganizationId, user_name: &str) -> Result<Option<UserRow>> {
        let query = sql(select_users!("AND name_key = $2"));
        self.database.row(query.bind(organization).bind(fold(user_name)), |mut row| read(&mut row, organization)).await
    }

    /// The accounts of a user or group, oldest first.
    pub async fn accounts_of(&self, organization: OrganizationId, identity: Uuid) -> Result<Vec<Account>> {
        let query = sql(select_accounts!("", "WHERE a.organization_id = $1 AND a.identity = $2 ORDER BY a.id"));
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

/// A filter as a number: 1 those who are so, 0 those who are not, another all.
pub(crate) fn wanted(filter: Option<bool>) -> i64 {
    filter.map_or(-1, i64::from)
}

/// The pages that the whole plan read: its first line about buffers sums up those below it.
fn pages_of(plan: &str) -> u64 {
    let buffers = plan.lines().find_map(|line| line.trim().strip_prefix("Buffers: shared ")).unwrap_or_default();
    let counts = buffers.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok());
    counts.sum()
}

/// Sorts after all keys that start with a prefix.
pub(crate) fn end_of(prefix: &str) -> String {
    format!("{prefix}{LAST}")
}

impl Intake {
    /// Writes new users, as created now. [`crate::Error::Conflict`]: a name is taken.
    pub async fn insert_users(&mut self, users: Vec<UserRow>) -> Result<()> {
        self.write_users(
            "WITH v(id, name_key, display_key, email_key, user_name, given_name, family_name, display_name, email, \
             active, attributes) AS ({rows}) \
             {insert} users (id, organization, name_key, display_key, email_key, user_name, given_name, \
             family_name, display_name, email, active, created_at, updated_at, attributes) \
             SELECT v.id, (SELECT seq FROM organizations WHERE id = :1), v.name_key, v.display_key, v.email_key, \
             v.user_name, v.given_name, v.family_name, v.display_name, v.email, v.active, :2, :2, v.attributes FROM v",
            users,
        )
        .await
    }

    /// Writes changed users, as updated now; whether they are active is left to [`Self::settle_users`]. [`crate::Error::Conflict`]: a name is taken.
    pub async fn update_users(&mut self, users: Vec<UserRow>) -> Result<()> {
        self.write_users(
            "WITH v(id, name_key, display_key, email_key, user_name, given_name, family_name, display_name, email, \
             active, attributes) AS ({rows}) \
             {update} users SET name_key = v.name_key, display_key = v.display_key, email_key = v.email_key, \
             user_name = v.user_name, given_name = v.given_name, family_name = v.family_name, \
             display_name = v.display_name, email = v.email, updated_at = :2, \
             attributes = v.attributes FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
            users,
        )
        .await
    }

    /// Writes all of users but their names, as updated now; whether they are active is left to [`Self::settle_users`].
    pub async fn update_profiles(&mut self, users: Vec<UserRow>) -> Result<()> {
        let Self { organization, now, .. } = *self;
        // The name that the user has is not looked up: an address may be found twice, and is shown once.
        let bulk = Bulk::new(
            "WITH v(id, display_key, email_key, given_name, family_name, display_name, email, attributes) \
             AS ({rows}) {update} users SET display_key = v.display_key, email_key = v.email_key, \
             given_name = v.given_name, family_name = v.family_name, display_name = v.display_name, email = v.email, \
             updated_at = :2, attributes = v.attributes FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        );
        let maybe = |text: fn(&UserRow) -> Option<String>| Cells::MaybeTexts(users.iter().map(text).collect());
        let bulk = bulk
            .column(Cells::Uuids(users.iter().map(|user| user.id.as_uuid()).collect()))
            .column(maybe(|user| user.display_name.as_deref().map(fold)))
            .column(maybe(|user| user.email.as_deref().map(fold)))
            .column(maybe(|user| user.given_name.clone()))
            .column(maybe(|user| user.family_name.clone()))
            .column(maybe(|user| user.display_name.clone()))
            .column(maybe(|user| user.email.clone()))
            .column(Cells::Texts(users.iter().map(|user| user.attributes.clone()).collect()));
        self.tx.bulk(bulk.shared(organization).shared(now)).await.map(|_| ())
    }

    /// Takes the names from users who are gone, so that others can have them. They keep the name with a mark behind it
    /// that nobody else has.
    pub async fn give_up_names(&mut self, users: &[UserId]) -> Result<()> {
        let query = Bulk::new(
            "SELECT id, user_name, email FROM users WHERE id {in} \
             AND (organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        )
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .shared(self.organization);
        let found: Vec<(Uuid, String, Option<String>)> =
            self.tx.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?, row.take()?))).await?;
        // Drawn anew each time: nobody can take the name before.
        let names: Vec<String> =
            found.iter().map(|(_, name, _)| format!("{name}~{}", UserId::new().as_uuid().simple())).collect();
        let update = Bulk::new(
            "WITH v(id, name_key, user_name, email_key) AS ({rows}) {update} users SET name_key = v.name_key, \
             user_name = v.user_name, email_key = v.email_key, updated_at = :2 FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        )
        .column(Cells::Uuids(found.iter().map(|(id, _, _)| *id).collect()))
        .column(Cells::Texts(names.iter().map(|name| fold(name)).collect()))
        .column(Cells::Texts(names))
        .column(Cells::MaybeTexts(found.iter().map(|(_, _, email)| email.as_deref().map(fold)).collect()))
        .shared(self.organization)
        .shared(self.now);
        self.tx.bulk(update).await.map(|_| ())
    }

    /// Takes the names from users who get others in this transaction, so that these may be each other's.
    pub async fn free_names(&mut self, users: Vec<UserId>) -> Result<()> {
        // No name that a directory has begins like this.
        let placeholders = users.iter().map(|user| format!("\u{1}{user}")).collect();
        let update = Bulk::new(
            "WITH v(id, name_key) AS ({rows}) {update} users SET name_key = v.name_key FROM v WHERE users.id = v.id \
             AND (users.organization = (SELECT seq FROM organizations WHERE id = :1)) IS TRUE",
        )
        .column(Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect()))
        .column(Cells::Texts(placeholders))
        .shared(self.organization);
        self.tx.bulk(update).await.map(|_| ())
    }

    async fn write_users(&mut self, template: &'static str, users: Vec<UserRow>) -> Result<()> {
        let Self { organization, now, .. } = *self;
        let make = |users| user_columns(Bulk::new(template), users).shared(organization).shared(now);
        self.tx.bulk(make(users)).await.map(|_| ())
    }
}

fn user_columns(bulk: Bulk, users: Vec<UserRow>) -> Bulk {
    let folded = |text: Option<&String>| text.map(|text| fold(text));
    let ids = users.iter().map(|user| user.id.as_uuid()).collect();
    let display_keys = users.iter().map(|user| folded(user.display_name.as_ref())).collect();
    let email_keys = users.iter().map(|user| email_key(&user.name_key, user.email.as_deref()?)).collect();
    let active = users.iter().map(|user| user.active).collect();
    let mut texts: [Vec<String>; 3] = std::array::from_fn(|_| Vec::with_capacity(users.len()));
    let mut maybe: [Vec<Option<String>>; 4] = std::array::from_fn(|_| Vec::with_capacity(users.len()));
    for user in users {
        for (column, value) in texts.iter_mut().zip([user.name_key, user.user_name, user.attributes]) {
            column.push(value);
        }
        let optional = [user.given_name, user.family_name, user.display_name, user.email];
        for (column, value) in maybe.iter_mut().zip(optional) {
            column.push(value);
        }
    }
    let [name_keys, user_names, attributes] = texts;
    let [given_names, family_names, display_names, emails] = maybe;
    bulk.column(Cells::Uuids(ids))
        .column(Cells::Texts(name_keys))
        .column(Cells::MaybeTexts(display_keys))
        .column(Cells::MaybeTexts(email_keys))
        .column(Cells::Texts(user_names))
        .column(Cells::MaybeTexts(given_names))
        .column(Cells::MaybeTexts(family_names))
        .column(Cells::MaybeTexts(display_names))
        .column(Cells::MaybeTexts(emails))
        .column(Cells::Bools(active))
        .column(Cells::Texts(attributes))
}

#[cfg(test)]
mod tests;
