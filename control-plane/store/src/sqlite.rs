//! `SQLite`: one connection that writes, used in turn, and a few that read. Calls block, so each runs on a blocking
//! thread.
//!
//! On a full volume `SQLite` may roll a transaction back by itself, and only a new connection is certainly outside of
//! one. So a transaction that does not end well drops its connection, which rolls it back.

mod blocking;
mod durable;
mod fill;
mod migrate;
mod run;
#[cfg(test)]
pub(crate) mod seen;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedMutexGuard, Semaphore};

pub(crate) use self::blocking::blocking;
use self::durable::Durable;
pub(crate) use self::fill::Filling;
pub(crate) use self::run::{Outcome, bulk, execute, rows, rows_within};
use crate::error::{EngineError, Error, Result};
use crate::ids::TargetId;
use crate::sql::sql;

/// How long one process waits for another that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for a free reading connection …
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// … and for its turn to write, after all earlier calls.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Pause before opening again a file that another process is switching to write-ahead logging.
const OPEN_PAUSE: Duration = Duration::from_millis(20);
const READERS: u32 = 8;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 250;

/// Settings of the connection that writes. Pages are large, because an import's tables have many indexes: fewer, fuller
/// pages are written. With 4 KB a small change writes less, but a first import takes a fifth longer
/// (docs/benchmarks.md). The cache (48 MB) and the log (64 MB) are large, because each transaction of a large import
/// changes nearly every page of some indexes again. A commit does not wait for the disk; [`Durable`] does, for many at once.
const WRITING: &str = "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 4000; \
     PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -49152";
/// Settings of the connection that writes to a file that nobody needs after a crash.
const PASSING: &str = "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 4000; \
     PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384";
/// The targets with marks that are due, which provisioning is woken for. Few targets have a row there.
const MARKED: &str = "SELECT t.id FROM provisioning p JOIN targets t ON t.seq = p.target \
     WHERE EXISTS (SELECT 1 FROM marks m WHERE m.target = p.target AND m.not_before = 0)";
/// Settings of connections that read.
const READING: &str = "PRAGMA query_only = ON; PRAGMA temp_store = memory; PRAGMA cache_size = -2048";

/// Settings of every connection. With an index of its own over the rows of a bulk statement, SQLite reads all users or accounts
/// to find some hundreds: each table has the indexes that it needs.
pub(crate) const AS_EVERYWHERE: &str = "PRAGMA automatic_index = OFF";

/// An open file.
#[derive(Clone)]
pub(crate) struct File {
    path: Arc<Path>,
    /// Settings of the connection that writes.
    settings: &'static str,
    /// The connection that writes. Empty after a transaction that did not end well.
    writer: Arc<tokio::sync::Mutex<Option<Connection>>>,
    /// Free connections that read.
    readers: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
    /// Whether the last write found the volume full.
    full: Arc<AtomicBool>,
    /// Nothing: the file is one that nobody needs after a crash.
    durable: Option<Durable>,
}

/// A write transaction. Without [`Writing::commit`] nothing is stored.
pub(crate) struct Writing {
    // The order matters: the transaction is over before the next writer gets its turn.
    connection: Connection,
    turn: OwnedMutexGuard<Option<Connection>>,
    full: Arc<AtomicBool>,
    durable: Option<Durable>,
}

impl File {
    /// Opens the file, creates it if it does not exist, and updates its schema; several processes may do so at once.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let durable = Some(Durable::new(path));
        Ok(Self { durable, ..Self::open_with(path, WRITING).await? })
    }

    /// Does the same with a file that nobody needs after a crash. It takes less memory, and may be damaged by a crash.
    pub(crate) async fn open_passing(path: &Path) -> Result<Self> {
        Self::open_with(path, PASSING).await
    }

    async fn open_with(path: &Path, settings: &'static str) -> Result<Self> {
        let own = path.to_owned();
        let connection = blocking(move || {
            let mut connection = first_connection(&own, settings)?;
            migrate::up(&mut connection)?;
            Ok(connection)
        });
        Ok(Self {
            path: path.into(),
            settings,
            writer: Arc::new(tokio::sync::Mutex::new(Some(connection.await?))),
            readers: Arc::default(),
            reading: Arc::new(Semaphore::new(READERS as usize)),
            full: Arc::default(),
            durable: None,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a read.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.reading).acquire_owned()).await;
        let turn = match turn {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(Error::Unavailable(EngineError::Closed)),
            Err(_) => return Err(Error::Unavailable(EngineError::NoConnection)),
        };
        let (path, readers) = (Arc::clone(&self.path), Arc::clone(&self.readers));
        blocking(move || {
            let free = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match free {
                Some(connection) => connection,
                None => connect(&path, READING)?,
            };
            let done = work(&connection)?;
            readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(turn);
            Ok(done)
        })
        .await
    }

    /// Starts a write transaction, once all earlier ones are over.
    pub(crate) async fn begin(&self) -> Result<Writing> {
        let durable = self.durable.clone();
        if let Some(durable) = &durable {
            durable.check()?;
        }
        let turn = tokio::time::timeout(WRITE_TIMEOUT, Arc::clone(&self.writer).lock_owned()).await;
        let mut turn = turn.map_err(|_| Error::Unavailable(EngineError::NoConnection))?;
        let (free, path, full) = (turn.take(), Arc::clone(&self.path), Arc::clone(&self.full));
        let settings = self.settings;
        let begun = blocking(move || {
            let connection = match free {
                Some(connection) => connection,
                None => connect(&path, settings)?,
            };
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok(Writing { connection, turn, full, durable })
        })
        .await;
        notice(&self.full, &begun);
        begun
    }

    /// Whether the last write found the volume full.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Releases the caches of free connections; they read again what they need.
    pub(crate) async fn release_memory(&self) -> Result<()> {
        const RELEASE: &str = "PRAGMA shrink_memory";
        let (turn, readers) = (Arc::clone(&self.writer).try_lock_owned(), Arc::clone(&self.readers));
        blocking(move || {
            if let Some(writer) = turn.as_ref().ok().and_then(|turn| turn.as_ref()) {
                writer.execute_batch(RELEASE)?;
            }
            let readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(readers.iter().try_for_each(|reader| reader.execute_batch(RELEASE))?)
        })
        .await
    }

    /// Closes all connections, after which the file may be removed. Later reads fail; a later write opens it again.
    pub(crate) async fn close(&self) {
        let reading = self.reading.acquire_many(READERS).await;
        self.reading.close();
        drop(reading);
        let (writer, readers) = (Arc::clone(&self.writer).lock_owned().await.take(), Arc::clone(&self.readers));
        let closed = blocking(move || {
            readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
            match writer.map(Connection::close) {
                Some(Err((_, error))) => Err(Error::from(error)),
                _ => Ok(()),
            }
        });
        if let Err(error) = closed.await {
            tracing::debug!(%error, "store.close_failed");
        }
    }
}

impl Writing {
    /// Runs work in the transaction. `None` means that the transaction is over: a call was abandoned, or `SQLite` has
    /// ended it.
    pub(crate) async fn work<T: Send + 'static>(
        place: &mut Option<Self>,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(writing) = place.take() else { return Err(Error::Other(EngineError::Over)) };
        let (writing, done) = blocking(move || {
            let done = work(&writing.connection);
            notice(&writing.full, &done);
            Ok((writing, done))
        })
        .await?;
        if !writing.connection.is_autocommit() {
            *place = Some(writing);
        }
        done
    }

    /// Makes everything durable. Returns the targets with marks that are due.
    pub(crate) async fn commit(self) -> Result<Vec<TargetId>> {
        let full = Arc::clone(&self.full);
        let Self { connection, mut turn, durable, .. } = self;
        let counting = durable.clone();
        let committed = blocking(move || {
            let marked: Result<Vec<_>> =
                rows(&connection, &sql(MARKED))?.into_iter().map(|mut row| row.take()).collect();
            connection.execute_batch("COMMIT")?;
            let committed = counting.map(|durable| durable.committed());
            *turn = Some(connection);
            Ok((marked?, committed))
        })
        .await;
        notice(&full, &committed);
        let (marked, committed) = committed?;
        full.store(false, Ordering::Relaxed);
        if let (Some(durable), Some(committed)) = (durable, committed) {
            durable.flushed(committed).await?;
        }
        Ok(marked)
    }

    /// Undoes everything. Dropping it does the same, but loses its connection.
    pub(crate) async fn rollback(self) -> Result<()> {
        let Self { connection, mut turn, .. } = self;
        blocking(move || {
            connection.execute_batch("ROLLBACK")?;
            *turn = Some(connection);
            Ok(())
        })
        .await
    }
}

fn notice<T>(full: &AtomicBool, done: &Result<T>) {
    if matches!(done, Err(Error::StorageFull(_))) {
        full.store(true, Ordering::Relaxed);
    }
}

fn connect(path: &Path, pragmas: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(PathBuf::from(path), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(pragmas)?;
    connection.execute_batch(AS_EVERYWHERE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Opens the first connection. Switching a new file to write-ahead logging does not wait for another process that does
/// the same, so this repeats.
fn first_connection(path: &Path, settings: &str) -> Result<Connection> {
    for _ in 1..BUSY_TIMEOUT.as_millis() / OPEN_PAUSE.as_millis() {
        match connect(path, settings) {
            Err(Error::Unavailable(error)) if error.is_busy() => std::thread::sleep(OPEN_PAUSE),
            other => return other,
        }
    }
    connect(path, settings)
}
