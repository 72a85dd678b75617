//! Users by group, last change or source, in the order of the list without these filters. If one of the filters selects
//! few users, these are read, checked and sorted. Otherwise the list itself is read, and each of its users is checked.

mod few;
mod members;

use std::collections::HashSet;

use super::in_organization;
use super::search::{Place, UserList};
use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{OrganizationId, UserId};
use crate::records::{AccountKind, Page, PageRequest, Room, UserFilter, UserRow, UserSource};

/// Users that are read or checked at a time, after the first ones.
const AT_A_TIME: usize = 1_000;
/// Whole users that are fetched by their ids at a time, because some may be large.
const FETCHED_AT_A_TIME: usize = 25;

/// What a page of a filtered list may cost.
#[derive(Clone, Copy, Debug)]
pub struct FilterBounds {
    /// If a filter selects at most this many users, they are all read.
    pub few: usize,
    /// Otherwise a page looks at this many users at most, and is shorter if too few of them fit.
    pub looked_at: usize,
}

impl Default for FilterBounds {
    fn default() -> Self {
        Self { few: 5_000, looked_at: 20_000 }
    }
}

impl Store {
    /// The users that a filter selects; with a query, those whose name, display name or address starts with it. The order
    /// is that of [`Self::list_users`]. A page may be shorter than asked for and not be the last, if very many users had to
    /// be looked at for it.
    pub async fn filter_users(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Page<UserRow>> {
        self.filter_users_within(organization, query, filter, page, FilterBounds::default()).await
    }

    /// The same within other bounds. For tests.
    #[doc(hidden)]
    pub async fn filter_users_within(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: &UserFilter,
        page: &PageRequest,
        bounds: FilterBounds,
    ) -> Result<Page<UserRow>> {
        if filter.is_by_fields() {
            return self.list_users_where(organization, query, filter.fields, page).await;
        }
        let mut list = UserList::new(organization, query, filter.fields);
        list.is_own = filter.source == Some(UserSource::Organization);
        match self.few(&list, filter, bounds.few).await? {
            Some(few) => self.page_of_few(&list, filter, few, page).await,
            None => self.page_of_list(&list, filter, page, bounds.looked_at).await,
        }
    }

    /// A page of these users, who are in the order of the list.
    async fn page_of_few(
        &self,
        list: &UserList,
        filter: &UserFilter,
        mut few: Vec<(Place, UserId)>,
        page: &PageRequest,
    ) -> Result<Page<UserRow>> {
        let after: Option<Place> = page.cursor()?;
        few.retain(|(place, _)| after.as_ref().is_none_or(|after| place > after));
        let mut fitting = Vec::new();
        for some in few.chunks(AT_A_TIME.max(page.limit())) {
            let ids: Vec<UserId> = some.iter().map(|(_, id)| *id).collect();
            let those = self.fitting(list, filter, &ids).await?;
            fitting.extend(some.iter().filter(|(_, id)| those.as_ref().is_none_or(|those| those.contains(id))));
            if fitting.len() > page.limit() {
                break;
            }
        }
        let (mut items, mut room, mut end) = (Vec::new(), Room::default(), None);
        for some in fitting.chunks(FETCHED_AT_A_TIME) {
            let mut users =
                self.get_users(list.organization, &some.iter().map(|(_, id)| *id).collect::<Vec<_>>()).await?;
            for (place, id) in some {
                let Some(at) = users.iter().position(|user| user.id == *id) else { continue };
                let user = users.swap_remove(at);
                if items.len() >= page.limit() || !room.takes(size(&user)) {
                    return Ok(Page { items, next: end });
                }
                items.push(user);
                end = Some(place.to_string());
            }
        }
        Ok(Page { items, next: None })
    }

    /// A page of the list's users who fit.
    async fn page_of_list(
        &self,
        list: &UserList,
        filter: &UserFilter,
        page: &PageRequest,
        looked_at: usize,
    ) -> Result<Page<UserRow>> {
        let mut after: Option<Place> = page.cursor()?;
        let (mut items, mut room, mut end) = (Vec::new(), Room::default(), None);
        let (mut left, mut wanted) = (looked_at, page.limit() + 1);
        while left > 0 {
            wanted = wanted.min(left);
            let mut read = Room::default();
            let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
            let found = self.read_list(list, after.as_ref(), limit, &mut read).await?;
            let ends = found.len() < wanted && !read.is_full();
            let ids: Vec<UserId> = found.iter().map(|(user, _)| user.id).collect();
            let fitting = self.fitting(list, filter, &ids).await?;
            left -= found.len().min(left);
            for (user, place) in found {
                let changed = filter.updated_after.is_none_or(|time| user.updated_at > time);
                if changed && fitting.as_ref().is_none_or(|fitting| fitting.contains(&user.id)) {
                    if items.len() >= page.limit() || !room.takes(size(&user)) {
                        return Ok(Page { items, next: end });
                    }
                    items.push(user);
                    end = Some(place.to_string());
                }
                after = Some(place);
            }
            if ends {
                return Ok(Page { items, next: None });
            }
            wanted = AT_A_TIME;
        }
        Ok(Page { items, next: after.map(|place| place.to_string()) })
    }

    /// Those of these users that the filter's source and group have. `None`: all.
    async fn fitting(&self, list: &UserList, filter: &UserFilter, users: &[UserId]) -> Result<Option<HashSet<UserId>>> {
        let cells = || Cells::Uuids(users.iter().map(|user| user.as_uuid()).collect());
        let from_source = match filter.source {
            None => None,
            Some(UserSource::Organization) => {
                let query = Bulk::new(concat!(
                    "SELECT id FROM users WHERE id {in} AND (",
                    in_organization!(":1"),
                    ") IS TRUE AND (is_own) IS TRUE"
                ));
                Some(query.column(cells()).shared(list.organization))
            }
            Some(UserSource::Directory(directory)) => {
                let Some(target) = self.directory_seq(list.organization, directory).await? else {
                    return Ok(Some(HashSet::new()));
                };
                let query = "SELECT identity FROM accounts WHERE identity {in} AND (target = :1) IS TRUE AND kind = :2";
                Some(Bulk::new(query).column(cells()).shared(target).shared(AccountKind::User.code()))
            }
        };
        let from_source: Option<HashSet<UserId>> = match from_source {
            Some(query) => Some(self.database.bulk_rows(query, |mut row| row.take()).await?.into_iter().collect()),
            None => None,
        };
        let Some(group) = filter.group else { return Ok(from_source) };
        let members = self.members_among(list.organization, group, users).await?;
        let both = |user: &UserId| from_source.as_ref().is_none_or(|from_source| from_source.contains(user));
        Ok(Some(members.into_iter().filter(both).collect()))
    }
}

/// About how many bytes a user takes in a page.
fn size(user: &UserRow) -> usize {
    let texts = [&user.given_name, &user.family_name, &user.display_name, &user.email];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    user.attributes.len() + user.user_name.len() * 2 + texts
}

/// A limit that shows whether there are more than this many.
fn one_more(most: usize) -> i64 {
    i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX)
}
