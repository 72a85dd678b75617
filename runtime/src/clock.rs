//! Time as a parameter: production code sleeps on the system's clock, tests turn a clock by hand.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

/// The time of day and the passing of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock's time.
    fn now(&self) -> Timestamp;

    /// Ends after `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// A clock that many parts of a program share.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the machine. Sleeping is monotonic; a wall clock that is set does not disturb it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock, ready to be passed on.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until a test advances it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(start)) }
    }

    /// This clock, ready to be passed on; keep the original to turn it.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }

    /// Turns the clock forward and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = later(*now, by));
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, to: Timestamp) {
        self.now.send_replace(to);
    }

    /// How many sleeps wait on this clock, so that a test knows when to turn it.
    pub fn sleepers(&self) -> usize {
        self.now.receiver_count()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let deadline = later(self.now(), duration);
        let mut now = self.now.subscribe();
        let sender = Arc::clone(&self.now);
        Box::pin(async move {
            // The sender lives as long as this future, so waiting cannot fail.
            let _ = now.wait_for(|now| *now >= deadline).await;
            drop(sender);
        })
    }
}

/// `from` plus `by`, or the end of time where that would be later.
fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_sleep_ends_when_the_clock_is_turned_far_enough() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let mut sleep = clock.sleep(Duration::from_secs(10));
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_secs(9));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!((&mut sleep).now_or_never().is_some());
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
        assert_eq!(clock.now().as_second(), 10);
    }

    #[test]
    fn a_sleep_that_would_outlast_time_itself_is_no_panic() {
        let clock = ManualClock::new(Timestamp::MAX);
        let _sleep = clock.sleep(Duration::MAX);
    }
}
