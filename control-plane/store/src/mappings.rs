//! The rules of directories, version by version, for each direction on their own. The newest version is the current one; none is ever changed.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{DirectoryId, OrganizationId};
use crate::mapping_runs;
use crate::records::{MappingDirection, MappingVersion, NewMapping};
use crate::sql::{Row, sql};

/// So many versions of a directory are kept.
const KEPT: u32 = 100;

/// The columns that [`read`] reads.
macro_rules! select_versions {
    ($rest:literal) => {
        concat!("SELECT version, rules, restored_from, created_by, created_at FROM mapping_versions ", $rest)
    };
}

fn read(mut row: Row) -> Result<MappingVersion> {
    Ok(MappingVersion {
        version: row.take()?,
        rules: row.take()?,
        restored_from: row.take()?,
        created_by: row.take()?,
        created_at: row.take()?,
    })
}

impl Store {
    /// The current rules of a directory. `None`: none were ever saved.
    pub async fn current_mapping(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        direction: MappingDirection,
    ) -> Result<Option<MappingVersion>> {
        let query = sql(select_versions!(
            "WHERE organization_id = $1 AND directory_id = $2 AND direction = $3 ORDER BY version DESC LIMIT 1"
        ));
        self.database.row(query.bind(organization).bind(directory).bind(direction.code()), read).await
    }

    /// One version of them.
    pub async fn mapping_version(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        direction: MappingDirection,
        version: u32,
    ) -> Result<Option<MappingVersion>> {
        let query = sql(select_versions!(
            "WHERE organization_id = $1 AND directory_id = $2 AND direction = $3 AND version = $4"
        ));
        self.database.row(query.bind(organization).bind(directory).bind(direction.code()).bind(version), read).await
    }

    /// All versions that are kept, the newest first.
    pub async fn mapping_versions(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        direction: MappingDirection,
    ) -> Result<Vec<MappingVersion>> {
        let query = sql(select_versions!(
            "WHERE organization_id = $1 AND directory_id = $2 AND direction = $3 ORDER BY version DESC LIMIT $4"
        ));
        self.database.rows(query.bind(organization).bind(directory).bind(direction.code()).bind(KEPT), read).await
    }

    /// Saves rules as the next version, if `expected` is the current one; `0` before the first. The oldest versions beyond
    /// those that are kept are forgotten. [`Error::Conflict`]: another version is current. [`Error::NotFound`]: there is no
    /// such directory.
    pub async fn save_mapping(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        direction: MappingDirection,
        expected: u32,
        new: NewMapping,
        now: Timestamp,
    ) -> Result<MappingVersion> {
        let mut tx = self.database.begin().await?;
        // Locks the directory's row on PostgreSQL, so that two versions do not get one number.
        let lock = sql("UPDATE directories SET name = name \
             WHERE organization_id = $1 AND id = $2 AND deleted_at IS NULL");
        if tx.execute(lock.bind(organization).bind(directory)).await? == 0 {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the directory" });
        }
        let query = sql("SELECT COALESCE(MAX(version), 0) FROM mapping_versions \
             WHERE organization_id = $1 AND directory_id = $2 AND direction = $3");
        let query = query.bind(organization).bind(directory).bind(direction.code());
        let current: u32 = tx.row(query, |mut row| row.take()).await?.unwrap_or_default();
        if current != expected {
            tx.rollback().await?;
            return Err(Error::conflict(format!(
                "version {current} of the rules is the current one, and not version {expected}"
            )));
        }
        let version = current + 1;
        let insert = sql("INSERT INTO mapping_versions \
             (organization_id, directory_id, direction, version, rules, restored_from, created_by, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(organization)
        .bind(directory)
        .bind(direction.code())
        .bind(version)
        .bind(&new.rules)
        .bind(new.restored_from)
        .bind(&new.created_by)
        .bind(now);
        tx.execute(insert).await?;
        let forget = sql("DELETE FROM mapping_versions WHERE organization_id = $1 AND directory_id = $2 \
             AND direction = $3 AND version <= $4");
        let forget = forget.bind(organization).bind(directory).bind(direction.code());
        tx.execute(forget.bind(i64::from(version) - i64::from(KEPT))).await?;
        if direction == MappingDirection::Inbound {
            mapping_runs::begin(&mut tx, organization, directory, version).await?;
        }
        tx.commit().await?;
        let NewMapping { rules, restored_from, created_by } = new;
        Ok(MappingVersion { version, rules, restored_from, created_by, created_at: now })
    }
}
