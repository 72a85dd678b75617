//! What takes long to make and is the same for every test: made once for this user, and copied by the tests.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::Launch;

/// The folder of this name. If it is not there, `make` makes it at the path that it gets; others wait meanwhile.
pub(crate) async fn folder(name: &str, make: impl AsyncFnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let kept = cache.join(name);
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if !kept.exists() {
        let unfinished = cache.join(format!("{name}.unfinished"));
        std::fs::remove_dir_all(&unfinished).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        make(&unfinished).await?;
        std::fs::rename(&unfinished, &kept).with_context(|| format!("cannot keep {}", kept.display()))?;
    }
    drop(lock);
    Ok(kept)
}

/// Copies a folder with owners and modes.
pub(crate) async fn copy(from: &Path, to: &Path) -> Result<()> {
    let copy = Launch::new("cp", "cp").args(["-a", "--sparse=always", "--reflink=auto"]);
    copy.arg(from).arg(to).success().await.map(drop)
}

fn cache_folder() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = cache.unwrap_or_else(std::env::temp_dir).join("postern-tests");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
