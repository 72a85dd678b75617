//! The source of a directory's last finished import, in the caller's form, which later imports are compared with, and
//! the problem that it found.

use jiff::Timestamp;
use serde_json::Value;

use crate::Store;
use crate::error::Result;
use crate::ids::{DirectoryId, OrganizationId};
use crate::leases::fenced;
use crate::records::{Digests, Lease};
use crate::sql::{Row, sql};

/// Most directories in one answer.
const MOST_DIRECTORIES: u32 = 10_000;

/// When the last import of a directory succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastImport {
    /// Name of the organization.
    pub organization: String,
    /// Name of the directory.
    pub directory: String,
    /// The time. `None`: none has succeeded yet.
    pub at: Option<Timestamp>,
}

impl Store {
    /// When the last import of each directory succeeded, of all organizations, oldest directory first, without disabled
    /// or deleted directories. For metrics.
    pub async fn last_imports(&self) -> Result<Vec<LastImport>> {
        let query = sql("SELECT o.name, d.name, d.last_import_at FROM directories d \
             JOIN organizations o ON o.id = d.organization_id WHERE d.deleted_at IS NULL AND NOT d.disabled \
             ORDER BY d.seq LIMIT $1");
        let read = |mut row: Row| Ok(LastImport { organization: row.take()?, directory: row.take()?, at: row.take()? });
        self.database.rows(query.bind(MOST_DIRECTORIES), read).await
    }

    /// The source of the last finished import; `None` if none has finished.
    pub async fn directory_source(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Option<Value>> {
        let query = sql("SELECT source FROM directories WHERE organization_id = $1 AND id = $2");
        let query = query.bind(organization).bind(directory);
        Ok(self.database.row(query, |mut row| row.take::<Option<Value>>()).await?.flatten())
    }

    /// Records the source and the configuration of a finished import, if the caller still owns the job.
    pub async fn set_directory_source(&self, lease: &Lease, source: &Value, configuration: &Digests) -> Result<bool> {
        let update = sql("UPDATE directories SET source = $4, users_digest = $5, groups_digest = $6 \
             WHERE id = (SELECT directory_id FROM jobs \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running')");
        let update = fenced(update, lease).bind(source);
        let update = update.bind(configuration.users.clone()).bind(configuration.groups.clone());
        Ok(self.database.execute(update).await? > 0)
    }

    /// Records that an import succeeded, and the problem with the directory that it found, if the caller still owns the
    /// job. It stays when the job is deleted.
    pub async fn note_import(&self, lease: &Lease, problem: Option<&str>, now: Timestamp) -> Result<bool> {
        let update = sql(
            "UPDATE directories SET import_problem = $4, last_import_at = $5 WHERE id = (SELECT directory_id FROM jobs \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running')",
        );
        Ok(self.database.execute(fenced(update, lease).bind(problem.map(str::to_owned)).bind(now)).await? > 0)
    }
}
