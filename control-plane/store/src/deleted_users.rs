//! Users that were deleted: kept for a while, so that an administrator can restore them.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::identities::Identities;
use crate::ids::{GroupId, OrganizationId, UserId};
use crate::records::{DeletedUser, IdentityId, OwnedUser, Page, PageRequest, Suspension, UserRow};
use crate::sql::{Row, sql};

/// What is kept of a deleted user.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    user_name: String,
    given_name: Option<String>,
    family_name: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    /// Without an administrator's decision to disable it.
    active: bool,
    attributes: String,
    created_at: Timestamp,
    own: Option<String>,
    suspension: Option<(Timestamp, String, Option<String>, Option<Timestamp>)>,
    groups: Vec<Uuid>,
}

fn read(mut row: Row) -> Result<DeletedUser> {
    Ok(DeletedUser { id: row.take()?, user_name: row.take()?, deleted_at: row.take()?, deleted_by: row.take()? })
}

impl Store {
    /// Deleted users that can be restored, by id.
    pub async fn list_deleted_users(
        &self,
        organization: OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<DeletedUser>> {
        let after: Option<UserId> = page.cursor()?;
        let query = sql("SELECT id, user_name, deleted_at, deleted_by FROM deleted_users \
             WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(organization)
        .bind(after.unwrap_or(UserId::from_uuid(Uuid::nil())))
        .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }

    /// One of them.
    pub async fn get_deleted_user(&self, organization: OrganizationId, id: UserId) -> Result<Option<DeletedUser>> {
        let query = sql("SELECT id, user_name, deleted_at, deleted_by FROM deleted_users \
             WHERE organization_id = $1 AND id = $2");
        self.database.row(query.bind(organization).bind(id), read).await
    }

    /// The user with this name that was deleted last.
    pub async fn find_deleted_user(
        &self,
        organization: OrganizationId,
        user_name: &str,
    ) -> Result<Option<DeletedUser>> {
        let query = sql("SELECT id, user_name, deleted_at, deleted_by FROM deleted_users \
             WHERE organization_id = $1 AND user_name = $2 ORDER BY deleted_at DESC LIMIT 1");
        self.database.row(query.bind(organization).bind(user_name), read).await
    }

    /// The deleted users with this name, or with an id in this range; some of them, if there are very many.
    pub async fn deleted_users_like(
        &self,
        organization: OrganizationId,
        user_name: &str,
        ids: (Uuid, Uuid),
    ) -> Result<Vec<DeletedUser>> {
        let query = sql("SELECT id, user_name, deleted_at, deleted_by FROM deleted_users \
             WHERE organization_id = $1 AND (user_name = $2 OR id BETWEEN $3 AND $4) ORDER BY deleted_at DESC LIMIT 20");
        let query = query.bind(organization).bind(user_name).bind(ids.0).bind(ids.1);
        self.database.rows(query, read).await
    }

    /// Forgets users, of all organizations, that were deleted before this time. Returns how many.
    pub async fn purge_users(&self, deleted_before: Timestamp) -> Result<u64> {
        let delete = sql("DELETE FROM deleted_users WHERE deleted_at < $1");
        self.database.execute(delete.bind(deleted_before)).await
    }
}

impl Identities {
    /// The directories, by name, that still have an account of this user.
    pub async fn directories_with(&mut self, user: UserId) -> Result<Vec<String>> {
        self.directories_of(user.as_uuid()).await
    }

    /// The directories, by name, that still have an account of this user or group.
    pub(crate) async fn directories_of(&mut self, identity: Uuid) -> Result<Vec<String>> {
        let query = sql("SELECT DISTINCT d.name FROM accounts a JOIN directories d ON d.seq = a.target \
             WHERE a.identity = $1 AND a.organization_id = $2 AND a.missing_since IS NULL AND d.deleted_at IS NULL AND NOT a.outbound \
             ORDER BY d.name");
        self.tx.rows(query.bind(identity).bind(self.organization), |mut row| row.take()).await
    }

    /// Deletes a user, with its accounts that directories do not have any more and the memberships that the organization
    /// has added. It can be restored, without the accounts. [`Error::Conflict`]: a directory still has an account of it.
    pub async fn delete_user(&mut self, user: OwnedUser, by: &str) -> Result<()> {
        let id = user.row.id;
        if !self.directories_with(id).await?.is_empty() {
            return Err(Error::conflict("a directory has an account of this user"));
        }
        let query = sql("SELECT group_id FROM own_members WHERE member_id = $1 AND organization_id = $2");
        let groups: Vec<Uuid> = self.tx.rows(query.bind(id).bind(self.organization), |mut row| row.take()).await?;
        let query = sql("SELECT COALESCE(active_before, active) FROM users WHERE id = $1");
        let active = self.tx.row(query.bind(id), |mut row| row.take()).await?.unwrap_or_default();
        let OwnedUser { row, own, suspension, .. } = user;
        let kept = Kept {
            user_name: row.user_name.clone(),
            given_name: row.given_name,
            family_name: row.family_name,
            display_name: row.display_name,
            email: row.email,
            active,
            attributes: row.attributes,
            created_at: row.created_at,
            own,
            suspension: suspension.clone().map(|it| (it.at, it.by, it.reason, it.until)),
            groups,
        };
        let content = serde_json::to_value(&kept).map_err(|error| Error::corrupt(error.to_string()))?;
        let insert = sql(
            "INSERT INTO deleted_users (organization_id, id, user_name, content, deleted_at, deleted_by, name_key, \
             is_suspended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.organization)
        .bind(id)
        .bind(row.user_name)
        .bind(&content)
        .bind(self.now)
        .bind(by)
        .bind(row.name_key)
        .bind(suspension.is_some());
        self.tx.execute(insert).await?;
        for delete in [
            "DELETE FROM shared_ids WHERE account_id IN (SELECT id FROM accounts WHERE identity = $1 AND NOT outbound)",
            "DELETE FROM ignored_accounts WHERE account_id IN (SELECT id FROM accounts WHERE identity = $1 AND NOT outbound)",
            "DELETE FROM account_matches WHERE account_id IN (SELECT id FROM accounts WHERE identity = $1 AND NOT outbound)",
            // Provisioning decides what becomes of the accounts that it has made.
            "DELETE FROM accounts WHERE identity = $1 AND NOT outbound",
            "DELETE FROM own_members WHERE member_id = $1",
            "DELETE FROM pending_changes WHERE identity = $1",
            "DELETE FROM unique_values WHERE user_id = $1",
            "DELETE FROM match_keys WHERE user_id = $1",
            "DELETE FROM users WHERE id = $1",
        ] {
            self.tx.execute(sql(delete).bind(id)).await?;
        }
        Ok(())
    }

    /// The decisions of administrators to disable users of these names, who were deleted since. A new user of such a name
    /// may be the same person.
    pub async fn deleted_suspensions(&mut self, users: &[UserRow]) -> Result<Vec<(UserId, Suspension)>> {
        let any = sql("SELECT id FROM deleted_users WHERE organization_id = $1 AND is_suspended LIMIT 1");
        let any = any.bind(self.organization);
        if users.is_empty() || self.tx.row(any, |mut row| row.take::<UserId>()).await?.is_none() {
            return Ok(Vec::new());
        }
        let query = Bulk::new(
            "SELECT name_key, content FROM deleted_users WHERE name_key {in} AND (organization_id = :1) IS TRUE \
             AND is_suspended",
        )
        .column(Cells::Texts(users.iter().map(|user| user.name_key.clone()).collect()))
        .shared(self.organization);
        let read = |mut row: Row| Ok((row.take()?, row.take()?));
        let found: Vec<(String, serde_json::Value)> = self.tx.bulk_rows(query, read).await?;
        let mut decisions: HashMap<String, Suspension> = HashMap::new();
        for (name, content) in found {
            let kept: Kept = serde_json::from_value(content).map_err(|error| Error::corrupt(error.to_string()))?;
            let Some((at, by, reason, until)) = kept.suspension else { continue };
            if until.is_some_and(|until| until <= self.now) {
                continue;
            }
            // Of several, the one that lasts longest.
            let lasts = |until: Option<Timestamp>| until.unwrap_or(Timestamp::MAX);
            if decisions.get(&name).is_none_or(|known| lasts(known.until) < lasts(until)) {
                decisions.insert(name, Suspension { at, by, reason, until });
            }
        }
        Ok(users.iter().filter_map(|user| Some((user.id, decisions.get(&user.name_key)?.clone()))).collect())
    }

    /// Restores a deleted user as one of the organization's own. Groups that are gone since are left out.
    /// [`Error::NotFound`]: it is not there any more. [`Error::Conflict`]: somebody has its name.
    pub async fn restore_user(&mut self, id: UserId) -> Result<UserRow> {
        let query = sql("DELETE FROM deleted_users WHERE organization_id = $1 AND id = $2 RETURNING content");
        let content: Option<serde_json::Value> =
            self.tx.row(query.bind(self.organization).bind(id), |mut row| row.take()).await?;
        let kept: Kept = serde_json::from_value(content.ok_or(Error::NotFound { what: "the deleted user" })?)
            .map_err(|error| Error::corrupt(error.to_string()))?;
        let row = UserRow {
            id,
            organization: self.organization,
            name_key: crate::fold(&kept.user_name),
            user_name: kept.user_name,
            given_name: kept.given_name,
            family_name: kept.family_name,
            display_name: kept.display_name,
            email: kept.email,
            active: kept.active,
            attributes: kept.attributes,
            created_at: kept.created_at,
            updated_at: self.now,
            missing_since: None,
        };
        let own = kept.own.unwrap_or_else(|| own_of(&row));
        self.insert_own_users(vec![(row.clone(), own)]).await?;
        if let Some((at, by, reason, until)) = kept.suspension {
            self.suspend(id, &Suspension { at, by, reason, until }).await?;
        }
        let groups = Bulk::new("SELECT id FROM groups WHERE id {in} AND (organization_id = :1) IS TRUE")
            .column(Cells::Uuids(kept.groups))
            .shared(self.organization);
        let groups: Vec<GroupId> = self.tx.bulk_rows(groups, |mut row| row.take()).await?;
        let members: Vec<_> = groups.into_iter().map(|group| (group, IdentityId::User(id))).collect();
        self.add_members(&members).await?;
        Ok(row)
    }
}

/// The profile of a user as the organization's own values: no directory says them any more.
fn own_of(row: &UserRow) -> String {
    let attributes: serde_json::Value = serde_json::from_str(&row.attributes).unwrap_or_default();
    serde_json::json!({
        "given_name": row.given_name,
        "family_name": row.family_name,
        "display_name": row.display_name,
        "email": row.email,
        "attributes": attributes,
    })
    .to_string()
}
