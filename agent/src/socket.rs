//! The running agent answers `postern-agent status` on a socket in its state directory, which only its own user can
//! open.

use std::io;
use std::path::{Path, PathBuf};

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
    #[error(
        "no agent answers at {path}; is it running, and with this state directory? (systemctl status postern-agent)"
    )]
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
    /// There is no such socket on this system.
    #[error("asking the running agent is not supported on this operating system yet; see its log")]
    Unsupported,
}

#[cfg(unix)]
pub use self::unix::{Listener, ask};

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::time::timeout;

    use super::{Error, Path, PathBuf, Status, io};
    use crate::agent::Agent;

    const FILE: &str = "agent.sock";
    /// Pause after the machine refuses to accept, usually for want of file descriptors.
    const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(5);

    /// The socket of a running agent.
    #[derive(Debug)]
    pub struct Listener {
        listener: UnixListener,
        path: PathBuf,
    }

    impl Listener {
        /// Makes the socket. One that a dead agent left behind is replaced; a living agent is not disturbed.
        pub async fn bind(state_dir: &Path) -> Result<Self, Error> {
            let path = state_dir.join(FILE);
            if UnixStream::connect(&path).await.is_ok() {
                return Err(Error::Running { path });
            }
            let _ = std::fs::remove_file(&path);
            let listen = || {
                let listener = UnixListener::bind(&path)?;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
                Ok(listener)
            };
            let listener = listen().map_err(|source| Error::Listen { path: path.clone(), source })?;
            Ok(Self { listener, path })
        }

        /// Answers requests, one after the other.
        pub async fn serve(self, agent: Arc<Agent>) -> Result<(), io::Error> {
            loop {
                let (mut asker, _) = match self.listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(error = %error, "status_socket.accept_failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let answer = serde_json::to_vec(&agent.status())?;
                // A client that hangs up gets no answer.
                let _ = timeout(PATIENCE, asker.write_all(&answer)).await;
            }
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Asks the agent that runs with this state directory.
    pub async fn ask(state_dir: &Path) -> Result<Status, Error> {
        let path = state_dir.join(FILE);
        let read = async {
            let mut socket = UnixStream::connect(&path).await?;
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await?;
            Ok(answer)
        };
        let answer = timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let answer = answer.map_err(|source| Error::Silent { path: path.clone(), source })?;
        serde_json::from_slice(&answer).map_err(|source| Error::Answer { path, source })
    }
}

/// Asks the agent that runs with this state directory.
#[cfg(not(unix))]
pub async fn ask(_state_dir: &Path) -> Result<Status, Error> {
    Err(Error::Unsupported)
}
