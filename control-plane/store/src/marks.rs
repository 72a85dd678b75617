//! Marks: users and groups whose accounts in a target may have to change. Every change of an identity sets a mark in
//! its transaction; provisioning reads marks and clears them.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::identities::Identities;
use crate::ids::{OrganizationId, TargetId};
use crate::records::{IdentityId, Mark};
use crate::sql::{Row, sql};

fn read(mut row: Row) -> Result<Mark> {
    let (id, kind) = (row.take()?, row.take()?);
    Ok(Mark { identity: IdentityId::from_code(kind, id)?, times: row.take()?, marked_at: row.take()? })
}

impl Identities {
    /// Marks users and groups for a target of the organization. Marking again counts.
    /// [`Error::NotFound`]: the organization has no such target.
    pub async fn mark(&mut self, target: TargetId, identities: &[IdentityId]) -> Result<()> {
        let identities: BTreeSet<IdentityId> = identities.iter().copied().collect();
        let query = sql("SELECT seq FROM targets WHERE organization_id = $1 AND id = $2");
        let query = query.bind(self.organization).bind(target);
        let Some(seq) = self.tx.row(query, |mut row| row.take::<i64>()).await? else {
            return Err(Error::NotFound { what: "the target" });
        };
        let insert = Bulk::new(
            "WITH v(identity, kind) AS ({rows}) \
             INSERT INTO marks (organization_id, target, identity, kind, times, marked_at) \
             SELECT :1, :2, v.identity, v.kind, 1, :3 FROM v WHERE TRUE \
             ON CONFLICT (target, identity) DO UPDATE SET times = marks.times + 1, marked_at = excluded.marked_at",
        )
        .column(Cells::Uuids(identities.iter().map(|identity| identity.as_uuid()).collect()))
        .column(Cells::Ints(identities.iter().map(|identity| identity.code()).collect()));
        self.tx.bulk(insert.shared(self.organization).shared(seq).shared(self.now)).await.map(|_| ())
    }

    /// Clears marks of a target after they were provisioned. A mark that was set again stays. Returns how many were
    /// cleared.
    pub async fn clear_marks(&mut self, target: TargetId, marks: &[Mark]) -> Result<u64> {
        let delete = Bulk::new(
            "WITH v(identity, times) AS ({rows}) DELETE FROM marks \
             WHERE (identity, times) IN (SELECT v.identity, v.times FROM v) \
             AND target = (SELECT seq FROM targets WHERE id = :2 AND organization_id = :1)",
        )
        .column(Cells::Uuids(marks.iter().map(|mark| mark.identity.as_uuid()).collect()))
        .column(Cells::Ints(marks.iter().map(|mark| mark.times).collect()));
        self.tx.bulk(delete.shared(self.organization).shared(target)).await
    }
}

impl Store {
    /// Up to `limit` marks of a target, by the ids of their users and groups, after this one.
    pub async fn marks(
        &self,
        organization: OrganizationId,
        target: TargetId,
        after: Option<IdentityId>,
        limit: u32,
    ) -> Result<Vec<Mark>> {
        let query = sql("SELECT identity, kind, times, marked_at FROM marks WHERE target = \
             (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) AND identity > $3 ORDER BY identity LIMIT $4")
        .bind(organization)
        .bind(target)
        .bind(after.map_or(Uuid::nil(), IdentityId::as_uuid))
        .bind(limit);
        self.database.rows(query, read).await
    }
}
