//! The running agent answers `postern-agent status` on a socket in its state directory, which only its own user can
//! open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postern_platform::local;
use tokio::time::timeout;

use crate::agent::Agent;
use crate::status::Status;

/// What is wrong with the status socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody answers there already.
    #[error("another agent runs with this state directory already (it answers at {path})")]
    Running {
        /// The socket.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("cannot listen at {path} (a shorter state directory may help: such paths have a limit of about 100 bytes)")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody answers.
    #[error("no agent answers at {path}; is it running, and with this state directory? (postern-agent service status)")]
    Silent {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was answered is no status.
    #[error("the agent at {path} sent an unexpected answer; is it another release?")]
    Answer {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Pause after the machine refuses to accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(5);

/// The socket of a running agent.
#[derive(Debug)]
pub struct Listener(local::Listener);

impl Listener {
    /// Makes the socket. One that a dead agent left behind is replaced; a living agent is not disturbed.
    pub async fn bind(state_dir: &Path) -> Result<Self, Error> {
        let path = local::place(state_dir);
        match local::Listener::bind(state_dir).await {
            Ok(listener) => Ok(Self(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Error::Running { path }),
            Err(source) => Err(Error::Listen { path, source }),
        }
    }

    /// Answers requests, one after the other.
    pub async fn serve(mut self, agent: Arc<Agent>) -> Result<(), io::Error> {
        loop {
            let asker = match self.0.accept().await {
                Ok(asker) => asker,
                Err(error) => {
                    tracing::warn!(error = %error, "status_socket.accept_failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let answer = serde_json::to_vec(&agent.status())?;
            // A client that hangs up gets no answer.
            let _ = timeout(PATIENCE, asker.answer(&answer)).await;
        }
    }
}

/// Asks the agent that runs with this state directory.
pub async fn ask(state_dir: &Path) -> Result<Status, Error> {
    let path = local::place(state_dir);
    let answer = timeout(PATIENCE, local::ask(state_dir)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|source| Error::Silent { path: path.clone(), source })?;
    serde_json::from_slice(&answer).map_err(|source| Error::Answer { path, source })
}
