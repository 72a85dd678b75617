//! A transaction that writes, on either engine.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Executor as _, Postgres, Sqlite};
use tokio::sync::OwnedMutexGuard;

use crate::dialect::{self, Bulk};
use crate::error::{Error, Result};
use crate::sql::{Row, Statement, sql};
use crate::wake::{Wake, Wakes};

/// A transaction that writes. Nothing of it stays unless [`Tx::commit`] succeeds.
pub(crate) struct Tx {
    inner: Inner,
    /// A statement failed that `SQLite` answers by ending the transaction; another one would stand outside of any.
    failed: bool,
    pending: Vec<Wake>,
}

/// What a transaction runs on.
pub(crate) enum Inner {
    Sqlite { slot: OwnedMutexGuard<Option<SqliteConnection>>, connection: Box<SqliteConnection>, wakes: Wakes },
    Postgres(Box<sqlx::Transaction<'static, Postgres>>),
}

impl Tx {
    /// One that has just begun.
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner, failed: false, pending: Vec::new() }
    }

    fn open(&mut self) -> Result<&mut Inner> {
        if self.failed {
            let over = "the transaction is over since one of its statements failed".to_owned();
            return Err(Error::Other(sqlx::Error::Protocol(over)));
        }
        Ok(&mut self.inner)
    }

    /// Carries a statement out and returns the number of rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64> {
        Ok(match self.open()? {
            Inner::Sqlite { connection, .. } => {
                statement.for_sqlite()?.execute(connection.as_mut()).await?.rows_affected()
            }
            Inner::Postgres(tx) => statement.for_postgres()?.execute(&mut ***tx).await?.rows_affected(),
        })
    }

    /// All rows of a statement.
    pub(crate) async fn rows<T>(&mut self, statement: Statement, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        match self.open()? {
            Inner::Sqlite { connection, .. } => {
                let rows = statement.for_sqlite()?.fetch_all(connection.as_mut()).await?;
                rows.into_iter().map(Row::from).map(read).collect()
            }
            Inner::Postgres(tx) => {
                let rows = statement.for_postgres()?.fetch_all(&mut ***tx).await?;
                rows.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// The first row of a statement.
    pub(crate) async fn row<T>(
        &mut self,
        statement: Statement,
        read: impl FnMut(Row) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(statement, read).await?.into_iter().next())
    }

    /// Carries a statement over many rows out and returns the number of rows it changed.
    pub(crate) async fn bulk(&mut self, bulk: Bulk) -> Result<u64> {
        if bulk.is_empty() {
            return Ok(0);
        }
        match self.open()? {
            Inner::Sqlite { .. } => self.in_turn(bulk.for_sqlite()).await,
            Inner::Postgres(tx) => Ok(bulk.for_postgres()?.execute(&mut ***tx).await?.rows_affected()),
        }
    }

    /// The same over many records, of which `make` makes the columns: on `SQLite` of one statement's at a time.
    pub(crate) async fn bulk_of<T>(&mut self, records: Vec<T>, make: impl Fn(Vec<T>) -> Bulk) -> Result<u64> {
        match self.open()? {
            Inner::Sqlite { .. } => self.in_turn(dialect::in_pieces(records, make)).await,
            Inner::Postgres(_) => self.bulk(make(records)).await,
        }
    }

    async fn in_turn(
        &mut self,
        mut queries: impl Iterator<Item = Result<Query<'static, Sqlite, SqliteArguments>>>,
    ) -> Result<u64> {
        let Inner::Sqlite { connection, .. } = self.open()? else { return Ok(0) };
        let (mut changed, mut next) = (0, queries.next());
        while let Some(query) = next {
            // The next statement is made while SQLite's thread carries this one out.
            let execution = query?.execute(connection.as_mut());
            let (done, following) = tokio::join!(biased; execution, async { queries.next() });
            next = following;
            match done {
                Ok(done) => changed += done.rows_affected(),
                Err(error) => {
                    self.failed = true;
                    return Err(error.into());
                }
            }
        }
        Ok(changed)
    }

    /// All rows of a statement over many rows.
    pub(crate) async fn bulk_rows<T>(&mut self, bulk: Bulk, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        if bulk.is_empty() {
            return Ok(Vec::new());
        }
        match self.open()? {
            Inner::Sqlite { connection, .. } => bulk.rows_of_sqlite(connection, read).await,
            Inner::Postgres(tx) => {
                let rows = bulk.for_postgres()?.fetch_all(&mut ***tx).await?;
                rows.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// Tells those who listen, once the transaction is committed.
    pub(crate) fn wake(&mut self, wake: Wake) {
        if !self.pending.contains(&wake) {
            self.pending.push(wake);
        }
    }

    /// Leaves everything as it was. Merely dropping a transaction does so too, at the price of its connection.
    pub(crate) async fn rollback(self) -> Result<()> {
        match self.inner {
            // Over already: dropping the connection is all that is left.
            Inner::Sqlite { .. } if self.failed => {}
            Inner::Sqlite { mut slot, mut connection, .. } => {
                connection.execute("ROLLBACK").await?;
                *slot = Some(*connection);
            }
            Inner::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.open()?;
        let pending = std::mem::take(&mut self.pending);
        if let Inner::Postgres(_) = self.inner {
            for wake in &pending {
                let notify = sql("SELECT pg_notify($1, $2)").bind(crate::wake::CHANNEL).bind(wake.to_string());
                self.execute(notify).await?;
            }
        }
        match self.inner {
            Inner::Sqlite { mut slot, mut connection, wakes } => {
                connection.execute("COMMIT").await?;
                *slot = Some(*connection);
                drop(slot);
                for wake in pending {
                    wakes.send(wake);
                }
            }
            Inner::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
