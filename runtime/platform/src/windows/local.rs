//! The agent's answer to `postern-agent status`: a named pipe for this machine, which only administrators, SYSTEM and the
//! agent's own account can open.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeServer, ServerOptions};

use super::raw;

/// Full access for SYSTEM, Administrators and the account of the agent.
const PIPE: &str = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)";
/// All ends of the pipe are taken: the agent answers somebody else just now.
const ERROR_PIPE_BUSY: i32 = 231;
const PAUSE: Duration = Duration::from_millis(20);

/// Where the agent with this state folder answers.
pub fn place(folder: &Path) -> PathBuf {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let folder = folder.to_string_lossy().to_lowercase();
    let name: String = folder.trim_start_matches(r"\\?\").replace(['\\', '/', ':'], "-");
    PathBuf::from(format!(r"\\.\pipe\postern-agent-{name}"))
}

/// The pipe of a running agent.
#[derive(Debug)]
pub struct Listener {
    name: OsString,
    next: NamedPipeServer,
}

impl Listener {
    /// Makes the pipe. A living agent is not disturbed: `AddrInUse`.
    #[expect(clippy::unused_async, reason = "on other systems this waits")]
    pub async fn bind(folder: &Path) -> io::Result<Self> {
        let name = place(folder).into_os_string();
        let mut options = ServerOptions::new();
        match raw::pipe(options.first_pipe_instance(true), &name, PIPE) {
            Ok(next) => Ok(Self { name, next }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(io::ErrorKind::AddrInUse.into()),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next one who asks.
    pub async fn accept(&mut self) -> io::Result<Asker> {
        self.next.connect().await?;
        let next = raw::pipe(&ServerOptions::new(), &self.name, PIPE)?;
        Ok(Asker(std::mem::replace(&mut self.next, next)))
    }
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Asker(NamedPipeServer);

impl Asker {
    /// Answers with one line.
    pub async fn answer(mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line).await?;
        self.0.write_all(b"\n").await?;
        // Closing would throw away what is not read yet: the other end closes first.
        let _ = self.0.read_u8().await;
        Ok(())
    }
}

/// The answer of the agent that runs with this state folder.
pub async fn ask(folder: &Path) -> io::Result<Vec<u8>> {
    let name = place(folder);
    let pipe = loop {
        match ClientOptions::new().open(&name) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => tokio::time::sleep(PAUSE).await,
            opened => break opened?,
        }
    };
    let mut answer = Vec::new();
    BufReader::new(pipe).read_until(b'\n', &mut answer).await?;
    Ok(answer)
}
