//! Where the last finished import of a directory came from, in the caller's form: later ones are compared with it. And
//! what it found to be wrong.

use jiff::Timestamp;
use serde_json::Value;

use crate::Store;
use crate::error::Result;
use crate::ids::{DirectoryId, OrganizationId};
use crate::leases::fenced;
use crate::records::{Digests, Lease};
use crate::sql::{Row, sql};

/// More directories than this are not in one answer.
const MOST_DIRECTORIES: u32 = 10_000;

/// When the last import of a directory succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastImport {
    /// Name of the organization.
    pub organization: String,
    /// Name of the directory.
    pub directory: String,
    /// When. `None`: none has succeeded yet.
    pub at: Option<Timestamp>,
}

impl Store {
    /// When the last import of each directory succeeded, of all organizations, oldest directory first; without those that
    /// are disabled or deleted. For metrics.
    pub async fn last_imports(&self) -> Result<Vec<LastImport>> {
        let query = sql("SELECT o.name, d.name, d.last_import_at FROM directories d \
             JOIN organizations o ON o.id = d.organization_id WHERE d.deleted_at IS NULL AND NOT d.disabled \
             ORDER BY d.seq LIMIT $1");
        let read = |mut row: Row| Ok(LastImport { organization: row.take()?, directory: row.take()?, at: row.take()? });
        self.database.rows(query.bind(MOST_DIRECTORIES), read).await
    }

    /// Where the last finished import came from; `None` where none has finished.
    pub async fn directory_source(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Option<Value>> {
        let query = sql("SELECT source FROM directories WHERE organization_id = $1 AND id = $2");
        let query = query.bind(organization).bind(directory);
        Ok(self.database.row(query, |mut row| row.take::<Option<Value>>()).await?.flatten())
    }

    /// Notes where a finished import came from and by which configuration it was read, if the job is still the caller's.
    pub async fn set_directory_source(&self, lease: &Lease, source: &Value, configuration: &Digests) -> Result<bool> {
        let update = sql("UPDATE directories SET source = $4, users_digest = $5, groups_digest = $6 \
             WHERE id = (SELECT directory_id FROM jobs \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running')");
        let update = fenced(update, lease).bind(source);
        let update = update.bind(configuration.users.clone()).bind(configuration.groups.clone());
        Ok(self.database.execute(update).await? > 0)
    }

    /// Notes that an import went through, and what it found to be wrong with its directory until somebody mends it, if the
    /// job is still the caller's. It stays when the job is forgotten.
    pub async fn note_import(&self, lease: &Lease, problem: Option<&str>, now: Timestamp) -> Result<bool> {
        let update = sql(
            "UPDATE directories SET import_problem = $4, last_import_at = $5 WHERE id = (SELECT directory_id FROM jobs \
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running')",
        );
        Ok(self.database.execute(fenced(update, lease).bind(problem.map(str::to_owned)).bind(now)).await? > 0)
    }
}
