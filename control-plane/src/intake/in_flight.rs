//! New accounts that are decided and not yet committed. Overlapping searches find an entry twice; its second copy must
//! see the first one's account, or it would be made twice.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::Notify;

use super::decide::Decided;

/// The keys of new accounts between decision and commit.
#[derive(Debug, Default)]
pub struct InFlight {
    keys: Mutex<HashSet<u128, RandomState>>,
    landed: Notify,
}

impl InFlight {
    /// Enters a decided chunk. `false`, and nothing entered, when one of its new accounts is under way already: wait
    /// with [`InFlight::landed`] and decide the chunk again.
    pub fn enter(&self, chunk: &Decided) -> bool {
        let mut keys = self.lock();
        if chunk.new_keys().any(|key| keys.contains(&key)) {
            return false;
        }
        keys.extend(chunk.new_keys());
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
