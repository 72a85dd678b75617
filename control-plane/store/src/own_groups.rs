//! Groups that the organization makes, changes, deletes and restores itself.

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::fold;
use crate::groups;
use crate::identities::Identities;
use crate::ids::{GroupId, OrganizationId};
use crate::member_names::{name_hash, read_names};
use crate::records::{DeletedGroup, GroupRow, Page, PageRequest};
use crate::sql::{Row, sql};

/// Deleted groups that are forgotten in one transaction.
const PURGED: i64 = 100;

fn read(mut row: Row) -> Result<DeletedGroup> {
    Ok(DeletedGroup { id: row.take()?, display_name: row.take()?, deleted_at: row.take()?, deleted_by: row.take()? })
}

impl Store {
    /// Deleted groups that can be restored, by id.
    pub async fn list_deleted_groups(
        &self,
        organization: OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<DeletedGroup>> {
        let after: Option<GroupId> = page.cursor()?;
        let query = sql("SELECT id, display_name, deleted_at, deleted_by FROM deleted_groups \
             WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(organization)
        .bind(after.unwrap_or(GroupId::from_uuid(Uuid::nil())))
        .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }

    /// The deleted groups with this name, or with an id in this range; some of them, if there are very many.
    pub async fn deleted_groups_like(
        &self,
        organization: OrganizationId,
        name: &str,
        ids: (Uuid, Uuid),
    ) -> Result<Vec<DeletedGroup>> {
        let query = sql("SELECT id, display_name, deleted_at, deleted_by FROM deleted_groups \
             WHERE organization_id = $1 AND (display_name = $2 OR id BETWEEN $3 AND $4) ORDER BY deleted_at DESC LIMIT 20");
        let query = query.bind(organization).bind(name).bind(ids.0).bind(ids.1);
        self.database.rows(query, read).await
    }

    /// Forgets groups, of all organizations, that were deleted before this time. Returns how many.
    pub async fn purge_groups(&self, deleted_before: Timestamp) -> Result<u64> {
        let mut purged = 0;
        loop {
            let mut tx = self.database.begin().await?;
            let query = sql("SELECT id FROM deleted_groups WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2");
            let due: Vec<Uuid> = tx.rows(query.bind(deleted_before).bind(PURGED), |mut row| row.take()).await?;
            if due.is_empty() {
                tx.rollback().await?;
                return Ok(purged);
            }
            let members = Bulk::new("DELETE FROM deleted_members WHERE deleted_id {in}");
            tx.bulk(members.column(Cells::Uuids(due.clone()))).await?;
            purged += tx.bulk(Bulk::new("DELETE FROM deleted_groups WHERE id {in}").column(Cells::Uuids(due))).await?;
            tx.commit().await?;
        }
    }
}

impl Identities {
    /// One group of the organization, which cannot change until the transaction ends.
    pub async fn locked_group(&mut self, id: GroupId) -> Result<Option<GroupRow>> {
        let lock = sql("UPDATE groups SET updated_at = updated_at WHERE id = $1 AND organization_id = $2");
        self.tx.lock(lock.bind(id).bind(self.organization)).await?;
        let query = sql(
            "SELECT id, organization_id, display_name, description, created_at, updated_at, missing_since FROM groups \
             WHERE id = $1 AND organization_id = $2",
        );
        self.tx.row(query.bind(id).bind(self.organization), |mut row| groups::read(&mut row)).await
    }

    /// The directories, by name, that still have this group.
    pub async fn directories_with_group(&mut self, group: GroupId) -> Result<Vec<String>> {
        self.directories_of(group.as_uuid()).await
    }

    /// Writes the name and the description of a group.
    pub async fn write_group(&mut self, group: &GroupRow) -> Result<()> {
        let update = sql("UPDATE groups SET display_key = $1, display_name = $2, description = $3, updated_at = $4 \
             WHERE id = $5 AND organization_id = $6")
        .bind(fold(&group.display_name))
        .bind(&group.display_name)
        .bind(group.description.as_deref())
        .bind(self.now)
        .bind(group.id)
        .bind(self.organization);
        if self.tx.execute(update).await? == 0 {
            return Err(Error::NotFound { what: "the group" });
        }
        Ok(())
    }

    /// Deletes a group with its memberships. It can be restored, with those that the organization has added.
    /// [`Error::Conflict`]: a directory still has it.
    pub async fn delete_group(&mut self, group: &GroupRow, by: &str) -> Result<()> {
        if !self.directories_with_group(group.id).await?.is_empty() {
            return Err(Error::conflict("a directory has this group"));
        }
        let insert =
            sql("INSERT INTO deleted_groups (organization_id, id, display_name, description, created_at, deleted_at, \
             deleted_by) SELECT organization_id, id, display_name, description, created_at, $1, $2 FROM groups \
             WHERE id = $3 AND organization_id = $4")
            .bind(self.now)
            .bind(by)
            .bind(group.id)
            .bind(self.organization);
        if self.tx.execute(insert).await? == 0 {
            return Err(Error::NotFound { what: "the group" });
        }
        for keep in [
            "INSERT INTO deleted_members SELECT organization_id, $1, group_id, member_id, kind, added_at \
             FROM own_members WHERE group_id = $1",
            "INSERT INTO deleted_members SELECT organization_id, $1, group_id, member_id, kind, added_at \
             FROM own_members WHERE member_id = $1 AND group_id <> $1",
        ] {
            self.tx.execute(sql(keep).bind(group.id)).await?;
        }
        self.delete_named_members(group.id).await?;
        for delete in [
            "DELETE FROM own_members WHERE group_id = $1",
            "DELETE FROM own_members WHERE member_id = $1",
            "DELETE FROM pending_changes WHERE identity = $1",
            "DELETE FROM shared_ids WHERE account_id IN (SELECT id FROM accounts WHERE identity = $1 AND NOT outbound)",
            // Provisioning decides what becomes of the accounts that it has made.
            "DELETE FROM accounts WHERE identity = $1 AND NOT outbound",
            "DELETE FROM groups WHERE id = $1",
        ] {
            self.tx.execute(sql(delete).bind(group.id)).await?;
        }
        Ok(())
    }

    /// Deletes the names of members that a directory, which is deleted itself, had given the group.
    async fn delete_named_members(&mut self, group: GroupId) -> Result<()> {
        let query = sql("SELECT target, names FROM group_members WHERE group_id = $1").bind(group);
        let rows: Vec<(i64, Vec<String>)> =
            self.tx.rows(query, |mut row| Ok((row.take()?, read_names(&mut row)?))).await?;
        for (target, names) in rows {
            let delete = Bulk::new(
                "DELETE FROM member_names WHERE name_hash {in} AND (target = :1) IS TRUE AND (group_id = :2) IS TRUE",
            );
            let hashes = names.iter().map(|name| name_hash(name).to_vec()).collect();
            self.tx.bulk(delete.column(Cells::Blobs(hashes)).shared(target).shared(group)).await?;
        }
        self.tx.execute(sql("DELETE FROM group_members WHERE group_id = $1").bind(group)).await.map(|_| ())
    }

    /// Restores a deleted group as one of the organization's own. Memberships whose other side is gone are left out.
    /// [`Error::NotFound`]: it is not there any more.
    pub async fn restore_group(&mut self, id: GroupId) -> Result<GroupRow> {
        let query = sql("DELETE FROM deleted_groups WHERE organization_id = $1 AND id = $2 \
             RETURNING display_name, description, created_at");
        let found = self.tx.row(query.bind(self.organization).bind(id), |mut row| {
            Ok((row.take::<String>()?, row.take::<Option<String>>()?, row.take::<Timestamp>()?))
        });
        let (name, description, created_at) = found.await?.ok_or(Error::NotFound { what: "the deleted group" })?;
        let insert = sql(
            "INSERT INTO groups (id, organization_id, display_key, display_name, description, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(self.organization)
        .bind(fold(&name))
        .bind(&name)
        .bind(description.as_deref())
        .bind(created_at)
        .bind(self.now);
        self.tx.execute(insert).await?;
        let insert = sql("INSERT INTO own_members (organization_id, group_id, member_id, kind, added_at) \
             SELECT organization_id, group_id, member_id, kind, added_at FROM deleted_members d WHERE deleted_id = $1 \
             AND organization_id = $2 AND EXISTS (SELECT 1 FROM groups g WHERE g.id = d.group_id) \
             AND (EXISTS (SELECT 1 FROM users u WHERE u.id = d.member_id) \
             OR EXISTS (SELECT 1 FROM groups g WHERE g.id = d.member_id))");
        self.tx.execute(insert.bind(id).bind(self.organization)).await?;
        self.tx.execute(sql("DELETE FROM deleted_members WHERE deleted_id = $1").bind(id)).await?;
        let row = self.locked_group(id).await?;
        row.ok_or(Error::NotFound { what: "the group" })
    }
}
