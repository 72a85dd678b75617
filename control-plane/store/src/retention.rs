//! Deletes jobs that ended long ago, with their reports.

use jiff::Timestamp;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::JobId;
use crate::sql::sql;

/// Jobs deleted in one transaction, so that imports do not wait long to write.
const AT_ONCE: u32 = 200;

impl Store {
    /// Deletes jobs of all organizations after their retention time, with all their records. Deletes a limited number:
    /// the caller repeats until nothing is left. Returns how many.
    pub async fn forget_jobs(&self, now: Timestamp) -> Result<u64> {
        let query = sql("SELECT j.id FROM organizations o JOIN jobs j ON j.organization_id = o.id \
             WHERE o.job_retention_days > 0 AND j.finished_at < $1 - o.job_retention_days * 86400000 \
             AND j.state IN ('succeeded', 'failed', 'canceled') LIMIT $2");
        let ended: Vec<JobId> = self.database.rows(query.bind(now).bind(AT_ONCE), |mut row| row.take()).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        let mut ids: Vec<_> = ended.iter().map(|job| job.as_uuid()).collect();
        // Always in this order, so that two replicas do not deadlock.
        ids.sort_unstable();
        let mut tx = self.database.begin().await?;
        for delete in [
            "DELETE FROM deferred_entries WHERE job_id {in}",
            "DELETE FROM preview_rows WHERE job_id {in}",
            "DELETE FROM absences WHERE job_id {in}",
            "DELETE FROM staged_chunks WHERE job_id {in}",
        ] {
            tx.bulk(Bulk::new(delete).column(Cells::Uuids(ids.clone()))).await?;
        }
        let deleted = tx.bulk(Bulk::new("DELETE FROM jobs WHERE id {in}").column(Cells::Uuids(ids))).await?;
        tx.commit().await?;
        Ok(deleted)
    }
}
