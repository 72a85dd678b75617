//! The agent's own log of changes: one JSON object a line, only ever appended to, for this user alone. Without it nothing
//! is written: each change stands here before it is made, and again when its outcome is known.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use postern_platform::files;
use postern_runtime::ownership;
use serde::Serialize;

const FILE: &str = "audit.jsonl";
/// A file that would be larger is put aside.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Files that were put aside: `audit.jsonl.1` is the newest.
const KEPT: u32 = 9;

/// The log.
#[derive(Debug)]
pub(crate) struct AuditLog {
    path: PathBuf,
    max_bytes: u64,
    /// One line at a time.
    turn: Mutex<()>,
}

impl AuditLog {
    /// The log in this folder. It is made with its first line.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self::bounded(state_dir, MAX_BYTES)
    }

    fn bounded(state_dir: &Path, max_bytes: u64) -> Self {
        Self { path: state_dir.join(FILE), max_bytes, turn: Mutex::new(()) }
    }

    /// Appends a line. It is whole in the file, or an error.
    pub(crate) fn append(&self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, mut length) = self.open()?;
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > 0 && length.saturating_add(added) > self.max_bytes {
            self.put_aside()?;
            (file, length) = self.open()?;
        }
        // The disk may be full halfway: no half line is left for the next one to be glued to.
        file.write_all(&bytes).inspect_err(|_| drop(file.set_len(length)))
    }

    /// Opened for each line, so that a file which somebody moved or removed is begun anew.
    fn open(&self) -> io::Result<(File, u64)> {
        ownership::check_file(&self.path).map_err(io::Error::other)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        ownership::no_follow(&mut options);
        files::private(&mut options);
        let file = options.open(&self.path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    fn put_aside(&self) -> io::Result<()> {
        let aside = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..KEPT).rev() {
            match std::fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, aside(1))
    }
}

#[cfg(all(test, unix))]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::{Value, json};

    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_appended_across_restarts_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3 {
            let log = AuditLog::new(folder.path());
            log.append(&json!({ "number": number, "dn": "uid=a\n\u{202e}" })).unwrap();
        }
        let path = folder.path().join(FILE);
        assert_eq!(lines(&path).iter().map(|line| line["number"].clone()).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::bounded(folder.path(), 100);
        for number in 0..200 {
            log.append(&json!({ "number": number, "words": "some words to fill a line" })).unwrap();
        }
        let count = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(count, 1 + usize::try_from(KEPT).unwrap());
        assert_eq!(lines(&log.path).last().unwrap()["number"], 199);
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().len() <= 100);
        }
    }

    #[test]
    fn a_log_that_is_a_link_or_a_folder_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "").unwrap();
        let log = AuditLog::new(folder.path());
        std::os::unix::fs::symlink(&elsewhere, &log.path).unwrap();
        assert!(log.append(&1).is_err());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "");
        std::fs::remove_file(&log.path).unwrap();
        std::fs::create_dir(&log.path).unwrap();
        assert!(log.append(&1).is_err());
        std::fs::remove_dir(&log.path).unwrap();
        assert!(log.append(&1).is_ok(), "it goes on by itself");
    }
}
