//! Targets: what accounts live in. A directory is one kind of target and has the same id and number.

use crate::Store;
use crate::error::Result;
use crate::ids::{DirectoryId, OrganizationId, TargetId};
use crate::records::{Target, TargetKind};
use crate::sql::{Row, named, sql};
use crate::transaction::Tx;

/// Most targets in one answer.
const MOST_TARGETS: u32 = 10_000;

impl From<DirectoryId> for TargetId {
    fn from(directory: DirectoryId) -> Self {
        Self::from_uuid(directory.as_uuid())
    }
}

impl TargetId {
    /// The directory with this id. For an application there is none.
    pub const fn directory(self) -> DirectoryId {
        DirectoryId::from_uuid(self.as_uuid())
    }
}

fn read(mut row: Row) -> Result<Target> {
    Ok(Target { id: row.take()?, organization: row.take()?, kind: named(&mut row)? })
}

/// Inserts a target; its directory or application is written in the same transaction.
pub(crate) async fn insert(tx: &mut Tx, organization: OrganizationId, id: TargetId, kind: TargetKind) -> Result<()> {
    let insert = sql("INSERT INTO targets (id, organization_id, kind) VALUES ($1, $2, $3)");
    tx.execute(insert.bind(id).bind(organization).bind(kind.as_str())).await.map(|_| ())
}

/// Deletes a target whose directory was not created.
pub(crate) async fn delete(tx: &mut Tx, id: TargetId) -> Result<()> {
    tx.execute(sql("DELETE FROM targets WHERE id = $1").bind(id)).await.map(|_| ())
}

impl Store {
    /// The targets of an organization, oldest first, including those of deleted directories.
    pub async fn targets(&self, organization: OrganizationId) -> Result<Vec<Target>> {
        let query =
            sql("SELECT id, organization_id, kind FROM targets WHERE organization_id = $1 ORDER BY seq LIMIT $2");
        self.database.rows(query.bind(organization).bind(MOST_TARGETS), read).await
    }
}
