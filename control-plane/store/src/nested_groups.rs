//! The groups within a group, level by level. A directory names members, and a name does not say whether it is a group's: so
//! the names of a large group are compared with those of the directory's groups.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{GroupId, OrganizationId};
use crate::member_names::{name_hash, read_names};
use crate::sql::sql;
use crate::twins::other_of_the_name;

/// Most groups that are followed.
const MOST_NESTED_GROUPS: usize = 10_000;
/// Most levels of nested groups that are followed.
const MOST_LEVELS: usize = 100;
/// Names up to which each is looked up among the accounts. With more, they are first compared with the names of all groups.
const FEW_NAMES: usize = 1_000;
/// Groups whose names are read at a time.
const GROUPS_AT_A_TIME: usize = 256;
/// Most rows of names that are read at a time. With more, each group of the directory is looked up among the names.
const MOST_ROWS: i64 = 512;
/// Most groups of a directory whose names are compared. With more, each name is looked up.
const MOST_COMPARED: i64 = 100_000;

/// The names of groups, by directory, as far as they were needed. `None`: the directory has too many.
type Compared = HashMap<i64, Option<HashSet<[u8; 16]>>>;

impl Store {
    /// A group with all groups within it. [`Error::Conflict`]: they are too many.
    pub(crate) async fn nested_groups(
        &self,
        organization: OrganizationId,
        group: GroupId,
    ) -> Result<BTreeSet<GroupId>> {
        let (mut found, mut frontier, mut compared) = (BTreeSet::from([group]), vec![group], Compared::new());
        for level in 0.. {
            let mut below = self.own_nested(organization, &frontier).await?;
            for groups in frontier.chunks(GROUPS_AT_A_TIME) {
                below.extend(self.imported_nested(organization, groups, &mut compared).await?);
            }
            frontier = below.into_iter().filter(|group| found.insert(*group)).collect();
            if frontier.is_empty() {
                break;
            }
            bounded(found.len(), level)?;
        }
        Ok(found)
    }

    /// The groups that the organization has made members of one of these groups.
    async fn own_nested(&self, organization: OrganizationId, groups: &[GroupId]) -> Result<Vec<GroupId>> {
        let query = Bulk::new(
            "SELECT member_id FROM own_members WHERE group_id {in} AND kind = 2 AND (organization_id = :1) IS TRUE",
        );
        self.database.bulk_rows(query.column(cells(groups)).shared(organization), |mut row| row.take()).await
    }

    /// The groups that a directory says are members of one of these groups.
    async fn imported_nested(
        &self,
        organization: OrganizationId,
        groups: &[GroupId],
        compared: &mut Compared,
    ) -> Result<Vec<GroupId>> {
        let query = Bulk::new(
            "SELECT target, names FROM group_members WHERE group_id {in} AND (organization_id = :1) IS TRUE LIMIT :2",
        );
        let query = query.column(cells(groups)).shared(organization).shared(MOST_ROWS + 1);
        let rows: Vec<(i64, Vec<String>)> =
            self.database.bulk_rows(query, |mut row| Ok((row.take()?, read_names(&mut row)?))).await?;
        if i64::try_from(rows.len()).is_ok_and(|rows| rows > MOST_ROWS) {
            return self.nested_by_account(organization, groups).await;
        }
        let mut names: HashMap<i64, Vec<[u8; 16]>> = HashMap::new();
        for (target, row) in rows {
            names.entry(target).or_default().extend(row.iter().map(|name| name_hash(name)));
        }
        let mut nested = Vec::new();
        for (target, mut names) in names {
            if names.len() > FEW_NAMES
                && let Some(groups) = self.compared(target, compared).await?
            {
                names.retain(|name| groups.contains(name));
            }
            nested.extend(self.nested_by_name(target, &names).await?);
        }
        Ok(nested)
    }

    /// The names of all groups of a directory, read once.
    async fn compared<'c>(&self, target: i64, known: &'c mut Compared) -> Result<Option<&'c HashSet<[u8; 16]>>> {
        if let Entry::Vacant(unknown) = known.entry(target) {
            let query = sql(
                "SELECT member_hash FROM accounts WHERE kind = 2 AND target = $1 AND identity IS NOT NULL LIMIT $2",
            );
            let query = query.bind(target).bind(MOST_COMPARED + 1);
            let names: Vec<Option<[u8; 16]>> = self.database.rows(query, |mut row| row.take()).await?;
            let few = i64::try_from(names.len()).is_ok_and(|names| names <= MOST_COMPARED);
            unknown.insert(few.then(|| names.into_iter().flatten().collect()));
        }
        Ok(known.get(&target).and_then(Option::as_ref))
    }

    /// The groups that these names mean.
    async fn nested_by_name(&self, target: i64, names: &[[u8; 16]]) -> Result<Vec<GroupId>> {
        let query = Bulk::new(concat!(
            "WITH v(name_hash) AS ({rows}) SELECT a.identity FROM v {each}accounts a{where}a.target = :1 \
             AND a.member_hash = v.name_hash AND a.identity IS NOT NULL AND a.kind = 2 AND NOT EXISTS (",
            other_of_the_name!(),
            "){every}"
        ));
        let query = query.column(Cells::Blobs(names.iter().map(|name| name.to_vec()).collect())).shared(target);
        self.database.bulk_rows(query, |mut row| row.take()).await
    }

    /// The groups of a directory that are among very many members.
    async fn nested_by_account(&self, organization: OrganizationId, groups: &[GroupId]) -> Result<Vec<GroupId>> {
        let query = Bulk::new(
            "SELECT DISTINCT target FROM group_members WHERE group_id {in} AND (organization_id = :1) IS TRUE",
        );
        let query = query.column(cells(groups)).shared(organization);
        let targets: BTreeSet<i64> = self.database.bulk_rows(query, |mut row| row.take()).await?.into_iter().collect();
        let mut nested = Vec::new();
        for target in targets {
            // The CASE makes SQLite look for other accounts of the name only after it has found a membership.
            let query = Bulk::new(concat!(
                "SELECT a.identity FROM accounts a CROSS JOIN member_names m WHERE a.target = :1 AND a.kind = 2 \
                 AND a.identity IS NOT NULL AND m.target = a.target AND m.name_hash = a.member_hash AND m.group_id {in} \
                 AND CASE WHEN m.group_id IS NULL THEN FALSE ELSE NOT EXISTS (",
                other_of_the_name!(),
                ") END"
            ));
            let query = query.column(cells(groups)).shared(target);
            nested.extend(self.database.bulk_rows::<GroupId>(query, |mut row| row.take()).await?);
        }
        Ok(nested)
    }
}

fn cells(groups: &[GroupId]) -> Cells {
    Cells::Uuids(groups.iter().map(|group| group.as_uuid()).collect())
}

/// [`Error::Conflict`]: more groups or levels than are followed.
pub(crate) fn bounded(groups: usize, level: usize) -> Result<()> {
    if groups > MOST_NESTED_GROUPS {
        return Err(Error::conflict(format!("more than {MOST_NESTED_GROUPS} groups are nested")));
    }
    if level >= MOST_LEVELS {
        return Err(Error::conflict(format!("the groups are nested more than {MOST_LEVELS} levels deep")));
    }
    Ok(())
}
