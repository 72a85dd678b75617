//! Updates the schema of a file. Applied migrations are recorded as sqlx does on PostgreSQL.

use rusqlite::{Connection, TransactionBehavior, params};
use sqlx::migrate::{MigrateError, Migrator};

use crate::error::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const RECORD: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
     installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, \
     execution_time BIGINT NOT NULL)";

/// Applies new migrations in one transaction: a second process waits for it, and finds nothing to do.
pub(super) fn up(connection: &mut Connection) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(RECORD)?;
    let applied: Vec<(i64, Vec<u8>)> = tx
        .prepare("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (version, checksum) in &applied {
        match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None => return Err(Error::Migrate(MigrateError::VersionMissing(*version))),
            Some(migration) if *migration.checksum != **checksum => {
                return Err(Error::Migrate(MigrateError::VersionMismatch(*version)));
            }
            Some(_) => {}
        }
    }
    for migration in MIGRATIONS.iter() {
        if applied.iter().any(|(version, _)| *version == migration.version) {
            continue;
        }
        tx.execute_batch(migration.sql.as_str())?;
        tx.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (?, ?, TRUE, ?, 0)",
            params![migration.version, migration.description, &*migration.checksum],
        )?;
    }
    Ok(tx.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        up(&mut connection).unwrap();
        connection
    }

    #[test]
    fn what_was_applied_is_not_applied_again() {
        let mut connection = migrated();
        up(&mut connection).unwrap();
        let count: i64 = connection.query_one("SELECT count(*) FROM _sqlx_migrations", [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(count).unwrap(), MIGRATIONS.iter().count());
    }

    #[test]
    fn a_file_of_a_newer_release_or_with_another_schema_is_left_alone() {
        let mut connection = migrated();
        connection.execute("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1", []).unwrap();
        let error = up(&mut connection).unwrap_err();
        assert!(matches!(error, Error::Migrate(MigrateError::VersionMismatch(1))), "{error:?}");
        connection.execute("UPDATE _sqlx_migrations SET version = 99 WHERE version = 1", []).unwrap();
        let error = up(&mut connection).unwrap_err();
        assert!(matches!(error, Error::Migrate(MigrateError::VersionMissing(99))), "{error:?}");
    }
}
