//! Effective membership: through nested groups, whether directories or the organization say so. Groups may contain each
//! other in a circle.
//!
//! The members of a group and of the groups within it are listed group by group, in the order of the groups' ids. A member
//! is listed with the first of these groups that it is a direct member of. So no member comes twice, and a page needs to
//! know only where the page before ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{GroupId, OrganizationId};
use crate::member_lists::cursor_after;
use crate::nested_groups::bounded;
use crate::records::{GroupRow, Member, MemberIdentity, Page, PageRequest};
use crate::twins::other_of_the_name;

/// Members that are read at a time. A page may read ten times as many as it shows, and ends early then.
const READ_AT_A_TIME: u32 = 100;
/// Groups whose members are read for one page.
const GROUPS_OF_A_PAGE: usize = 500;

/// Where a list of effective members continues: in a group, after a member of it.
struct Cursor {
    group: GroupId,
    inside: Option<String>,
}

impl Cursor {
    fn text(group: GroupId, inside: Option<&str>) -> String {
        inside.map_or_else(|| group.to_string(), |inside| format!("{group} {inside}"))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (group, inside) = text.split_once(' ').map_or((text, None), |(group, inside)| (group, Some(inside)));
        Ok(Self { group: group.parse().map_err(|_| ())?, inside: inside.map(str::to_owned) })
    }
}

/// A page of effective members while it is filled.
struct Filling {
    items: Vec<Member>,
    limit: usize,
    seen: HashSet<Uuid>,
    /// Members that may still be read.
    budget: usize,
    /// Groups that may still be read.
    groups: usize,
}

impl Filling {
    fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.budget == 0
    }

    fn is_over(&self) -> bool {
        self.is_full() || self.groups == 0
    }
}

impl Store {
    /// The users and groups that are members of a group, directly or through nested groups, without names that mean
    /// nobody. A page may be shorter than asked for and not be the last. [`crate::Error::Conflict`]: too many groups are nested.
    pub async fn list_effective_members(
        &self,
        organization: OrganizationId,
        group: GroupId,
        page: &PageRequest,
    ) -> Result<Page<Member>> {
        let nested = self.nested_groups(organization, group).await?;
        let start = page.cursor()?.unwrap_or(Cursor { group: GroupId::from_uuid(Uuid::nil()), inside: None });
        let limit = page.limit();
        let budget = limit.saturating_mul(10);
        let mut filling = Filling {
            items: Vec::new(),
            limit,
            seen: HashSet::from([group.as_uuid()]),
            budget,
            groups: GROUPS_OF_A_PAGE,
        };
        for current in nested.range(start.group..) {
            let mut inside = start.inside.clone().filter(|_| *current == start.group);
            loop {
                if filling.is_over() {
                    let next = Some(Cursor::text(*current, inside.as_deref()));
                    return Ok(Page { items: filling.items, next });
                }
                filling.groups -= 1;
                inside = self.fill(organization, *current, inside, &nested, &mut filling).await?;
                if inside.is_none() {
                    break;
                }
            }
        }
        Ok(Page { items: filling.items, next: None })
    }

    /// Adds direct members of one group to a page. Returns where in the group to continue; `None`: it has no more.
    async fn fill(
        &self,
        organization: OrganizationId,
        group: GroupId,
        after: Option<String>,
        nested: &BTreeSet<GroupId>,
        filling: &mut Filling,
    ) -> Result<Option<String>> {
        let request = PageRequest { after, limit: READ_AT_A_TIME };
        let direct = self.list_group_members(organization, group, &request).await?;
        let ids: Vec<Uuid> = direct.items.iter().filter_map(id_of).collect();
        let elsewhere = self.groups_with(organization, &ids, group.as_uuid()).await?;
        let earlier: HashSet<Uuid> =
            elsewhere.into_iter().filter(|(_, group)| nested.contains(group)).map(|(member, _)| member).collect();
        let mut last = None;
        for member in direct.items {
            if filling.is_full() {
                return Ok(last);
            }
            filling.budget -= 1;
            last = Some(cursor_after(&member));
            if let Some(id) = id_of(&member)
                && !earlier.contains(&id)
                && filling.seen.insert(id)
            {
                filling.items.push(member);
            }
        }
        Ok(direct.next)
    }

    /// The groups that a user or group is a member of, directly or through nested groups, oldest first.
    /// [`crate::Error::Conflict`]: they are too many.
    pub async fn list_effective_groups(
        &self,
        organization: OrganizationId,
        member: Uuid,
        page: &PageRequest,
    ) -> Result<Page<GroupRow>> {
        let (mut found, mut frontier) = (BTreeSet::new(), vec![member]);
        for level in 0.. {
            let above = self.groups_with(organization, &frontier, Uuid::max()).await?;
            let above: BTreeSet<GroupId> = above.into_iter().map(|(_, group)| group).collect();
            frontier = above.into_iter().filter(|group| found.insert(*group)).map(GroupId::as_uuid).collect();
            if frontier.is_empty() {
                break;
            }
            bounded(found.len(), level)?;
        }
        let after: Option<GroupId> = page.cursor()?;
        let rest = found.into_iter().filter(|group| after.is_none_or(|after| *group > after));
        let ids: Vec<GroupId> = rest.take(page.limit() + 1).collect();
        let mut rows = self.get_groups(organization, &ids).await?;
        rows.sort_by_key(|group| group.id);
        Ok(Page::cut(rows, page, |last| last.id.to_string()))
    }

    /// Those of these users and groups that one of `groups` has as a member, directly or through nested groups.
    /// [`crate::Error::Conflict`]: the groups are nested too deeply.
    pub async fn members_of_any(
        &self,
        organization: OrganizationId,
        members: &[Uuid],
        groups: &[GroupId],
    ) -> Result<HashSet<Uuid>> {
        let (mut above, mut seen): (HashMap<Uuid, Vec<Uuid>>, HashSet<GroupId>) = (HashMap::new(), HashSet::new());
        let mut frontier = members.to_vec();
        for level in 0.. {
            let found = self.groups_with(organization, &frontier, Uuid::max()).await?;
            frontier.clear();
            for (member, group) in found {
                above.entry(group.as_uuid()).or_default().push(member);
                if seen.insert(group) {
                    frontier.push(group.as_uuid());
                }
            }
            if frontier.is_empty() {
                break;
            }
            bounded(0, level)?;
        }
        // Down again, from the groups that are asked about.
        let (mut open, mut inside): (Vec<Uuid>, _) =
            (groups.iter().map(|group| group.as_uuid()).collect(), HashSet::new());
        while let Some(group) = open.pop() {
            let direct = above.remove(&group).unwrap_or_default();
            open.extend(direct.iter().filter(|member| above.contains_key(*member)));
            inside.extend(direct);
        }
        Ok(members.iter().copied().filter(|member| inside.contains(member)).collect())
    }

    /// The groups with smaller ids than this one that these users and groups are direct members of.
    async fn groups_with(
        &self,
        organization: OrganizationId,
        members: &[Uuid],
        below: Uuid,
    ) -> Result<Vec<(Uuid, GroupId)>> {
        let query = Bulk::new(concat!(
            "WITH v(id) AS ({rows}) SELECT a.identity, m.group_id FROM v CROSS JOIN accounts a CROSS JOIN member_names m \
             WHERE a.identity = v.id AND (a.organization_id = :1) IS TRUE AND m.target = a.target \
             AND m.name_hash = a.member_hash AND m.group_id < :2 AND NOT EXISTS (",
            other_of_the_name!(),
            ")"
        ));
        let query = query.column(Cells::Uuids(members.to_vec())).shared(organization).shared(below);
        let mut found: Vec<(Uuid, GroupId)> =
            self.database.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await?;
        let query = Bulk::new(
            "WITH v(id) AS ({rows}) SELECT a.member_id, a.group_id FROM v {each}own_members a{where}a.member_id = v.id \
             AND (a.organization_id = :1) IS TRUE AND a.group_id < :2{every}",
        );
        let query = query.column(Cells::Uuids(members.to_vec())).shared(organization).shared(below);
        found.extend(self.database.bulk_rows(query, |mut row| Ok((row.take()?, row.take()?))).await?);
        Ok(found)
    }
}

fn id_of(member: &Member) -> Option<Uuid> {
    member.identity.as_ref().map(|identity| match identity {
        MemberIdentity::User { id, .. } => id.as_uuid(),
        MemberIdentity::Group { id, .. } => id.as_uuid(),
    })
}
