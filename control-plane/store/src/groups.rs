//! Groups of an organization.

use std::collections::{BTreeSet, HashMap};

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::filters;
use crate::fold;
use crate::identities::Identities;
use crate::ids::{GroupId, OrganizationId};
use crate::prefix::end_of;
use crate::records::{GroupRow, IdentityFilter, Page, PageRequest, Room};
use crate::sql::{Row, built, sql};

pub(crate) fn read(row: &mut Row) -> Result<GroupRow> {
    Ok(GroupRow {
        id: row.take()?,
        organization: row.take()?,
        display_name: row.take()?,
        description: row.take()?,
        created_at: row.take()?,
        updated_at: row.take()?,
        missing_since: row.take()?,
    })
}

/// Where a list continues: `seq key`.
struct Cursor {
    seq: i64,
    key: String,
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (seq, key) = text.split_once(' ').ok_or(())?;
        Ok(Self { seq: seq.parse().map_err(|_| ())?, key: key.to_owned() })
    }
}

impl Store {
    /// The organization's groups by name; only those whose name starts with the query, if there is one.
    pub async fn list_groups(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<GroupRow>> {
        self.list_groups_where(organization, query, IdentityFilter::default(), page).await
    }

    /// Like [`Self::list_groups`], only those that the filter selects.
    pub async fn list_groups_where(
        &self,
        organization: OrganizationId,
        query: Option<&str>,
        filter: IdentityFilter,
        page: &PageRequest,
    ) -> Result<Page<GroupRow>> {
        let prefix = fold(query.unwrap_or_default().trim());
        let cursor: Cursor = page.cursor()?.unwrap_or_else(|| Cursor { seq: i64::MIN, key: prefix.clone() });
        let text = format!(
            "SELECT id, organization_id, display_name, description, created_at, updated_at, missing_since, seq \
             FROM groups WHERE organization_id = $1 AND (display_key, seq) > ($3, $4) AND display_key < $2{} \
             ORDER BY display_key, seq LIMIT $5",
            filters::of_groups(filter.missing)
        );
        let query = built(text).bind(organization).bind(end_of(&prefix));
        let query = query.bind(cursor.key).bind(cursor.seq).bind(page.probe());
        let (mut room, row) = (Room::default(), |mut row: Row| Ok((read(&mut row)?, row.take::<i64>()?)));
        let found = self.database.rows_within(query, &mut room, row).await?;
        let cursor = |(group, seq): &(GroupRow, i64)| format!("{seq} {}", fold(&group.display_name));
        Ok(Page::within(found, page, &room, cursor).map(|(group, _)| group))
    }

    /// One group.
    pub async fn get_group(&self, organization: OrganizationId, id: GroupId) -> Result<Option<GroupRow>> {
        let query = sql(
            "SELECT id, organization_id, display_name, description, created_at, updated_at, missing_since FROM groups \
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(organization)
        .bind(id);
        self.database.row(query, |mut row| read(&mut row)).await
    }

    /// These groups, as far as the organization has them.
    pub async fn get_groups(&self, organization: OrganizationId, ids: &[GroupId]) -> Result<Vec<GroupRow>> {
        let query = Bulk::new(
            "SELECT id, organization_id, display_name, description, created_at, updated_at, missing_since FROM groups \
             WHERE id {in} AND (organization_id = :1) IS TRUE",
        );
        let ids = Cells::Uuids(ids.iter().map(|id| id.as_uuid()).collect());
        self.database.bulk_rows(query.column(ids).shared(organization), |mut row| read(&mut row)).await
    }

    /// The names of the directories that these groups have accounts in, sorted for each group.
    pub async fn directories_of_groups(
        &self,
        organization: OrganizationId,
        groups: &[GroupId],
    ) -> Result<HashMap<GroupId, Vec<String>>> {
        let query = Bulk::new(
            "WITH v(id) AS ({rows}) SELECT DISTINCT v.id, (SELECT d.name FROM directories d WHERE d.seq = a.target) \
             FROM v {each}accounts a{where}a.identity = v.id AND (a.organization_id = :1) IS TRUE{every} ORDER BY 2",
        );
        let ids = Cells::Uuids(groups.iter().map(|group| group.as_uuid()).collect());
        let found: Vec<(GroupId, String)> = self
            .database
            .bulk_rows(query.column(ids).shared(organization), |mut row| Ok((row.take()?, row.take()?)))
            .await?;
        let mut names: HashMap<GroupId, Vec<String>> = HashMap::new();
        for (group, name) in found {
            names.entry(group).or_default().push(name);
        }
        Ok(names)
    }

    /// How many groups the organization has.
    pub async fn count_groups(&self, organization: OrganizationId) -> Result<u64> {
        let query = sql("SELECT count(*) FROM groups WHERE organization_id = $1").bind(organization);
        Ok(self.database.row(query, |mut row| row.take()).await?.unwrap_or_default())
    }
}

impl Identities {
    /// Notes that these groups have changed now, with their members: one row each.
    pub(crate) async fn touch_groups(&mut self, groups: impl Iterator<Item = GroupId>) -> Result<()> {
        let groups: BTreeSet<GroupId> = groups.collect();
        let update = Bulk::new("{update} groups SET updated_at = :1 WHERE id {in} AND (organization_id = :2) IS TRUE");
        let update = update.column(Cells::Uuids(groups.into_iter().map(GroupId::as_uuid).collect()));
        self.tx.bulk(update.shared(self.now).shared(self.organization)).await.map(|_| ())
    }

    /// Writes new groups, as created now.
    pub async fn insert_groups(&mut self, groups: Vec<GroupRow>) -> Result<()> {
        let insert = Bulk::new(
            "WITH v(id, display_key, display_name, description) AS ({rows}) \
             {insert} groups (id, organization_id, display_key, display_name, description, created_at, updated_at) \
             SELECT v.id, :1, v.display_key, v.display_name, v.description, :2, :2 FROM v",
        );
        self.tx.bulk(group_columns(insert, groups).shared(self.organization).shared(self.now)).await.map(|_| ())
    }

    /// Writes changed groups, as updated now and not missing.
    pub async fn update_groups(&mut self, groups: Vec<GroupRow>) -> Result<()> {
        let update = Bulk::new(
            "WITH v(id, display_key, display_name, description) AS ({rows}) \
             {update} groups SET display_key = v.display_key, display_name = v.display_name, \
             description = v.description, updated_at = :2, missing_since = NULL FROM v \
             WHERE groups.id = v.id AND (groups.organization_id = :1) IS TRUE",
        );
        self.tx.bulk(group_columns(update, groups).shared(self.organization).shared(self.now)).await.map(|_| ())
    }
}

fn group_columns(bulk: Bulk, groups: Vec<GroupRow>) -> Bulk {
    let ids = groups.iter().map(|group| group.id.as_uuid()).collect();
    let keys = groups.iter().map(|group| fold(&group.display_name)).collect();
    let (names, descriptions) = groups.into_iter().map(|group| (group.display_name, group.description)).unzip();
    bulk.column(Cells::Uuids(ids))
        .column(Cells::Texts(keys))
        .column(Cells::Texts(names))
        .column(Cells::MaybeTexts(descriptions))
}
