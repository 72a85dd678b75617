//! The order of an organization's directories, and mapping users of several directories anew after it has changed.

use jiff::Timestamp;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{DirectoryId, OrganizationId, UserId};
use crate::records::{ExternalKey, OrderRun};
use crate::sql::{Row, sql};
use crate::transaction::Tx;

/// An import of this organization that began before the last change. It may still write by the former order.
macro_rules! older_import {
    () => {
        "EXISTS (SELECT 1 FROM jobs j WHERE j.organization_id = $1 AND j.exclusive \
         AND (j.state = 'running' OR (j.state = 'queued' AND j.proven)) \
         AND j.started_at <= (SELECT o.changed_at FROM order_runs o WHERE o.organization_id = $1))"
    };
}

/// Notes that the users of several directories are to be mapped anew, in the transaction that changes the order or the
/// directories.
pub(crate) async fn begin(tx: &mut Tx, organization: OrganizationId, now: Timestamp) -> Result<()> {
    let note = sql("INSERT INTO order_runs (organization_id, revision, changed_at, settled, target, after_key, \
         claimed_until, waits, done) VALUES ($1, 1, $2, FALSE, 0, $3, 0, FALSE, FALSE) \
         ON CONFLICT (organization_id) DO UPDATE SET revision = order_runs.revision + 1, \
         changed_at = excluded.changed_at, settled = FALSE, target = 0, after_key = excluded.after_key, \
         claimed_until = 0, waits = FALSE, done = FALSE");
    tx.execute(note.bind(organization).bind(now).bind(Vec::new())).await.map(|_| ())
}

impl Store {
    /// The directories of the organization in their order, without the deleted ones.
    pub async fn directory_order(&self, organization: OrganizationId) -> Result<Vec<DirectoryId>> {
        let query =
            sql("SELECT id FROM directories WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY rank, seq");
        self.database.rows(query.bind(organization), |mut row| row.take()).await
    }

    /// Puts these directories first, in this order; all others follow as before. `false`: the order is not `known` any
    /// more, and nothing changes.
    pub async fn set_directory_order(
        &self,
        organization: OrganizationId,
        first: &[DirectoryId],
        known: Option<&[DirectoryId]>,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        // This row is locked until the transaction ends: two changes follow each other.
        begin(&mut tx, organization, now).await?;
        let query = sql("SELECT seq, id, rank, deleted_at IS NOT NULL FROM directories WHERE organization_id = $1 \
             ORDER BY rank, seq");
        let read = |mut row: Row| Ok((row.take()?, row.take()?, row.take()?, row.take()?));
        let all: Vec<(i64, DirectoryId, i64, bool)> = tx.rows(query.bind(organization), read).await?;
        let living: Vec<DirectoryId> = all.iter().filter(|(.., deleted)| !deleted).map(|(_, id, ..)| *id).collect();
        if known.is_some_and(|known| known != living) {
            tx.rollback().await?;
            return Ok(false);
        }
        let place = |id: &DirectoryId| first.iter().position(|wanted| wanted == id).unwrap_or(first.len());
        let mut wanted: Vec<(i64, usize)> = all.iter().map(|(seq, id, ..)| (*seq, place(id))).collect();
        wanted.sort_by_key(|(_, place)| *place);
        // The ranks stay the same numbers: a new directory has a larger one than all others.
        let changed: Vec<(i64, i64)> = wanted
            .iter()
            .zip(&all)
            .filter(|((seq, _), (former, ..))| seq != former)
            .map(|((seq, _), (_, _, rank, _))| (*seq, *rank))
            .collect();
        if changed.is_empty() {
            tx.rollback().await?;
            return Ok(true);
        }
        let (directories, ranks) = changed.into_iter().unzip();
        let update = Bulk::new(
            "WITH v(seq, rank) AS ({rows}) {update} directories SET rank = v.rank FROM v \
             WHERE directories.seq = v.seq AND (directories.organization_id = :1) IS TRUE",
        )
        .column(Cells::Ints(directories))
        .column(Cells::Ints(ranks))
        .shared(organization);
        tx.bulk(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Whether the profiles of all users follow the order. `None`: it has never changed.
    pub async fn order_is_applied(&self, organization: OrganizationId) -> Result<Option<bool>> {
        let query = sql("SELECT done FROM order_runs WHERE organization_id = $1");
        self.database.row(query.bind(organization), |mut row| row.take()).await
    }

    /// Claims an organization whose users are to be mapped anew, until then. While imports are under way that began
    /// before the change, a second run waits for their end: it is looked at again at `again`. `None`: there is nothing to do.
    pub async fn claim_order(&self, until: Timestamp, again: Timestamp, now: Timestamp) -> Result<Option<OrderRun>> {
        let query = sql("SELECT organization_id, revision, settled, target, after_key, claimed_until, waits \
             FROM order_runs WHERE NOT done AND claimed_until <= $1 LIMIT 1");
        let read = |mut row: Row| {
            let run = OrderRun {
                organization: row.take()?,
                revision: row.take()?,
                settled: row.take()?,
                target: row.take()?,
                after: row.take()?,
                claimed_until: until,
            };
            Ok((run, row.take::<Timestamp>()?, row.take::<bool>()?))
        };
        let Some((mut run, before, waits)) = self.database.row(query.bind(now), read).await? else { return Ok(None) };
        let older = sql(concat!("SELECT CAST(1 AS BIGINT) WHERE ", older_import!())).bind(run.organization);
        let older = self.database.row(older, |mut row| row.take::<i64>()).await?.is_some();
        let goes_on = !(waits && older);
        let begins = run.target == 0 && run.after.is_empty();
        run.settled = if begins { !older } else { run.settled };
        let claim = sql("UPDATE order_runs SET claimed_until = $1, settled = $2, waits = $3 \
             WHERE organization_id = $4 AND revision = $5 AND claimed_until = $6 AND NOT done")
        .bind(if goes_on { until } else { again })
        .bind(run.settled)
        .bind(!goes_on)
        .bind(run.organization)
        .bind(run.revision)
        .bind(before);
        Ok((self.database.execute(claim).await? > 0 && goes_on).then_some(run))
    }

    /// The next accounts of the run, by external id, each with its user if that is to be mapped anew at this account.
    pub async fn order_accounts(&self, run: &OrderRun, limit: u32) -> Result<Vec<(ExternalKey, Option<UserId>)>> {
        let query = sql("SELECT a.external_key, CASE WHEN a.missing_since IS NULL \
             AND EXISTS (SELECT 1 FROM accounts h WHERE h.identity = a.identity AND h.target <> a.target) \
             AND NOT EXISTS (SELECT 1 FROM accounts h JOIN directories d ON d.seq = h.target \
             WHERE h.identity = a.identity AND h.target < a.target AND h.missing_since IS NULL \
             AND d.deleted_at IS NULL) THEN a.identity END FROM accounts a WHERE a.organization_id = $1 \
             AND a.target = $2 AND a.kind = 1 AND a.external_key > $3 ORDER BY a.external_key LIMIT $4")
        .bind(run.organization)
        .bind(run.target)
        .bind(run.after.clone())
        .bind(limit);
        let read =
            |mut row: Row| Ok((ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?, row.take::<Option<UserId>>()?));
        self.database.rows(query, read).await
    }

    /// The directory that the run comes to next. `None`: it has come to the last.
    pub async fn order_target(&self, run: &OrderRun) -> Result<Option<i64>> {
        let query =
            sql("SELECT min(seq) FROM directories WHERE organization_id = $1 AND deleted_at IS NULL AND seq > $2");
        let query = query.bind(run.organization).bind(run.target);
        Ok(self.database.row(query, |mut row| row.take::<Option<i64>>()).await?.flatten())
    }

    /// Notes how far a run has come, and keeps the claim until then. `false`: the order has changed again, or somebody
    /// else has the claim.
    pub async fn advance_order(&self, run: &mut OrderRun, until: Timestamp) -> Result<bool> {
        let update = sql("UPDATE order_runs SET target = $1, after_key = $2, claimed_until = $3 \
             WHERE organization_id = $4 AND revision = $5 AND claimed_until = $6 AND NOT done")
        .bind(run.target)
        .bind(run.after.clone())
        .bind(until)
        .bind(run.organization)
        .bind(run.revision)
        .bind(run.claimed_until);
        run.claimed_until = until;
        Ok(self.database.execute(update).await? > 0)
    }

    /// Ends a run that has come to the last account. If imports were under way that began before the change, it begins
    /// again when they have ended. Returns whether it has ended.
    pub async fn finish_order(&self, run: &OrderRun, again: Timestamp) -> Result<bool> {
        let update = sql("UPDATE order_runs SET done = settled, waits = NOT settled, target = 0, after_key = $1, \
             claimed_until = $2 WHERE organization_id = $3 AND revision = $4 AND claimed_until = $5 AND NOT done")
        .bind(Vec::new())
        .bind(again)
        .bind(run.organization)
        .bind(run.revision)
        .bind(run.claimed_until);
        Ok(self.database.execute(update).await? > 0 && run.settled)
    }
}

impl OrderRun {
    /// Goes on after this account.
    pub fn pass(&mut self, key: &ExternalKey) {
        self.after = key.as_bytes().to_vec();
    }

    /// Goes on with the first account of another directory.
    pub fn go_to(&mut self, target: i64) {
        (self.target, self.after) = (target, Vec::new());
    }
}
