//! What asks the process to stop (Ctrl-C, the service manager), and to read its configuration again
//! (`sc.exe control PosternAgent paramchange`).

use std::io;

use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

use super::status;

/// Requests to stop.
#[derive(Debug)]
pub struct Stops {
    interrupt: CtrlC,
    broken: CtrlBreak,
}

impl Stops {
    /// Listens from now on; the error names the signal. Must be called inside a tokio runtime.
    pub fn listen() -> Result<Self, (&'static str, io::Error)> {
        let failed = |name| move |source| (name, source);
        Ok(Self { interrupt: ctrl_c().map_err(failed("Ctrl-C"))?, broken: ctrl_break().map_err(failed("Ctrl-Break"))? })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.broken.recv() => "Ctrl-Break",
            () = status::STOP.notified() => "service manager",
        }
    }
}

/// Requests to read the configuration again.
#[derive(Debug)]
pub struct Reloads(());

impl Reloads {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Waits for the next one.
    pub async fn recv(&mut self) -> Option<()> {
        status::RELOAD.notified().await;
        Some(())
    }
}
