//! For tests: the statements that each database file has run, so that tests can check their plans.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use rusqlite::Connection;

type Seen = HashMap<String, BTreeSet<String>>;

static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);

/// Records a statement that a connection is about to run.
pub(super) fn note(connection: &Connection, text: &str) {
    let path = connection.path().unwrap_or_default().to_owned();
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default().insert(text.to_owned());
}

/// The statements that this file has run since the last call.
pub(crate) fn take(path: &Path) -> BTreeSet<String> {
    let path = path.to_string_lossy().into_owned();
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&path).unwrap_or_default()
}
