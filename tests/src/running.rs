//! The processes of this program that have been started and not yet waited for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static RUNNING: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

/// The processes that were started and have not been waited for: name and id.
pub fn names() -> Vec<String> {
    now().iter().map(|(pid, name)| format!("{name} ({pid})")).collect()
}

/// The table itself.
pub(crate) fn now() -> std::sync::MutexGuard<'static, BTreeMap<u32, String>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
