//! What asks the process to stop (SIGTERM, SIGINT), and to read its configuration again (SIGHUP).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests to stop.
#[derive(Debug)]
pub struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Listens from now on; the error names the signal. Must be called inside a tokio runtime.
    pub fn listen() -> Result<Self, (&'static str, io::Error)> {
        let failed = |name| move |source| (name, source);
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed("SIGTERM"))?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed("SIGINT"))?,
        })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Requests to read the configuration again.
#[derive(Debug)]
pub struct Reloads(Signal);

impl Reloads {
    /// Listens from now on. Must be called inside a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; `None`: there will be none.
    pub async fn recv(&mut self) -> Option<()> {
        self.0.recv().await
    }
}
