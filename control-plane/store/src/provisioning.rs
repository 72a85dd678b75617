//! What is provisioned to targets, which replica does it, and comparing everything anew.

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{OrganizationId, ReplicaId, TargetId};
use crate::records::Provisioning;
use crate::sql::{Row, sql};
use crate::wake::Wake;

macro_rules! columns {
    () => {
        "(SELECT t.id FROM targets t WHERE t.seq = provisioning.target), organization_id, settings, paused, revision, \
         updated_at, updated_by"
    };
}

fn read(mut row: Row) -> Result<Provisioning> {
    Ok(Provisioning {
        target: row.take()?,
        organization: row.take()?,
        settings: row.take()?,
        paused: row.take()?,
        revision: row.take()?,
        updated_at: row.take()?,
        updated_by: row.take()?,
    })
}

/// Users and groups that a comparison of all looks at: all of the organization (`$1`), and those that are deleted and have
/// an account in the target (`$2`) that provisioning has made. After `$3`, at most `$4`.
pub(crate) const COMPARABLE: &str = "SELECT id, kind FROM (\
     SELECT id, 1 AS kind FROM users WHERE organization = (SELECT seq FROM organizations WHERE id = $1) AND id > $3 \
     UNION ALL SELECT id, 2 FROM groups WHERE organization_id = $1 AND id > $3 \
     UNION ALL SELECT identity, kind FROM accounts WHERE target = (SELECT seq FROM targets WHERE id = $2 \
     AND organization_id = $1) AND outbound AND identity > $3 \
     AND NOT EXISTS (SELECT 1 FROM users WHERE id = identity) AND NOT EXISTS (SELECT 1 FROM groups WHERE id = identity)\
     ) found ORDER BY id LIMIT $4";

impl Store {
    /// What is provisioned to a target. `None`: nothing.
    pub async fn get_provisioning(
        &self,
        organization: OrganizationId,
        target: TargetId,
    ) -> Result<Option<Provisioning>> {
        let query = sql(concat!(
            "SELECT ",
            columns!(),
            " FROM provisioning WHERE organization_id = $1 AND target = (SELECT seq FROM targets WHERE id = $2)"
        ));
        self.database.row(query.bind(organization).bind(target), read).await
    }

    /// Saves what is provisioned to a target, and begins to compare all users and groups. `known` is the revision that the
    /// change is based on, 0 for the first. [`Error::Conflict`]: it has another one. [`Error::NotFound`]: there is no such
    /// target.
    pub async fn save_provisioning(&self, new: &Provisioning, known: u32) -> Result<Provisioning> {
        let (organization, target, now) = (new.organization, new.target, new.updated_at);
        let mut tx = self.database.begin().await?;
        let query = sql("SELECT t.seq, o.seq FROM targets t JOIN organizations o ON o.id = t.organization_id \
             WHERE t.id = $1 AND t.organization_id = $2");
        let read_both = |mut row: Row| Ok((row.take::<i64>()?, row.take::<i64>()?));
        let Some((seq, organization_seq)) = tx.row(query.bind(target).bind(organization), read_both).await? else {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the target" });
        };
        let save = sql("INSERT INTO provisioning (target, organization, organization_id, settings, paused, revision, \
             updated_at, updated_by, sweep_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (target) DO UPDATE SET settings = excluded.settings, paused = excluded.paused, \
             revision = excluded.revision, updated_at = excluded.updated_at, updated_by = excluded.updated_by, \
             sweep_after = excluded.sweep_after WHERE provisioning.revision = $10")
        .bind(seq)
        .bind(organization_seq)
        .bind(organization)
        .bind(&new.settings)
        .bind(new.paused)
        .bind(known.saturating_add(1))
        .bind(now)
        .bind(&new.updated_by)
        .bind(Uuid::nil())
        .bind(known);
        if tx.execute(save).await? == 0 {
            tx.rollback().await?;
            return Err(Error::conflict("the settings have changed"));
        }
        tx.wake(Wake::Marked(target));
        tx.commit().await?;
        Ok(Provisioning { revision: known.saturating_add(1), ..new.clone() })
    }

    /// Ends provisioning to a target: its marks go, and its accounts stay as they are. Returns whether there was any.
    pub async fn remove_provisioning(&self, organization: OrganizationId, target: TargetId) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        for delete in [
            "UPDATE plans SET state = 'discarded' WHERE state IN ('making', 'ready') \
             AND target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $2)",
            "DELETE FROM marks WHERE target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $2)",
            "UPDATE operations SET state = 'dropped', content = NULL WHERE state = 'waiting' \
             AND target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $2)",
            "DELETE FROM pending_changes WHERE target = (SELECT seq FROM targets WHERE id = $1 AND organization_id = $2)",
        ] {
            tx.execute(sql(delete).bind(target).bind(organization)).await?;
        }
        let delete = sql("DELETE FROM provisioning WHERE target = (SELECT seq FROM targets WHERE id = $1) \
             AND organization_id = $2");
        let removed = tx.execute(delete.bind(target).bind(organization)).await? > 0;
        tx.commit().await?;
        Ok(removed)
    }

    /// Begins to compare all users and groups with their accounts in a target. `false`: nothing is provisioned there.
    pub async fn compare_all(&self, organization: OrganizationId, target: TargetId) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        let update = sql("UPDATE provisioning SET sweep_after = $1 WHERE organization_id = $2 \
             AND target = (SELECT seq FROM targets WHERE id = $3)");
        let found = tx.execute(update.bind(Uuid::nil()).bind(organization).bind(target)).await? > 0;
        tx.wake(Wake::Marked(target));
        tx.commit().await?;
        Ok(found)
    }

    /// Takes or keeps the work on these targets, as far as no other replica has it and it is not paused.
    pub async fn claim_provisioning(
        &self,
        owner: ReplicaId,
        targets: &[TargetId],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Provisioning>> {
        let mut tx = self.database.begin().await?;
        let update = Bulk::new(concat!(
            "{update} provisioning SET owner = :1, lease_until = :2 \
             WHERE target IN (SELECT seq FROM targets WHERE id {in}) AND (NOT paused) IS TRUE \
             AND (owner = :1 OR owner IS NULL OR lease_until < :3) RETURNING ",
            columns!()
        ))
        .column(Cells::Uuids(targets.iter().map(|target| target.as_uuid()).collect()))
        .shared(owner)
        .shared(until)
        .shared(now);
        let claimed = tx.bulk_rows(update, read).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Gives up the work on the targets that a replica has, or on all: `None`, for the only process on its database, where
    /// whoever had them has died.
    pub async fn release_provisioning(&self, owner: Option<ReplicaId>) -> Result<u64> {
        let update = sql("UPDATE provisioning SET owner = NULL, lease_until = NULL \
             WHERE owner IS NOT NULL AND ($1 IS NULL OR owner = $1)");
        self.database.execute(update.bind(owner)).await
    }

    /// What the work on a target depends on: it differs once settings, outbound rules or sensitive attributes have changed.
    /// `None`: nothing is provisioned there, or it is paused.
    pub async fn provisioning_stamp(&self, organization: OrganizationId, target: TargetId) -> Result<Option<String>> {
        let query = sql("SELECT p.revision, COALESCE((SELECT max(m.version) FROM mapping_versions m \
             WHERE m.organization_id = $1 AND m.directory_id = $2 AND m.direction = 2), 0), \
             (SELECT count(*) FROM attribute_definitions d WHERE d.organization_id = $1), \
             COALESCE((SELECT max(d.created_at) FROM attribute_definitions d WHERE d.organization_id = $1), 0) \
             FROM provisioning p WHERE p.organization_id = $1 \
             AND p.target = (SELECT seq FROM targets WHERE id = $2) AND NOT p.paused");
        let read = |mut row: Row| {
            let (revision, rules, definitions, last): (i64, i64, i64, i64) =
                (row.take()?, row.take()?, row.take()?, row.take()?);
            Ok(format!("{revision} {rules} {definitions} {last}"))
        };
        self.database.row(query.bind(organization).bind(target), read).await
    }

    /// How many operations of a target are held.
    pub async fn count_held(&self, organization: OrganizationId, target: TargetId) -> Result<u64> {
        let query = sql("SELECT count(*) FROM operations WHERE state = 'held' AND organization_id = $1 \
             AND target = (SELECT seq FROM targets WHERE id = $2)");
        let count = self.database.row(query.bind(organization).bind(target), |mut row| row.take()).await?;
        Ok(count.unwrap_or_default())
    }

    /// Ends all leases: the caller is the only process that serves the database.
    pub async fn free_provisioning(&self) -> Result<()> {
        self.database.execute(sql("UPDATE provisioning SET owner = NULL, lease_until = NULL")).await.map(|_| ())
    }

    /// The targets that something is provisioned to, among these.
    pub async fn provisioned(&self, targets: &[TargetId]) -> Result<Vec<TargetId>> {
        let query = Bulk::new(
            "SELECT id FROM targets WHERE id {in} AND EXISTS (SELECT 1 FROM provisioning p WHERE p.target = targets.seq)",
        )
        .column(Cells::Uuids(targets.iter().map(|target| target.as_uuid()).collect()));
        self.database.bulk_rows(query, |mut row| row.take()).await
    }

    /// Marks the next users and groups of a comparison of all, also those that wait after failures. Returns whether there
    /// are more.
    pub async fn sweep(&self, provisioning: &Provisioning, limit: u32, now: Timestamp) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        // Only who works by today's settings compares.
        let place = sql("SELECT target, sweep_after FROM provisioning WHERE organization_id = $1 \
             AND target = (SELECT seq FROM targets WHERE id = $2) AND revision = $3");
        let place = place.bind(provisioning.organization).bind(provisioning.target).bind(provisioning.revision);
        let read = |mut row: Row| Ok((row.take::<i64>()?, row.take::<Option<Uuid>>()?));
        let Some((target, Some(after))) = tx.row(place, read).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        let next = sql(COMPARABLE).bind(provisioning.organization).bind(provisioning.target).bind(after).bind(limit);
        let found: Vec<(Uuid, i64)> = tx.rows(next, |mut row| Ok((row.take()?, row.take()?))).await?;
        let last = found.last().map(|(id, _)| *id);
        let (ids, kinds) = found.into_iter().unzip();
        let insert = Bulk::new(
            "WITH v(identity, kind) AS ({rows}) \
             INSERT INTO marks (organization_id, target, identity, kind, times, marked_at) \
             SELECT :1, :2, v.identity, v.kind, 1, :3 FROM v WHERE TRUE \
             ON CONFLICT (target, identity) DO UPDATE SET times = marks.times + 1, not_before = 0",
        )
        .column(Cells::Uuids(ids))
        .column(Cells::Ints(kinds));
        tx.bulk(insert.shared(provisioning.organization).shared(target).shared(now)).await?;
        let update = sql("UPDATE provisioning SET sweep_after = $1 WHERE target = $2");
        tx.execute(update.bind(last).bind(target)).await?;
        tx.commit().await?;
        Ok(last.is_some())
    }
}
