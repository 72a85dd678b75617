//! Writes of the members that imports bring. A directory's groups name their members by DN or unique value. The names
//! are stored, many in a row, with an index from names to groups; the account of a name is looked up on reading
//! ([`crate::member_lists`]). So nothing changes here when an account is renamed or goes missing.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{DirectoryId, GroupId, OrganizationId};
use crate::imports::Intake;
use crate::keys::bounded;
use crate::member_names::{name_hash, names_in_row, read_names};
use crate::member_rows::RowChanges;
use crate::records::MemberForm;
use crate::sql::sql;

/// The rows to write for some groups.
#[derive(Default)]
struct Difference {
    /// Deleted rows, by their first names.
    deleted: Vec<(GroupId, String)>,
    updated: NameRows,
    inserted: NameRows,
    joined: Vec<([u8; 16], GroupId)>,
    left: Vec<([u8; 16], GroupId)>,
}

impl Difference {
    fn add(&mut self, group: GroupId, rows: &[Vec<String>], mut wanted: Vec<String>, most: usize) -> Result<()> {
        wanted.sort_unstable();
        wanted.dedup();
        let changes = RowChanges::between(rows, &wanted, most);
        self.deleted.extend(changes.deleted.into_iter().map(|first| (group, first.clone())));
        changes.updated.into_iter().try_for_each(|names| self.updated.push(group, names))?;
        changes.inserted.into_iter().try_for_each(|names| self.inserted.push(group, names))?;
        self.joined.extend(changes.joined.into_iter().map(|name| (name_hash(name), group)));
        self.left.extend(changes.left.into_iter().map(|name| (name_hash(name), group)));
        Ok(())
    }
}

/// Rows with their names, column by column.
#[derive(Default)]
struct NameRows {
    groups: Vec<Uuid>,
    firsts: Vec<String>,
    names: Vec<String>,
}

impl NameRows {
    fn push(&mut self, group: GroupId, names: &[String]) -> Result<()> {
        let Some(first) = names.first() else { return Ok(()) };
        self.groups.push(group.as_uuid());
        self.firsts.push(first.clone());
        self.names.push(serde_json::to_string(names).map_err(|error| Error::corrupt(error.to_string()))?);
        Ok(())
    }

    fn into_bulk(self, template: &'static str) -> Bulk {
        let groups = Bulk::new(template).column(Cells::Uuids(self.groups));
        groups.column(Cells::Texts(self.firsts)).column(Cells::Texts(self.names))
    }
}

impl Intake {
    /// Replaces the members of groups, writing only the differences. The names are normalized DNs or unique values.
    /// Returns how many were added and removed. [`Error::NotFound`]: the organization does not have all of these
    /// groups.
    pub async fn replace_members(&mut self, groups: Vec<(GroupId, Vec<String>)>) -> Result<u64> {
        let known = self.rows_of(&groups).await?;
        let mut difference = Difference::default();
        for (group, wanted) in groups {
            // The first name of a row is indexed. A long name is stored as its key, which also finds it.
            let wanted = wanted.into_iter().map(|name| bounded(name.into()).into_owned()).collect();
            difference.add(group, known.get(&group).map_or(&[], Vec::as_slice), wanted, names_in_row(self.form))?;
        }
        self.write_members(difference).await
    }

    /// Records that a member has another DN now, in the groups in which the directory lists it: nobody leaves a group by
    /// that. The next import reads them anew.
    pub async fn rename_member(&mut self, before: &str, now: &str) -> Result<()> {
        if self.form != MemberForm::Dn || before == now {
            return Ok(());
        }
        let groups = sql("SELECT group_id FROM member_names WHERE target = $1 AND name_hash = $2")
            .bind(self.directory)
            .bind(name_hash(before).to_vec());
        let groups: Vec<GroupId> = self.identities.tx.rows(groups, |mut row| row.take()).await?;
        let ids: Vec<(GroupId, Vec<String>)> = groups.into_iter().map(|group| (group, Vec::new())).collect();
        let (before, now) = (bounded(before.into()).into_owned(), bounded(now.into()).into_owned());
        let renamed = self.rows_of(&ids).await?.into_iter().map(|(group, rows)| {
            let mut names: Vec<String> =
                rows.into_iter().flatten().filter(|name| *name != before && *name != now).collect();
            names.push(now.clone());
            names.sort_unstable();
            (group, names)
        });
        let renamed = renamed.collect();
        self.replace_members(renamed).await.map(drop)
    }

    /// The current rows of names of these groups of the organization, in order, without groups that have none.
    pub(crate) async fn rows_of(
        &mut self,
        groups: &[(GroupId, Vec<String>)],
    ) -> Result<HashMap<GroupId, Vec<Vec<String>>>> {
        let ids: HashSet<GroupId> = groups.iter().map(|(group, _)| *group).collect();
        let cells = || Cells::Uuids(ids.iter().map(|group| group.as_uuid()).collect());
        let query = Bulk::new("SELECT id FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE");
        let there: Vec<GroupId> = self
            .identities
            .tx
            .bulk_rows(query.column(cells()).shared(self.identities.organization), |mut row| row.take())
            .await?;
        if there.len() < ids.len() {
            return Err(Error::NotFound { what: "the group" });
        }
        let query = held_names(cells(), self.identities.organization, self.directory);
        let rows = self.identities.tx.bulk_rows(query, |mut row| Ok((row.take()?, read_names(&mut row)?))).await?;
        let mut known: HashMap<GroupId, Vec<Vec<String>>> = HashMap::new();
        for (group, names) in rows {
            known.entry(group).or_default().push(names);
        }
        for rows in known.values_mut() {
            rows.sort_unstable();
        }
        Ok(known)
    }

    async fn write_members(&mut self, difference: Difference) -> Result<u64> {
        let Difference { deleted, updated, inserted, mut joined, mut left } = difference;
        let changes = (joined.len() + left.len()) as u64;
        let (groups, firsts) = deleted.into_iter().map(|(group, first)| (group.as_uuid(), first)).unzip();
        let delete = Bulk::new(
            "WITH v(group_id, first_name) AS ({rows}) DELETE FROM group_members \
             WHERE (group_id, first_name) IN (SELECT v.group_id, v.first_name FROM v) \
             AND (organization_id = :1) IS TRUE AND (target = :2) IS TRUE",
        );
        let delete = delete.column(Cells::Uuids(groups)).column(Cells::Texts(firsts));
        self.identities.tx.bulk(delete.shared(self.identities.organization).shared(self.directory)).await?;
        let update = updated.into_bulk(
            "WITH v(group_id, first_name, names) AS ({rows}) {update} group_members SET names = v.names FROM v \
             WHERE group_members.group_id = v.group_id AND group_members.first_name = v.first_name \
             AND (group_members.organization_id = :1) IS TRUE AND (group_members.target = :2) IS TRUE",
        );
        self.identities.tx.bulk(update.shared(self.identities.organization).shared(self.directory)).await?;
        let insert = inserted.into_bulk(
            "WITH v(group_id, first_name, names) AS ({rows}) \
             {insert} group_members (organization_id, target, group_id, first_name, names) \
             SELECT :1, :2, v.group_id, v.first_name, v.names FROM v",
        );
        self.identities.tx.bulk(insert.shared(self.identities.organization).shared(self.directory)).await?;
        // In the order of the table, so that neighbours are written together.
        left.sort_unstable();
        joined.sort_unstable();
        let delete = Bulk::new(
            "WITH v(name_hash, group_id) AS ({rows}) DELETE FROM member_names WHERE target = :1 \
             AND (name_hash, group_id) IN (SELECT v.name_hash, v.group_id FROM v)",
        );
        self.identities.tx.bulk(pairs(delete, left).shared(self.directory)).await?;
        let insert = Bulk::new(
            "WITH v(name_hash, group_id) AS ({rows}) \
             {insert} member_names (organization_id, target, name_hash, group_id) \
             SELECT :1, :2, v.name_hash, v.group_id FROM v",
        );
        self.identities
            .tx
            .bulk(pairs(insert, joined).shared(self.identities.organization).shared(self.directory))
            .await?;
        Ok(changes)
    }
}

impl Store {
    /// The names that these groups have in a directory, as last committed; groups without any are left out.
    pub async fn member_names(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        groups: &[GroupId],
    ) -> Result<HashMap<GroupId, HashSet<String>>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(HashMap::new()) };
        let cells = Cells::Uuids(groups.iter().map(|group| group.as_uuid()).collect());
        let query = held_names(cells, organization, seq);
        let rows = self.database.bulk_rows(query, |mut row| Ok((row.take()?, read_names(&mut row)?))).await?;
        Ok(by_group(rows))
    }
}

/// The rows of names that groups have in a directory.
fn held_names(groups: Cells, organization: OrganizationId, directory: i64) -> Bulk {
    Bulk::new(
        "SELECT group_id, names FROM group_members WHERE group_id {in} \
         AND (organization_id = :1) IS TRUE AND (target = :2) IS TRUE",
    )
    .column(groups)
    .shared(organization)
    .shared(directory)
}

fn by_group(rows: Vec<(GroupId, Vec<String>)>) -> HashMap<GroupId, HashSet<String>> {
    let mut known: HashMap<GroupId, HashSet<String>> = HashMap::new();
    for (group, names) in rows {
        known.entry(group).or_default().extend(names);
    }
    known
}

fn pairs(bulk: Bulk, pairs: Vec<([u8; 16], GroupId)>) -> Bulk {
    let (hashes, groups) = pairs.into_iter().map(|(hash, group)| (hash.to_vec(), group.as_uuid())).unzip();
    bulk.column(Cells::Blobs(hashes)).column(Cells::Uuids(groups))
}
