//! One interface to the two engines: opening, reading, and transactions that write.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use rusqlite::Connection;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions as _, Postgres};

use crate::address::{Address, DatabaseUrl};
use crate::backend::Backend;
use crate::dialect::Bulk;
use crate::error::{Error, Result};
use crate::records::{AuditNote, Room};
use crate::sql::{Row, Statement};
use crate::sqlite;
use crate::transaction::{Inner, Tx};
use crate::wake::Wakes;

static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const POSTGRES_CONNECTIONS: u32 = 20;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 250;

/// An open database.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) engine: Engine,
    /// What the audit log says of the transactions that begin here and change something.
    pub(crate) note: Option<Arc<AuditNote>>,
}

/// The engine, with its connections.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite { file: sqlite::File, wakes: Wakes },
    Postgres { pool: PgPool },
}

impl From<Engine> for Database {
    fn from(engine: Engine) -> Self {
        Self { engine, note: None }
    }
}

impl Database {
    /// Opens the database and updates its schema; several processes may do so at once.
    pub(crate) async fn open(url: &DatabaseUrl) -> Result<Self> {
        match url.address() {
            Address::Sqlite(path) => {
                Ok(Engine::Sqlite { file: sqlite::File::open(path).await?, wakes: Wakes::default() }.into())
            }
            Address::Postgres(options) => Ok(open_postgres(options.as_ref().clone()).await?.into()),
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match &self.engine {
            Engine::Sqlite { .. } => Backend::Sqlite,
            Engine::Postgres { .. } => Backend::Postgres,
        }
    }

    /// All rows of a read-only statement.
    pub(crate) async fn rows<T>(&self, statement: Statement, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        match &self.engine {
            Engine::Sqlite { file, .. } => {
                let rows = file.read(move |connection| sqlite::rows(connection, &statement)).await?;
                rows.into_iter().map(read).collect()
            }
            Engine::Postgres { pool } => {
                statement.for_postgres()?.fetch_all(pool).await?.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// The rows of a read-only statement, as far as there is room. Rows that do not fit are not kept in memory.
    pub(crate) async fn rows_within<T>(
        &self,
        statement: Statement,
        room: &mut Room,
        read: impl FnMut(Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = match &self.engine {
            Engine::Sqlite { file, .. } => {
                let given = std::mem::take(room);
                let work = move |connection: &Connection| sqlite::rows_within(connection, &statement, given);
                let (rows, left) = file.read(work).await?;
                *room = left;
                rows
            }
            Engine::Postgres { pool } => {
                let mut rows = Vec::new();
                let mut coming = statement.for_postgres()?.fetch(pool);
                while let Some(row) = coming.try_next().await? {
                    if !room.takes(Row::postgres_bytes(&row)) {
                        break;
                    }
                    rows.push(Row::from(row));
                }
                rows
            }
        };
        rows.into_iter().map(read).collect()
    }

    /// The first row of a read-only statement.
    pub(crate) async fn row<T>(&self, statement: Statement, read: impl FnMut(Row) -> Result<T>) -> Result<Option<T>> {
        Ok(self.rows(statement, read).await?.into_iter().next())
    }

    /// All rows of a read-only statement over many rows.
    pub(crate) async fn bulk_rows<T>(&self, bulk: Bulk, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        if bulk.is_empty() {
            return Ok(Vec::new());
        }
        match &self.engine {
            Engine::Sqlite { file, .. } => {
                let outcome = file.read(move |connection| sqlite::bulk(connection, &bulk)).await?;
                outcome.rows.into_iter().map(read).collect()
            }
            Engine::Postgres { pool } => {
                bulk.for_postgres()?.fetch_all(pool).await?.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// Starts a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let inner = match &self.engine {
            Engine::Sqlite { file, wakes } => {
                Inner::Sqlite { writing: Some(file.begin().await?), wakes: wakes.clone() }
            }
            Engine::Postgres { pool } => Inner::Postgres(Box::new(pool.begin().await?)),
        };
        Ok(Tx::new(inner, self.note.clone()))
    }

    /// One statement in a transaction of its own. Returns the number of rows it changed.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64> {
        if let (Engine::Postgres { pool }, None) = (&self.engine, &self.note) {
            return Ok(statement.for_postgres()?.execute(pool).await?.rows_affected());
        }
        let mut tx = self.begin().await?;
        let changed = tx.execute(statement).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Releases memory that the engine uses only as a cache.
    pub(crate) async fn release_memory(&self) -> Result<()> {
        match &self.engine {
            Engine::Sqlite { file, .. } => file.release_memory().await,
            Engine::Postgres { .. } => Ok(()),
        }
    }

    /// Closes all connections, after which the file may be removed.
    pub(crate) async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { file, .. } => file.close().await,
            Engine::Postgres { pool } => pool.close().await,
        }
    }
}

/// PostgreSQL would keep a plan made for an empty table, and an import fills tables before statistics exist: so each
/// statement is planned anew. No statement is worth compiling.
const POSTGRES_PLANS: [(&str, &str); 2] = [("plan_cache_mode", "force_custom_plan"), ("jit", "off")];

async fn open_postgres(options: PgConnectOptions) -> Result<Engine> {
    let pool = PoolOptions::<Postgres>::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.options(POSTGRES_PLANS).statement_cache_capacity(STATEMENTS).disable_statement_logging())
        .await?;
    // The migrator takes an advisory lock.
    POSTGRES_MIGRATIONS.run(&pool).await.map_err(Error::Migrate)?;
    Ok(Engine::Postgres { pool })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::sql;

    /// Writes until the file may not grow.
    async fn fill(database: &Database) -> Error {
        let mut tx = database.begin().await.unwrap();
        // Room for a few more pages; the limit is the connection's, so that it goes with it.
        let pages = tx.row(sql("PRAGMA page_count"), |mut row| row.take::<i64>()).await.unwrap().unwrap();
        let limit = crate::sql::built(format!("PRAGMA max_page_count = {}", pages + 10));
        tx.rows(limit, |_| Ok(())).await.unwrap();
        loop {
            let insert = sql("INSERT INTO organizations (id, name, created_at) VALUES (randomblob(16), $1, 0)");
            let name = format!("{:?}{}", std::time::Instant::now(), "x".repeat(2_000));
            if let Err(error) = tx.execute(insert.bind(name)).await {
                return error;
            }
        }
    }

    #[tokio::test]
    async fn a_full_volume_says_so_and_leaves_nothing_half_done() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await.unwrap();
        let error = fill(&database).await;
        assert!(matches!(error, Error::StorageFull(_)), "{error:?}");
        assert!(error.is_retryable());
        let count = sql("SELECT count(*) FROM organizations");
        assert_eq!(database.row(count, |mut row| row.take::<i64>()).await.unwrap(), Some(0));
        // Once there is room, it works as before.
        let insert = sql("INSERT INTO organizations (id, name, created_at) VALUES (randomblob(16), 'one', 0)");
        assert_eq!(database.execute(insert).await.unwrap(), 1);
        database.close().await;
    }

    #[tokio::test]
    async fn memory_is_released_also_during_a_write() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await.unwrap();
        let insert =
            || sql("INSERT INTO organizations (id, name, created_at) VALUES (randomblob(16), hex(randomblob(9)), 0)");
        let count = || sql("SELECT count(*) FROM organizations");
        let mut tx = database.begin().await.unwrap();
        tx.execute(insert()).await.unwrap();
        database.release_memory().await.unwrap();
        tx.commit().await.unwrap();
        database.release_memory().await.unwrap();
        assert_eq!(database.execute(insert()).await.unwrap(), 1);
        assert_eq!(database.row(count(), |mut row| row.take::<i64>()).await.unwrap(), Some(2));
        database.close().await;
    }

    #[tokio::test]
    async fn a_damaged_file_and_a_busy_one_have_different_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postern.db");
        std::fs::write(&path, "this is no database, but text that is long enough".repeat(100)).unwrap();
        let error = Database::open(&DatabaseUrl::sqlite(&path)).await.err().unwrap();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_missing_folder_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(&folder.path().join("nowhere").join("postern.db"));
        assert!(matches!(Database::open(&url).await.err().unwrap(), Error::Unavailable(_)));
    }
}
