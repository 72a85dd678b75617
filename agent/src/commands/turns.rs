//! Commands that take turns: the site says how many read from its directories at a time, not the control plane.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The commands under way that take turns. Clones share them.
#[derive(Clone, Default)]
pub struct Turns(Arc<Inner>);

#[derive(Default)]
struct Inner {
    taken: Mutex<u32>,
    /// A turn is over.
    over: Notify,
}

/// A turn; it is over when this is dropped.
pub struct Turn(Arc<Inner>);

impl Turns {
    /// Waits for a turn, while as many as allowed are taken. The limit is read anew with each look, for a reload.
    pub async fn take(&self, limit: impl Fn() -> NonZeroU32) -> Turn {
        loop {
            let over = self.0.over.notified();
            {
                let mut taken = self.0.taken();
                if *taken < limit().get() {
                    *taken += 1;
                    return Turn(Arc::clone(&self.0));
                }
            }
            over.await;
        }
    }
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, u32> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.taken() -= 1;
        self.0.over.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn no_more_take_a_turn_than_may() {
        let turns = Turns::default();
        let two = || NonZeroU32::new(2).unwrap();
        let first = turns.take(two).await;
        let _second = turns.take(two).await;
        let mut third = Box::pin(turns.take(two));
        assert!((&mut third).now_or_never().is_none());
        // One that waited and was canceled takes nobody's turn.
        let canceled = Box::pin(turns.take(two)).now_or_never();
        assert!(canceled.is_none());
        drop(first);
        let _third = third.await;
        assert!(turns.take(two).now_or_never().is_none());
        assert!(turns.take(|| NonZeroU32::new(3).unwrap()).now_or_never().is_some(), "a reload has raised it");
    }
}
