//! The rows of previews. They are deleted with their job.

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{JobId, OrganizationId};
use crate::leases::{fenced, may_write};
use crate::records::{Lease, Page, PageRequest, PreviewRow, Room};
use crate::sql::{Row, signed, sql};

impl Store {
    /// Writes rows of a preview, from this number on. The first rows (number 0) replace those of earlier attempts.
    /// `false`: the caller no longer owns the job, or the job was asked to end.
    pub async fn write_preview(
        &self,
        organization: OrganizationId,
        lease: &Lease,
        from: u64,
        rows: Vec<PreviewRow>,
    ) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        let lock = sql(concat!(
            "UPDATE jobs SET attempt = attempt WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' \
             AND organization_id = $4 AND ",
            may_write!()
        ));
        if tx.execute(fenced(lock, lease).bind(organization)).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        if from == 0 {
            tx.execute(sql("DELETE FROM preview_rows WHERE job_id = $1").bind(lease.job)).await?;
        }
        let insert = Bulk::new(
            "WITH v(seq, actions, content) AS ({rows}) \
             {insert} preview_rows (organization_id, job_id, seq, actions, content) \
             SELECT :1, :2, v.seq, v.actions, v.content FROM v",
        );
        let numbers = (0..rows.len() as u64).map(|place| signed(from + place)).collect();
        let insert = insert
            .column(Cells::Ints(numbers))
            .column(Cells::Ints(rows.iter().map(|row| i64::from(row.actions)).collect()))
            .column(Cells::Texts(rows.into_iter().map(|row| row.content.to_string()).collect()))
            .shared(organization)
            .shared(lease.job);
        tx.bulk(insert).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The rows of a preview with at least one of these actions, in their order.
    pub async fn preview_rows(
        &self,
        organization: OrganizationId,
        job: JobId,
        actions: u32,
        request: &PageRequest,
    ) -> Result<Page<PreviewRow>> {
        let query = sql("SELECT seq, actions, content FROM preview_rows WHERE organization_id = $1 AND job_id = $2 \
             AND seq > $3 AND (actions & $4) <> 0 ORDER BY seq LIMIT $5");
        let after = request.cursor::<i64>()?.unwrap_or(-1);
        let query = query.bind(organization).bind(job).bind(after).bind(actions).bind(request.probe());
        let read = |mut row: Row| Ok((row.take::<i64>()?, PreviewRow { actions: row.take()?, content: row.take()? }));
        let mut room = Room::default();
        let rows = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(rows, request, &room, |(seq, _)| seq.to_string()).map(|(_, row)| row))
    }
}
