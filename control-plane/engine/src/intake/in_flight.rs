//! Accounts that are decided and not yet committed. An entry may come twice, when it moves while the directory is read; its
//! second copy must see what the first one wrote, or the same would be written twice.

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
    /// Enters a decided chunk. `false`, and nothing entered, when one of its accounts is under way already: wait
    /// with [`InFlight::landed`] and decide the chunk again.
    pub fn enter(&self, chunk: &Decided) -> bool {
        let mut keys = self.lock();
        if chunk.row_keys().any(|key| keys.contains(&key)) {
            return false;
        }
        keys.extend(chunk.row_keys());
        true
    }

    /// Takes out what has been committed.
    pub fn leave(&self, keys: &[u128]) {
        let mut under_way = self.lock();
        for key in keys {
            under_way.remove(key);
        }
        if under_way.is_empty() {
            self.landed.notify_one();
        }
    }

    /// Ends when nothing is under way.
    pub async fn landed(&self) {
        while !self.lock().is_empty() {
            self.landed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u128, RandomState>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
