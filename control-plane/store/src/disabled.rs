//! Ends the jobs of disabled directories, except proven imports.

use jiff::Timestamp;
use serde_json::Value;

use crate::Store;
use crate::error::Result;
use crate::ids::{JobId, ReplicaId};
use crate::jobs::changed;
use crate::open_jobs::open_jobs;
use crate::records::Job;
use crate::sql::sql;

impl Store {
    /// Ends, with this error, the jobs of disabled directories that nobody works on, of all organizations. Held jobs
    /// stay for a decision.
    pub async fn fail_disabled(&self, error: &Value, now: Timestamp) -> Result<Vec<Job>> {
        let tx = self.database.begin().await?;
        let update = sql(concat!(
            "UPDATE jobs SET state = 'failed', error = $1, finished_at = $2, updated_at = $2, message = NULL WHERE ",
            open_jobs!(),
            " AND state IN ('queued', 'waiting') AND NOT proven \
             AND EXISTS (SELECT 1 FROM directories d WHERE d.id = jobs.directory_id AND d.disabled) RETURNING id"
        ))
        .bind(error)
        .bind(now);
        changed(tx, update).await
    }

    /// The running jobs of this replica whose directory is disabled, without the proven ones.
    pub async fn disabled_running(&self, owner: ReplicaId) -> Result<Vec<JobId>> {
        let query = sql(concat!(
            "SELECT j.id FROM jobs j JOIN directories d ON d.id = j.directory_id WHERE ",
            open_jobs!(),
            " AND j.state = 'running' AND j.owner = $1 AND NOT j.proven AND d.disabled ORDER BY j.id"
        ));
        self.database.rows(query.bind(owner), |mut row| row.take()).await
    }
}
