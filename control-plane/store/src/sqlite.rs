//! `SQLite`: one connection that writes, taken in turn, and a few that read. Its calls block, so each is made on a
//! thread that may.
//!
//! When the volume is full `SQLite` may roll a transaction back by itself, and then only a fresh connection is sure to be
//! outside of one. So whatever does not end well takes its connection with it, which rolls back what was left.

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

pub(crate) use self::run::{Outcome, bulk, execute, rows, rows_within};
use crate::error::{EngineError, Error, Result};

/// How long one process waits for another that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for a free connection that reads …
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// … and for its turn to write, behind all who asked before.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Between two tries to open a file that another process is just turning to write-ahead logging.
const OPEN_PAUSE: Duration = Duration::from_millis(20);
const READERS: u32 = 8;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 250;

/// What a connection that writes is told first. Pages are large: the tables of an import have many indexes, and fewer,
/// fuller pages of them are written. A small change writes less with pages of 4 KB, but a first import takes a fifth longer
/// (docs/benchmarks.md). The cache is large, too (48 MB), and the log may hold 64 MB before it is copied into the
/// file: a transaction of a large import changes nearly every page of some indexes, and the next one changes them again.
const WRITING: &str = "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 4000; \
     PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -49152";
/// The same for one that reads.
const READING: &str = "PRAGMA query_only = ON; PRAGMA temp_store = memory; PRAGMA cache_size = -2048";

/// An open file.
#[derive(Clone)]
pub(crate) struct File {
    path: Arc<Path>,
    /// The connection that writes. Empty after a transaction that did not end well.
    writer: Arc<tokio::sync::Mutex<Option<Connection>>>,
    /// Connections that read and are free.
    readers: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
    /// The last write found no room on the volume.
    full: Arc<AtomicBool>,
}

/// A transaction that writes. Nothing of it stays unless [`Writing::commit`] succeeds.
pub(crate) struct Writing {
    // In this order: whoever waits for its turn finds the transaction over.
    connection: Connection,
    turn: OwnedMutexGuard<Option<Connection>>,
    full: Arc<AtomicBool>,
}

impl File {
    /// Opens it, made if it is not there, and brings its schema up to date; several processes may do so at once.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let own = path.to_owned();
        let connection = blocking(move || {
            let mut connection = first_connection(&own)?;
            migrate::up(&mut connection)?;
            Ok(connection)
        });
        Ok(Self {
            path: path.into(),
            writer: Arc::new(tokio::sync::Mutex::new(Some(connection.await?))),
            readers: Arc::default(),
            reading: Arc::new(Semaphore::new(READERS as usize)),
            full: Arc::default(),
        })
    }

    /// Does something that only reads.
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

    /// Starts a transaction that writes, once all before it are over.
    pub(crate) async fn begin(&self) -> Result<Writing> {
        let turn = tokio::time::timeout(WRITE_TIMEOUT, Arc::clone(&self.writer).lock_owned()).await;
        let mut turn = turn.map_err(|_| Error::Unavailable(EngineError::NoConnection))?;
        let (free, path, full) = (turn.take(), Arc::clone(&self.path), Arc::clone(&self.full));
        let begun = blocking(move || {
            let connection = match free {
                Some(connection) => connection,
                None => connect(&path, WRITING)?,
            };
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok(Writing { connection, turn, full })
        })
        .await;
        notice(&self.full, &begun);
        begun
    }

    /// Whether the last write found no room on the volume.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Gives back what connections that are free keep of the file in memory; they read it anew when they need it.
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

    /// Closes all connections, after which the file may be removed. Later calls fail or, if they write, open it anew.
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
    /// Does something in the transaction. `None` in its place says that the transaction is over: the call was abandoned
    /// under way, or `SQLite` has ended it.
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

    /// Makes everything durable.
    pub(crate) async fn commit(self) -> Result<()> {
        let full = Arc::clone(&self.full);
        let committed = self.end("COMMIT").await;
        notice(&full, &committed);
        if committed.is_ok() {
            full.store(false, Ordering::Relaxed);
        }
        committed
    }

    /// Leaves everything as it was. Merely dropping it does the same, at the price of its connection.
    pub(crate) async fn rollback(self) -> Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(self, how: &'static str) -> Result<()> {
        let Self { connection, mut turn, .. } = self;
        blocking(move || {
            connection.execute_batch(how)?;
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

/// Does something on a thread that may wait for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program ends.
            Err(_) => Err(Error::Unavailable(EngineError::Closed)),
        },
    }
}

fn connect(path: &Path, pragmas: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(PathBuf::from(path), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(pragmas)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Turning a fresh file to write-ahead logging does not wait for another process that is just doing the same.
fn first_connection(path: &Path) -> Result<Connection> {
    for _ in 1..BUSY_TIMEOUT.as_millis() / OPEN_PAUSE.as_millis() {
        match connect(path, WRITING) {
            Err(Error::Unavailable(error)) if error.is_busy() => std::thread::sleep(OPEN_PAUSE),
            other => return other,
        }
    }
    connect(path, WRITING)
}
