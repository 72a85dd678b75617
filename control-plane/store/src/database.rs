//! The two engines behind one face: how they are opened, read, and written in transactions.
//!
//! `SQLite` has one writer, taken in turn, and a few readers. The writer's transactions are ours, not sqlx's: when the
//! volume is full `SQLite` may roll back by itself, and then only a fresh connection is sure to be outside of one. So
//! any transaction that does not end well takes its connection with it, which rolls back whatever was left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Postgres, Sqlite};
use tokio::sync::Mutex;

use crate::address::{Address, DatabaseUrl};
use crate::dialect::Bulk;
use crate::error::{Error, Result};
use crate::sql::{Row, Statement};
use crate::transaction::{Inner, Tx};
use crate::wake::Wakes;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long one process waits for another that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Large pages: the tables of an import have many indexes, and fewer, fuller pages of them are written.
const SQLITE_PAGE_BYTES: u32 = 16 << 10;
const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 20;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 250;

/// Which engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A `SQLite` file.
    Sqlite,
    /// A `PostgreSQL` server.
    Postgres,
}

/// An open database.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite { writer: Writer, readers: SqlitePool, wakes: Wakes },
    Postgres { pool: PgPool },
}

/// The one connection that writes to the file.
#[derive(Clone)]
pub(crate) struct Writer {
    options: Arc<SqliteConnectOptions>,
    /// Empty after a transaction that did not end well.
    slot: Arc<Mutex<Option<SqliteConnection>>>,
}

impl Database {
    /// Opens it and brings the schema up to date; several processes may do so at once.
    pub(crate) async fn open(url: &DatabaseUrl) -> Result<Self> {
        match url.address() {
            Address::Sqlite(path) => open_sqlite(path).await,
            Address::Postgres(options) => open_postgres(options.as_ref().clone()).await,
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            Self::Sqlite { .. } => Backend::Sqlite,
            Self::Postgres { .. } => Backend::Postgres,
        }
    }

    /// All rows of a statement that only reads.
    pub(crate) async fn rows<T>(&self, statement: Statement, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        match self {
            Self::Sqlite { readers, .. } => {
                statement.for_sqlite()?.fetch_all(readers).await?.into_iter().map(Row::from).map(read).collect()
            }
            Self::Postgres { pool } => {
                statement.for_postgres()?.fetch_all(pool).await?.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// The first row of a statement that only reads.
    pub(crate) async fn row<T>(&self, statement: Statement, read: impl FnMut(Row) -> Result<T>) -> Result<Option<T>> {
        Ok(self.rows(statement, read).await?.into_iter().next())
    }

    /// All rows of a statement over many rows that only reads.
    pub(crate) async fn bulk_rows<T>(&self, bulk: Bulk, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        if bulk.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Sqlite { readers, .. } => {
                let mut connection = readers.acquire().await?;
                bulk.rows_of_sqlite(&mut connection, read).await
            }
            Self::Postgres { pool } => {
                bulk.for_postgres()?.fetch_all(pool).await?.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// Starts a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, wakes, .. } => {
                let mut slot = Arc::clone(&writer.slot).lock_owned().await;
                let mut connection = match slot.take() {
                    Some(connection) => connection,
                    None => writer.options.connect().await?,
                };
                connection.execute("BEGIN IMMEDIATE").await?;
                let wakes = wakes.clone();
                Tx::new(Inner::Sqlite { slot, connection: Box::new(connection), wakes })
            }
            Self::Postgres { pool } => Tx::new(Inner::Postgres(Box::new(pool.begin().await?))),
        })
    }

    /// One statement in a transaction of its own. Returns the number of rows it changed.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64> {
        if let Self::Postgres { pool } = self {
            return Ok(statement.for_postgres()?.execute(pool).await?.rows_affected());
        }
        let mut tx = self.begin().await?;
        let changed = tx.execute(statement).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Closes all connections, after which the file may be removed.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                if let Some(connection) = writer.slot.lock().await.take()
                    && let Err(error) = connection.close().await
                {
                    tracing::debug!(%error, "store.close_failed");
                }
            }
            Self::Postgres { pool } => pool.close().await,
        }
    }
}

async fn open_sqlite(path: &Path) -> Result<Database> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(SQLITE_PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", "-32768")
        .pragma("wal_autocheckpoint", "1000")
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let mut connection = first_connection(&options).await?;
    // One transaction around all migrations: a second process waits for it, and finds them done.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE_MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(Error::Migrate)?;
    tx.commit().await?;
    let reading = options.clone().pragma("query_only", "on").pragma("cache_size", "-4096");
    let readers = PoolOptions::<Sqlite>::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(reading);
    let writer = Writer { options: Arc::new(options), slot: Arc::new(Mutex::new(Some(connection))) };
    Ok(Database::Sqlite { writer, readers, wakes: Wakes::default() })
}

/// Turning a fresh file to write-ahead logging does not wait for another process that is just doing the same.
async fn first_connection(options: &SqliteConnectOptions) -> Result<SqliteConnection> {
    const PAUSE: Duration = Duration::from_millis(20);
    let tries = BUSY_TIMEOUT.as_millis() / PAUSE.as_millis();
    for _ in 1..tries {
        match options.connect().await.map_err(Error::from) {
            Err(Error::Unavailable(error)) if is_busy(&error) => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
    Ok(options.connect().await?)
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.parse::<u32>().is_ok_and(|code| matches!(code & 0xFF, 5 | 6)))
}

/// A plan that was made for an empty table is kept while the table grows, and an import grows tables faster than
/// anybody gathers statistics: so each statement is planned anew. And none of them is worth being compiled.
const POSTGRES_PLANS: [(&str, &str); 2] = [("plan_cache_mode", "force_custom_plan"), ("jit", "off")];

async fn open_postgres(options: PgConnectOptions) -> Result<Database> {
    let pool = PoolOptions::<Postgres>::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.options(POSTGRES_PLANS).statement_cache_capacity(STATEMENTS).disable_statement_logging())
        .await?;
    // The migrator takes an advisory lock.
    POSTGRES_MIGRATIONS.run(&pool).await.map_err(Error::Migrate)?;
    Ok(Database::Postgres { pool })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::sql;

    /// Writes until the file may not grow any more.
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
        // Once there is room, it goes on as if nothing had been.
        let insert = sql("INSERT INTO organizations (id, name, created_at) VALUES (randomblob(16), 'one', 0)");
        assert_eq!(database.execute(insert).await.unwrap(), 1);
        database.close().await;
    }

    #[tokio::test]
    async fn a_damaged_file_is_told_from_a_busy_one() {
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
