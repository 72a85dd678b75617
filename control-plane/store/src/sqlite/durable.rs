//! Waits until committed transactions are on the disk. One flush serves all that were committed before it began, so many
//! writers at once cost one, and the next transaction goes on meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::blocking::blocking;
use crate::error::{EngineError, Error, Result};

/// The write-ahead log of a file, and how much of it is on the disk.
#[derive(Clone)]
pub(super) struct Durable(Arc<State>);

struct State {
    log: PathBuf,
    committed: AtomicU64,
    /// The last transaction that is on the disk.
    flushed: tokio::sync::Mutex<u64>,
    /// A flush has failed. What of the log is on the disk is unknown then, also after a later one that succeeds.
    is_lost: AtomicBool,
}

/// A committed transaction.
#[derive(Clone, Copy)]
pub(super) struct Committed(u64);

impl Durable {
    pub(super) fn new(file: &Path) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let (committed, flushed, is_lost) =
            (AtomicU64::default(), tokio::sync::Mutex::default(), AtomicBool::default());
        Self(Arc::new(State { log: log.into(), committed, flushed, is_lost }))
    }

    /// Counts a transaction that was just committed; to be called before the next one begins.
    pub(super) fn committed(&self) -> Committed {
        Committed(self.0.committed.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Fails if nothing more can be kept.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.is_lost.load(Ordering::SeqCst) { Err(Error::Unavailable(EngineError::Lost)) } else { Ok(()) }
    }

    /// Waits until a transaction is on the disk.
    pub(super) async fn flushed(&self, Committed(number): Committed) -> Result<()> {
        let mut flushed = self.0.flushed.lock().await;
        self.check()?;
        if *flushed >= number {
            return Ok(());
        }
        let until = self.0.committed.load(Ordering::SeqCst);
        let state = Arc::clone(&self.0);
        blocking(move || {
            flush(&state.log).map_err(|error| {
                state.is_lost.store(true, Ordering::SeqCst);
                tracing::error!(%error, "store.not_durable: nothing is written any more until the next start");
                Error::Unavailable(error.into())
            })
        })
        .await?;
        *flushed = until;
        Ok(())
    }
}

/// Where there is no log, all of it is in the file itself, and on the disk.
fn flush(log: &Path) -> std::io::Result<()> {
    match File::open(log) {
        Ok(log) => log.sync_data(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_flush_serves_all_that_were_committed_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::new(&folder.path().join("some.db"));
        let [first, second] = [durable.committed(), durable.committed()];
        durable.flushed(first).await.unwrap();
        // Another flush would fail: a link to itself cannot be opened.
        let log = folder.path().join("some.db-wal");
        std::os::unix::fs::symlink("some.db-wal", &log).unwrap();
        durable.flushed(second).await.unwrap();
        let third = durable.committed();
        assert!(matches!(durable.flushed(third).await, Err(Error::Unavailable(EngineError::File(_)))));
        std::fs::remove_file(&log).unwrap();
        assert!(matches!(durable.flushed(third).await, Err(Error::Unavailable(EngineError::Lost))));
        assert!(durable.check().is_err());
    }
}
