//! The list of users by name, and the search by a beginning.

use super::{columns, in_organization, read, select_users};
use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::filters;
use crate::fold;
use crate::ids::OrganizationId;
use crate::prefix::end_of;
use crate::records::{IdentityFilter, Page, PageRequest, Room, UserRow};
use crate::sql::{Row, Statement, built};

/// A search reads three indexes in turn, each a range of its own; a user is returned by the first that matches. So
/// every page costs the same. Most addresses begin with the user's name: those are in no index of addresses, which
/// would be the largest of all, and a last step finds them by the name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Name,
    DisplayName,
    Email,
}

/// The number of that last step, after the stages.
const OWN_ADDRESS: usize = Stage::ALL.len();
/// An address has one @; a few more are tried, in case that names contain some.
const ATS: usize = 8;

/// The key for searching an address, unless the user's name finds it.
pub(super) fn email_key(name_key: &str, email: &str) -> Option<String> {
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

    /// The text of the query for users of a list.
    pub(super) fn text(self, list: &UserList) -> String {
        let ((query, order), [active, missing]) = (self.query(), filters::of_users(list.fields));
        let own = if list.is_own { " AND is_own" } else { "" };
        format!("{query}{active}{missing}{own} {order}")
    }

    /// A page of this stage, from its beginning or after a key and seq.
    fn page(self, list: &UserList, after: Option<(&str, i64)>, limit: i64) -> Statement {
        let prefix = list.prefix.as_str();
        let (key, seq) = after.unwrap_or((prefix, i64::MIN));
        let query = built(self.text(list)).bind(list.organization).bind(end_of(prefix));
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

/// Which users a list has.
pub(super) struct UserList {
    pub(super) organization: OrganizationId,
    /// The beginning that is searched for, folded. Empty: all users, by name.
    pub(super) prefix: String,
    pub(super) fields: IdentityFilter,
    /// Only users that the organization has made itself.
    pub(super) is_own: bool,
}

impl UserList {
    pub(super) fn new(organization: OrganizationId, query: Option<&str>, fields: IdentityFilter) -> Self {
        Self { organization, prefix: fold(query.unwrap_or_default().trim()), fields, is_own: false }
    }
}

/// The place of a user in a list, by which the list is sorted and goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    stage: usize,
    key: String,
    seq: i64,
}

/// What gives a user a place in a list.
pub(super) struct Keys {
    pub(super) seq: i64,
    pub(super) name: String,
    pub(super) display: Option<String>,
    pub(super) email: Option<String>,
    /// The address, folded.
    pub(super) address: Option<String>,
}

impl Place {
    /// The place of a user in the list for a prefix. `None`: the user is not in it.
    pub(super) fn of(keys: Keys, prefix: &str) -> Option<Self> {
        let Keys { seq, name, display, email, address } = keys;
        let starts = |key: &String| key.starts_with(prefix);
        let stages = [Some(name.clone()), display, email.clone()];
        let found = stages.into_iter().enumerate().find_map(|(stage, key)| Some((stage, key.filter(starts)?)));
        let by_own_address = || email.is_none() && address.as_ref().is_some_and(starts);
        let (stage, key) = found.or_else(|| by_own_address().then_some((OWN_ADDRESS, name)))?;
        Some(Self { stage, key, seq })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} {}", self.stage, self.seq, self.key)
    }
}

impl std::str::FromStr for Place {
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
        let list = UserList::new(organization, query, filter);
        let mut room = Room::default();
        let found = self.read_list(&list, page.cursor()?.as_ref(), page.probe(), &mut room).await?;
        Ok(Page::within(found, page, &room, |(_, place)| place.to_string()).map(|(user, _)| user))
    }

    /// Up to `limit` users of a list after a place, as far as there is room.
    pub(super) async fn read_list(
        &self,
        list: &UserList,
        after: Option<&Place>,
        limit: i64,
        room: &mut Room,
    ) -> Result<Vec<(UserRow, Place)>> {
        let UserList { organization, fields, .. } = *list;
        let stages: &[Stage] = if list.prefix.is_empty() { &Stage::ALL[..1] } else { &Stage::ALL };
        let mut found = Vec::new();
        let wanted = |found: &Vec<_>| limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
        for (number, stage) in stages.iter().enumerate().skip(after.map_or(0, |after| after.stage)) {
            if wanted(&found) <= 0 || room.is_full() {
                return Ok(found);
            }
            let here = after.filter(|after| after.stage == number).map(|after| (after.key.as_str(), after.seq));
            let query = stage.page(list, here, wanted(&found));
            let read = |mut row: Row| {
                let (user, seq) = (read(&mut row, organization)?, row.take()?);
                let place = Place { stage: number, key: stage.key(&user), seq };
                Ok((user, place))
            };
            found.extend(self.database.rows_within(query, room, read).await?);
        }
        if room.is_full() {
            return Ok(found);
        }
        let after = after.filter(|after| after.stage == OWN_ADDRESS).map(|after| after.key.as_str());
        let mut own = self.by_own_address(organization, &list.prefix, after).await?;
        own.retain(|(user, _)| fields.fits(user));
        let own = own.into_iter().map(|(user, seq)| {
            let place = Place { stage: OWN_ADDRESS, key: user.name_key.clone(), seq };
            (user, place)
        });
        let wanted = usize::try_from(wanted(&found)).unwrap_or_default();
        found.extend(own.take(wanted));
        Ok(found)
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
            let list = UserList { organization, prefix: prefix.to_owned(), fields: filter, is_own: false };
            let query = stage.page(&list, after, limit).explained();
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
}

/// The pages that the whole plan read: its first line about buffers includes those below it.
fn pages_of(plan: &str) -> u64 {
    let buffers = plan.lines().find_map(|line| line.trim().strip_prefix("Buffers: shared ")).unwrap_or_default();
    let counts = buffers.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok());
    counts.sum()
}

#[cfg(test)]
mod tests;
