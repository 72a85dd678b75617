//! Users by group, last change or source. One of the filters gives the order and an index to read by; the others are
//! checked on what is read. A page reads a bounded number of users, so it may be shorter than asked for and not be the
//! last: then the next one goes on where it ended.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{columns, in_organization, read};
use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::fold;
use crate::ids::{DirectoryId, GroupId, OrganizationId, UserId};
use crate::member_lists::cursor_after;
use crate::records::{AccountKind, MemberIdentity, Page, PageRequest, Room, UserFilter, UserRow, UserSource};
use crate::sql::{Row, sql};

/// Users that are read at a time.
const READ_AT_A_TIME: u32 = 100;
/// Users that are fetched by their ids at a time.
const FETCHED_AT_A_TIME: usize = 25;
/// A page reads up to this many times as many users as it may show.
const READ_FOR_ONE: usize = 10;

/// A user, and where a list continues after it.
type Candidate = (UserRow, String);

/// Some candidates, and whether there are more.
struct Candidates {
    users: Vec<Candidate>,
    /// Where to continue. `None`: these were the last.
    next: Option<String>,
}

impl Store {
    /// The users that a filter selects; with a query, those whose name, display name or address starts with it. By
    /// group they are in the order of its members, by last change the oldest change first, from a directory in the order
    /// of its accounts, and otherwise by name. A page may be shorter than asked for and not be the last.
    pub async fn filter_users(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Page<UserRow>> {
        if filter.is_by_fields() {
            return self.list_users_where(organization, query, filter.fields, page).await;
        }
        let prefix = fold(query.unwrap_or_default().trim());
        let (mut items, mut after) = (Vec::new(), page.after.clone());
        let (mut budget, mut room) = (page.limit().saturating_mul(READ_FOR_ONE), Room::default());
        let mut seen = HashSet::new();
        while budget > 0 && items.len() < page.limit() && !room.is_full() {
            let request = PageRequest { after: after.clone(), limit: READ_AT_A_TIME };
            let found = self.candidates(organization, filter, &request).await?;
            let ids: Vec<UserId> = found.users.iter().map(|(user, _)| user.id).collect();
            let fitting = self.with_source(organization, filter, &ids).await?;
            for (user, place) in found.users {
                let fits = fitting.as_ref().is_none_or(|fitting| fitting.contains(&user.id))
                    && matches(&user, filter, &prefix);
                if fits && (items.len() >= page.limit() || !room.takes(size(&user))) {
                    return Ok(Page { items, next: after });
                }
                budget = budget.saturating_sub(1);
                after = Some(place);
                if fits && seen.insert(user.id) {
                    items.push(user);
                }
            }
            if found.next.is_none() {
                return Ok(Page { items, next: None });
            }
            after = found.next;
        }
        Ok(Page { items, next: after })
    }

    /// The next users by the filter that gives the order.
    async fn candidates(
        &self,
        organization: OrganizationId,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Candidates> {
        match filter {
            UserFilter { group: Some(group), .. } => self.of_group(organization, *group, page).await,
            UserFilter { updated_after: Some(time), .. } => self.changed_after(organization, *time, page).await,
            UserFilter { source: Some(UserSource::Directory(id)), .. } => {
                self.of_directory(organization, *id, page).await
            }
            _ => self.own_by_name(organization, page).await,
        }
    }

    async fn of_group(&self, organization: OrganizationId, group: GroupId, page: &PageRequest) -> Result<Candidates> {
        let members = self.list_group_members(organization, group, page).await?;
        let place = |member: &crate::records::Member| match member.identity {
            Some(MemberIdentity::User { id, .. }) => Some((id, cursor_after(member))),
            _ => None,
        };
        let places: Vec<(UserId, String)> = members.items.iter().filter_map(place).collect();
        Ok(Candidates { users: self.users_at(organization, places).await?, next: members.next })
    }

    async fn changed_after(
        &self,
        organization: OrganizationId,
        time: Timestamp,
        page: &PageRequest,
    ) -> Result<Candidates> {
        let (time, seq) = page.cursor::<Place<i64>>()?.map_or((time.as_millisecond(), i64::MAX), |at| (at.key, at.seq));
        let query = sql(concat!(
            "SELECT ",
            columns!(),
            ", updated_at FROM users WHERE ",
            in_organization!("$1"),
            " AND (updated_at, seq) > ($2, $3) ORDER BY updated_at, seq LIMIT $4"
        ));
        let query = query.bind(organization).bind(time).bind(seq).bind(page.probe());
        self.read_candidates(organization, query, page, |row| Ok(row.take::<i64>()?.to_string())).await
    }

    async fn own_by_name(&self, organization: OrganizationId, page: &PageRequest) -> Result<Candidates> {
        let after = page.cursor::<Place<String>>()?;
        let (key, seq) = after.map_or((String::new(), i64::MIN), |at| (at.key, at.seq));
        let query = sql(concat!(
            "SELECT ",
            columns!(),
            ", name_key FROM users WHERE ",
            in_organization!("$1"),
            " AND is_own AND (name_key, seq) > ($2, $3) ORDER BY name_key, seq LIMIT $4"
        ));
        let query = query.bind(organization).bind(key).bind(seq).bind(page.probe());
        self.read_candidates(organization, query, page, Row::take).await
    }

    /// A user with several accounts in the directory comes with the first of them.
    async fn of_directory(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        page: &PageRequest,
    ) -> Result<Candidates> {
        let nobody = Candidates { users: Vec::new(), next: None };
        let Some(target) = self.directory_seq(organization, directory).await? else { return Ok(nobody) };
        let after = page.cursor::<Place<Key>>()?.map_or_else(Vec::new, |at| at.key.0);
        let query = sql("SELECT a.external_key, a.identity, NOT EXISTS (SELECT 1 FROM accounts b \
             WHERE b.identity = a.identity AND b.target = a.target AND b.kind = 1 AND b.external_key < a.external_key) \
             FROM accounts a WHERE a.target = $1 AND a.kind = 1 AND a.external_key > $2 ORDER BY a.external_key LIMIT $3");
        let query = query.bind(target).bind(after.as_slice()).bind(page.probe());
        let read = |mut row: Row| Ok((row.take::<Vec<u8>>()?, row.take::<Option<UserId>>()?, row.take::<bool>()?));
        let mut rows = self.database.rows(query, read).await?;
        let more = rows.len() > page.limit();
        rows.truncate(page.limit());
        let place = |key: &[u8]| Place { seq: 0, key: Key(key.to_vec()) }.to_string();
        let next = rows.last().filter(|_| more).map(|(key, ..)| place(key));
        let firsts = rows.into_iter().filter(|(.., is_first)| *is_first);
        let places = firsts.filter_map(|(key, id, _)| Some((id?, place(&key)))).collect();
        Ok(Candidates { users: self.users_at(organization, places).await?, next })
    }

    /// The users at these places of a list, few at a time, because some may be large.
    async fn users_at(&self, organization: OrganizationId, places: Vec<(UserId, String)>) -> Result<Vec<Candidate>> {
        let mut users = Vec::with_capacity(places.len());
        for some in places.chunks(FETCHED_AT_A_TIME) {
            let query =
                Bulk::new(concat!("SELECT ", columns!(), " FROM users WHERE id {in} AND ", in_organization!(":1")));
            let cells = Cells::Uuids(some.iter().map(|(id, _)| id.as_uuid()).collect());
            let query = query.column(cells).shared(organization);
            let found = self.database.bulk_rows(query, |mut row| read(&mut row, organization)).await?;
            let mut found: HashMap<UserId, UserRow> = found.into_iter().map(|user| (user.id, user)).collect();
            users.extend(some.iter().filter_map(|(id, place)| Some((found.remove(id)?, place.clone()))));
        }
        Ok(users)
    }

    async fn read_candidates(
        &self,
        organization: OrganizationId,
        query: crate::sql::Statement,
        page: &PageRequest,
        key: impl Fn(&mut Row) -> Result<String>,
    ) -> Result<Candidates> {
        let mut room = Room::default();
        let read = |mut row: Row| {
            let user = read(&mut row, organization)?;
            let seq = row.take::<i64>()?;
            Ok((user, Place { seq, key: key(&mut row)? }.to_string()))
        };
        let found = self.database.rows_within(query, &mut room, read).await?;
        let page = Page::within(found, page, &room, |(_, place): &Candidate| place.clone());
        Ok(Candidates { users: page.items, next: page.next })
    }

    /// Those of these users that come from the filter's source. `None`: all do.
    async fn with_source(
        &self,
        organization: OrganizationId,
        filter: &UserFilter,
        users: &[UserId],
    ) -> Result<Option<HashSet<UserId>>> {
        let cells = Cells::Uuids(users.iter().copied().map(UserId::as_uuid).collect());
        let query = match filter.source {
            None => return Ok(None),
            Some(UserSource::Organization) => Bulk::new(
                "SELECT id FROM users WHERE id {in} AND is_own AND organization = (SELECT seq FROM organizations WHERE id = :1)",
            )
            .column(cells)
            .shared(organization),
            Some(UserSource::Directory(directory)) => {
                let Some(target) = self.directory_seq(organization, directory).await? else {
                    return Ok(Some(HashSet::new()));
                };
                let query = "SELECT identity FROM accounts WHERE identity {in} AND (target = :1) IS TRUE AND kind = :2";
                Bulk::new(query).column(cells).shared(target).shared(AccountKind::User.code())
            }
        };
        let found: Vec<UserId> = self.database.bulk_rows(query, |mut row| row.take()).await?;
        Ok(Some(found.into_iter().collect()))
    }
}

fn matches(user: &UserRow, filter: &UserFilter, prefix: &str) -> bool {
    let starts = |text: Option<&str>| text.is_some_and(|text| fold(text).starts_with(prefix));
    let named = prefix.is_empty()
        || user.name_key.starts_with(prefix)
        || starts(user.display_name.as_deref())
        || starts(user.email.as_deref());
    named && filter.fields.fits(user) && filter.updated_after.is_none_or(|time| user.updated_at > time)
}

/// About how many bytes a user takes in a page.
fn size(user: &UserRow) -> usize {
    let texts = [&user.given_name, &user.family_name, &user.display_name, &user.email];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    user.attributes.len() + user.user_name.len() * 2 + texts
}

/// Where a list continues: `seq key`.
struct Place<K> {
    seq: i64,
    key: K,
}

impl<K: std::fmt::Display> std::fmt::Display for Place<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.seq, self.key)
    }
}

impl<K: std::str::FromStr> std::str::FromStr for Place<K> {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (seq, key) = text.split_once(' ').ok_or(())?;
        Ok(Self { seq: seq.parse().map_err(|_| ())?, key: key.parse().map_err(|_| ())? })
    }
}

/// The stored key of an account, as text.
struct Key(Vec<u8>);

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::str::FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok()))
            .collect::<Option<_>>()
            .ok_or(())?;
        if !digits.len().is_multiple_of(2) {
            return Err(());
        }
        Ok(Self(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()))
    }
}
