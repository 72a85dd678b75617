//! The agent's answer to `postern-agent status`: a socket in its state folder, which only its own user can open.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

const FILE: &str = "agent.sock";

/// Where the agent with this state folder answers.
pub fn place(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The socket of a running agent.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Makes the socket. One that a dead agent left behind is replaced; a living agent is not disturbed: `AddrInUse`.
    pub async fn bind(folder: &Path) -> io::Result<Self> {
        let path = place(folder);
        if UnixStream::connect(&path).await.is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let _ = std::fs::remove_file(&path);
        // What could not be removed is no living agent, whatever the system calls it.
        let listener = UnixListener::bind(&path).map_err(io::Error::other)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Waits for the next one who asks.
    pub async fn accept(&mut self) -> io::Result<Asker> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Asker(stream))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Asker(UnixStream);

impl Asker {
    /// Answers with one line.
    pub async fn answer(mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line).await
    }
}

/// The answer of the agent that runs with this state folder.
pub async fn ask(folder: &Path) -> io::Result<Vec<u8>> {
    let mut socket = UnixStream::connect(place(folder)).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(answer)
}
