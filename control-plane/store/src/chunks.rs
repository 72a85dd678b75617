//! The recorded chunks of an import: which entries were seen, how many, and their digest.

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::ids::{JobId, OrganizationId};
use crate::imports::Intake;
use crate::records::{Staged, StagedChunk, StagedKeys};
use crate::sql::{signed, sql};

impl Intake {
    /// Records chunks in the transaction that writes their entries. Recorded chunks are not changed.
    pub async fn record_chunks(&mut self, job: JobId, generation: u32, chunks: Vec<StagedChunk>) -> Result<()> {
        // Without a WHERE, SQLite would read ON as the condition of a join.
        let insert = Bulk::new(
            "WITH v(sequence, users, groups, created, created_groups, changed, returned, unknown_switches, digest, keys) AS ({rows}) \
             INSERT INTO staged_chunks (organization_id, job_id, generation, sequence, users, groups, created, \
             created_groups, changed, returned, unknown_switches, digest, keys) SELECT :1, :2, :3, v.sequence, v.users, \
             v.groups, v.created, v.created_groups, v.changed, v.returned, v.unknown_switches, v.digest, v.keys FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        );
        let column =
            |count: fn(&StagedChunk) -> u64| Cells::Ints(chunks.iter().map(|chunk| signed(count(chunk))).collect());
        let insert = insert
            .column(column(|chunk| chunk.sequence))
            .column(column(|chunk| chunk.users))
            .column(column(|chunk| chunk.groups))
            .column(column(|chunk| chunk.created))
            .column(column(|chunk| chunk.created_groups))
            .column(column(|chunk| chunk.changed))
            .column(column(|chunk| chunk.returned))
            .column(column(|chunk| chunk.unknown_switches))
            .column(Cells::Blobs(chunks.iter().map(|chunk| chunk.digest.to_vec()).collect()))
            .column(Cells::Blobs(chunks.into_iter().map(|chunk| chunk.keys).collect()))
            .shared(self.identities.organization)
            .shared(job)
            .shared(generation);
        self.identities.tx.bulk(insert).await?;
        Ok(())
    }
}

impl Store {
    /// The sums over the recorded chunks of a generation.
    pub async fn staged(&self, organization: OrganizationId, job: JobId, generation: u32) -> Result<Staged> {
        let query = sql(
            "SELECT sequence, users, groups, created, created_groups, changed, returned, unknown_switches, digest FROM staged_chunks \
             WHERE organization_id = $1 AND job_id = $2 AND generation = $3 ORDER BY sequence",
        )
        .bind(organization)
        .bind(job)
        .bind(generation);
        let mut sum = Staged::default();
        let mut lanes = [0_u64; 4];
        let read = |mut row: crate::sql::Row| {
            let sequence: u64 = row.take()?;
            if sequence == sum.next_sequence {
                sum.next_sequence += 1;
            }
            sum.chunks += 1;
            let counters = [
                &mut sum.users,
                &mut sum.groups,
                &mut sum.created,
                &mut sum.created_groups,
                &mut sum.changed,
                &mut sum.returned,
                &mut sum.unknown_switches,
            ];
            for counter in counters {
                *counter += row.take::<u64>()?;
            }
            let digest: [u8; 32] = row.take()?;
            for (lane, more) in lanes.iter_mut().zip(digest.chunks_exact(8)) {
                let more = <[u8; 8]>::try_from(more).map_err(|_| Error::corrupt("a digest"))?;
                *lane = lane.wrapping_add(u64::from_le_bytes(more));
            }
            Ok(())
        };
        self.database.rows(query, read).await?;
        for (place, lane) in sum.digest.chunks_exact_mut(8).zip(lanes) {
            place.copy_from_slice(&lane.to_le_bytes());
        }
        Ok(sum)
    }

    /// The keys of up to `limit` recorded chunks, from this sequence number on.
    pub async fn staged_keys(
        &self,
        organization: OrganizationId,
        job: JobId,
        generation: u32,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StagedKeys>> {
        let query = sql("SELECT sequence, keys FROM staged_chunks WHERE organization_id = $1 AND job_id = $2 \
             AND generation = $3 AND sequence >= $4 ORDER BY sequence LIMIT $5")
        .bind(organization)
        .bind(job)
        .bind(generation)
        .bind(signed(from))
        .bind(limit);
        self.database.rows(query, |mut row| Ok(StagedKeys { sequence: row.take()?, keys: row.take()? })).await
    }

    /// Deletes what was recorded of all generations of a job: its chunks, the entries kept aside, and the results of
    /// its second look.
    pub async fn drop_staged(&self, organization: OrganizationId, job: JobId) -> Result<()> {
        let delete = sql("DELETE FROM deferred_entries WHERE organization_id = $1 AND job_id = $2");
        self.database.execute(delete.bind(organization).bind(job)).await?;
        let delete = sql("DELETE FROM absences WHERE organization_id = $1 AND job_id = $2");
        self.database.execute(delete.bind(organization).bind(job)).await?;
        let delete = sql("DELETE FROM rule_failures WHERE organization_id = $1 AND job_id = $2");
        self.database.execute(delete.bind(organization).bind(job)).await?;
        let delete = sql("DELETE FROM staged_chunks WHERE organization_id = $1 AND job_id = $2");
        self.database.execute(delete.bind(organization).bind(job)).await.map(|_| ())
    }

    /// Does the same for all jobs that have ended, of all organizations. Returns how many chunks there were.
    pub async fn drop_staged_of_ended_jobs(&self) -> Result<u64> {
        let delete = sql("DELETE FROM deferred_entries WHERE job_id IN (SELECT j.id FROM jobs j \
             WHERE j.id IN (SELECT d.job_id FROM deferred_entries d) \
             AND j.state IN ('succeeded', 'failed', 'canceled'))");
        self.database.execute(delete).await?;
        let delete = sql("DELETE FROM absences WHERE job_id IN (SELECT j.id FROM jobs j \
             WHERE j.id IN (SELECT s.job_id FROM absences s) \
             AND j.state IN ('succeeded', 'failed', 'canceled'))");
        self.database.execute(delete).await?;
        let delete = sql("DELETE FROM rule_failures WHERE job_id IN (SELECT j.id FROM jobs j \
             WHERE j.id IN (SELECT r.job_id FROM rule_failures r) \
             AND j.state IN ('succeeded', 'failed', 'canceled'))");
        self.database.execute(delete).await?;
        let delete = sql("DELETE FROM staged_chunks WHERE job_id IN (SELECT j.id FROM jobs j \
             WHERE j.id IN (SELECT s.job_id FROM staged_chunks s) \
             AND j.state IN ('succeeded', 'failed', 'canceled'))");
        self.database.execute(delete).await
    }
}
