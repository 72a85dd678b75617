//! The end of the process in two stages: *stopping* (take no new work, finish or hand back what is under way), then
//! *cutting* (end now). A signal starts the first, the end of a grace period or a second signal the second.

use std::io;
use std::time::Duration;

use postern_platform::signals::Stops;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;

/// Why the process cannot listen for signals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refuses a signal handler.
    #[error("cannot listen for {signal}")]
    Signal {
        /// The signal.
        signal: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The two stages of shutdown. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stopping: CancellationToken,
    cutting: CancellationToken,
}

impl Shutdown {
    /// A shutdown that only [`stop`](Self::stop) and [`cut`](Self::cut) bring about.
    pub fn new() -> Self {
        Self::default()
    }

    /// A shutdown that SIGTERM and SIGINT (on Windows: Ctrl-C and the service manager) bring about. However stopping began, `grace` later
    /// the rest is cut; so does a second signal at once. Must be called inside a tokio runtime.
    pub fn on_signals(grace: Duration, clock: SharedClock) -> Result<Self, Error> {
        let shutdown = Self::new();
        let signals = Stops::listen().map_err(|(signal, source)| Error::Signal { signal, source })?;
        let watched = shutdown.clone();
        // Not supervised: the supervisor hangs on this very shutdown.
        tokio::spawn(async move { watched.watch(signals, grace, clock).await });
        Ok(shutdown)
    }

    /// Canceled when no new work may start.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Canceled when everything must end at once.
    pub fn cutting(&self) -> &CancellationToken {
        &self.cutting
    }

    /// Begins the first stage.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Begins the second stage (and the first, where it has not begun).
    pub fn cut(&self) {
        self.stopping.cancel();
        self.cutting.cancel();
    }

    async fn watch(self, mut signals: Stops, grace: Duration, clock: SharedClock) {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "process.stopping"),
            () = self.stopping.cancelled() => tracing::info!("process.stopping"),
        }
        self.stop();
        tokio::select! {
            signal = signals.next() => tracing::warn!(signal, "process.cut_by_second_signal"),
            () = clock.sleep(grace) => tracing::warn!(grace_ms = grace.as_millis(), "process.cut_after_grace"),
            () = self.cutting.cancelled() => {}
        }
        self.cut();
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn stopping_by_itself_is_cut_after_the_grace() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let shutdown = Shutdown::on_signals(Duration::from_secs(30), clock.shared()).unwrap();
        shutdown.stop();
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!shutdown.cutting().is_cancelled());
        clock.advance(Duration::from_secs(30));
        shutdown.cutting().cancelled().await;
    }

    #[test]
    fn cutting_implies_stopping() {
        let shutdown = Shutdown::new();
        shutdown.clone().cut();
        assert!(shutdown.stopping().is_cancelled() && shutdown.cutting().is_cancelled());
    }
}
