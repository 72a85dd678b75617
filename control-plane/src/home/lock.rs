//! Lets only one `postern serve` work on a `SQLite` file. The lock is held by the operating system: it ends with the
//! process in any case, and a stale file does not block the next one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use postern_runtime::ownership;

/// Longest text that is read from the lock file of another process.
const MAX_PID_BYTES: u64 = 20;

/// Why this process may not serve a database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process serves it.
    #[error(
        "another postern serve{} already uses {database}; stop it first, or use another --data-dir",
        .pid.as_ref().map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Taken {
        /// The database.
        database: PathBuf,
        /// The other process, if known.
        pid: Option<u32>,
    },
    /// The lock cannot be requested.
    #[error("cannot lock {path}; this user must be able to write it, on a file system that supports locks")]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The right to serve a database file, for as long as this lives.
#[derive(Debug)]
pub(crate) struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// Takes the lock, or names the process that has it. The database file must exist.
    pub(crate) fn take(database: &Path) -> Result<Self, Error> {
        // Resolved, so that two links to one file share a lock.
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let path = beside(&database);
        let failed = |source| Error::Failed { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        ownership::no_follow(&mut options);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Taken { database, pid: read_pid(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Only for the error message above: the operating system decides whether the lock is held.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// The lock file of a database file.
fn beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_by_any_name_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("postern.db");
        std::fs::write(&database, "").unwrap();
        let first = ServeLock::take(&database).unwrap();
        let mut names = vec![database.clone()];
        #[cfg(unix)]
        {
            let link = folder.path().join("link.db");
            std::os::unix::fs::symlink(&database, &link).unwrap();
            names.push(link);
        }
        for name in names {
            let refused = ServeLock::take(&name).unwrap_err();
            let words = refused.to_string();
            assert!(matches!(refused, Error::Taken { pid: Some(pid), .. } if pid == std::process::id()), "{refused:?}");
            assert!(words.contains("postern.db; stop it first"), "{words}");
        }
        drop(first);
        ServeLock::take(&database).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_lock_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (database, victim) = (folder.path().join("postern.db"), folder.path().join("victim"));
        for file in [&database, &victim] {
            std::fs::write(file, "kept").unwrap();
        }
        std::os::unix::fs::symlink(&victim, beside(&database)).unwrap();
        assert!(matches!(ServeLock::take(&database), Err(Error::Failed { .. })));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
    }

    #[test]
    fn a_lock_file_that_was_left_behind_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("postern.db");
        std::fs::write(&database, "").unwrap();
        std::fs::write(beside(&database), "1\nwhatever else stood here").unwrap();
        let _held = ServeLock::take(&database).unwrap();
        assert!(
            matches!(ServeLock::take(&database), Err(Error::Taken { pid: Some(pid), .. }) if pid == std::process::id())
        );
    }
}
