//! Accounts that are decided but not committed. An entry that moves while the directory is read may come twice; its
//! second copy must be compared with what the first one wrote, or it would be written twice.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::Notify;

use super::decided::Decided;

/// The keys of new and changed accounts between decision and commit.
#[derive(Debug, Default)]
pub struct InFlight {
    keys: Mutex<HashSet<u128, RandomState>>,
    landed: Notify,
}

impl InFlight {
    /// Enters a decided chunk. `false`, without entering anything, if one of its accounts is in flight: wait with
    /// [`InFlight::landed`] and decide the chunk again.
    pub fn enter(&self, chunk: &Decided) -> bool {
        let mut keys = self.lock();
        if chunk.row_keys().any(|key| keys.contains(&key)) {
            return false;
        }
        keys.extend(chunk.row_keys());
        true
    }

    /// Removes committed keys.
    pub fn leave(&self, keys: &[u128]) {
        let mut under_way = self.lock();
        for key in keys {
            under_way.remove(key);
        }
        if under_way.is_empty() {
            self.landed.notify_one();
        }
    }

    /// Waits until nothing is in flight.
    pub async fn landed(&self) {
        while !self.lock().is_empty() {
            self.landed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u128, RandomState>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
