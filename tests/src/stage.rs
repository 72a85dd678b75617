//! The place where a scenario plays: one temporary folder for everything it starts, and the logs shown when it fails.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::running;

/// Lines of each log shown when a scenario fails.
const SHOWN_LINES: usize = 60;

/// What the folders of stages begin with, followed by the id of the process that they belong to.
const PREFIX: &str = "postern-stage-";

/// A temporary folder, removed with everything in it when dropped.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
}

impl Stage {
    /// A fresh folder under the system's temporary folder.
    pub fn new() -> Result<Self> {
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().context("no temporary folder")?;
        // Servers that refuse to run as root must be able to reach their own folder in it.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).context("temporary folder's mode")?;
        Ok(Self { folder })
    }

    /// The folder itself; processes log into `NAME.log` in it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Creates a folder of its own for a part: `name`, or `name-2`, `name-3` … when taken.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.unused(name, "");
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// A path for the log of a process that no other process of this stage has.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.unused(name, ".log")
    }

    fn unused(&self, name: &str, suffix: &str) -> PathBuf {
        let first = self.path().join(format!("{name}{suffix}"));
        if !first.exists() {
            return first;
        }
        let mut count = 2_u32;
        loop {
            let path = self.path().join(format!("{name}-{count}{suffix}"));
            if !path.exists() {
                return path;
            }
            count += 1;
        }
    }

    /// Prints the end of every log to standard error.
    pub fn show_logs(&self) {
        let Ok(files) = std::fs::read_dir(self.path()) else { return };
        let mut logs: Vec<_> = files.flatten().map(|file| file.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        for log in logs {
            let bytes = std::fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            let shown = lines.len().min(SHOWN_LINES);
            eprintln!("--- {} (last {shown} of {} lines)", log.display(), lines.len());
            lines[lines.len() - shown..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Removes the folders of processes that are no more: those that were killed could not do it themselves.
fn sweep() {
    if std::env::var_os("POSTERN_TESTS_KEEP").is_some() {
        return;
    }
    let Ok(folders) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for folder in folders.flatten() {
        let name = folder.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may be sweeping the same.
            std::fs::remove_dir_all(folder.path()).ok();
        }
    }
}

/// Shows the logs when a scenario panics (a failed assertion): they go with the stage a moment later.
struct LogsOnPanic<'stage>(&'stage Stage);

impl Drop for LogsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.show_logs();
        }
    }
}

/// Plays a scenario on a stage of its own and clears it away, whatever happens.
///
/// Fails when the scenario does, after showing what its processes logged, and when it left a process running.
/// With `POSTERN_TESTS_KEEP` set, the folder of a failed scenario stays.
pub fn scenario(body: impl AsyncFnOnce(&Stage) -> Result<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut stage = Stage::new()?;
    let outcome = {
        let _logs = LogsOnPanic(&stage);
        runtime.block_on(body(&stage))
    };
    if let Err(error) = outcome {
        stage.show_logs();
        if std::env::var_os("POSTERN_TESTS_KEEP").is_some() {
            stage.folder.disable_cleanup(true);
        }
        return Err(error);
    }
    let left = running::names();
    ensure!(left.is_empty(), "processes left running: {left:?}");
    Ok(())
}
