//! Manual pages, completions, licence and changelog of a package.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::build::Build;
use super::program::Program;
use crate::steps;

/// Writes them into `folder`: `man/*.1.gz`, `completions/*`, `changelog.gz`, `LICENSE`.
pub(super) fn write(built: &Build, program: &Program, folder: &Path) -> Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    let mut printing = Command::new(built.program(program.name)?);
    steps::run("manual pages and completions", printing.args(["docs", "files"]).arg(&completions))?;
    fs::create_dir_all(&man)?;
    for file in fs::read_dir(&completions)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "1") {
            fs::rename(&path, man.join(path.file_name().unwrap_or_default()))?;
        }
    }
    fs::copy(steps::workspace().join("LICENSE"), folder.join("LICENSE"))?;
    fs::copy(steps::workspace().join("CHANGELOG.md"), folder.join("changelog"))?;
    compress(&folder.join("changelog"))?;
    for page in fs::read_dir(&man)? {
        compress(&page?.path())?;
    }
    Ok(())
}

/// Compresses a file in its place, the same for the same content.
pub(super) fn compress(file: &Path) -> Result<()> {
    let status = Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(file).status();
    let status = status.context("cannot start gzip")?;
    anyhow::ensure!(status.success(), "gzip {} ended with {status}", file.display());
    Ok(())
}
