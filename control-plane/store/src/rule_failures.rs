//! Rules that failed while an import was applied: how often, and some of the entries. Recorded with the entries.

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{JobId, OrganizationId};
use crate::imports::Intake;
use crate::records::RuleFailures;
use crate::sql::{signed, sql};

impl Intake {
    /// Records the failures in chunks, each by its number and the kinds of changes of the part that was kept aside (0 for
    /// the chunk itself), in the transaction that writes their entries. A repetition replaces the earlier record.
    pub async fn record_rule_failures(
        &mut self,
        job: JobId,
        generation: u32,
        failures: Vec<(u64, u32, RuleFailures)>,
    ) -> Result<()> {
        // Without a WHERE, SQLite would take ON for the condition of a join.
        let insert = Bulk::new(
            "WITH v(sequence, kinds, failures, samples) AS ({rows}) \
             INSERT INTO rule_failures (organization_id, job_id, generation, sequence, kinds, failures, samples) \
             SELECT :1, :2, :3, v.sequence, v.kinds, v.failures, v.samples FROM v WHERE TRUE \
             ON CONFLICT (job_id, generation, sequence, kinds) \
             DO UPDATE SET failures = excluded.failures, samples = excluded.samples",
        );
        let insert = insert
            .column(Cells::Ints(failures.iter().map(|(sequence, ..)| signed(*sequence)).collect()))
            .column(Cells::Ints(failures.iter().map(|(_, kinds, _)| i64::from(*kinds)).collect()))
            .column(Cells::Ints(failures.iter().map(|(.., failures)| signed(failures.count)).collect()))
            .column(Cells::Texts(failures.into_iter().map(|(.., failures)| failures.samples.to_string()).collect()))
            .shared(self.identities.organization)
            .shared(job)
            .shared(generation);
        self.identities.tx.bulk(insert).await.map(|_| ())
    }
}

impl Store {
    /// The failures of a generation: their number, and the samples of the first records.
    pub async fn rule_failures(
        &self,
        organization: OrganizationId,
        job: JobId,
        generation: u32,
        samples: u32,
    ) -> Result<(u64, Vec<RuleFailures>)> {
        let count = sql("SELECT CAST(COALESCE(SUM(failures), 0) AS BIGINT) FROM rule_failures \
             WHERE organization_id = $1 AND job_id = $2 AND generation = $3");
        let count = count.bind(organization).bind(job).bind(generation);
        let count = self.database.row(count, |mut row| row.take()).await?.unwrap_or_default();
        let first = sql("SELECT failures, samples FROM rule_failures \
             WHERE organization_id = $1 AND job_id = $2 AND generation = $3 ORDER BY sequence, kinds LIMIT $4")
        .bind(organization)
        .bind(job)
        .bind(generation)
        .bind(samples);
        let read = |mut row: crate::sql::Row| Ok(RuleFailures { count: row.take()?, samples: row.take()? });
        Ok((count, self.database.rows(first, read).await?))
    }
}
