//! Folders of packages.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps;

/// Writes the checksums of all files in a folder.
pub(super) fn checksums(folder: &Path) -> Result<()> {
    let mut sums = Command::new("sh");
    let script =
        "find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\\n' | sort | xargs sha256sum -- > SHA256SUMS";
    steps::run("checksums", sums.args(["-c", script]).current_dir(folder))
}

/// An empty folder.
pub(super) fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
