//! Rust's standard library for Windows. Debian has its source only; it is built once for each compiler, and kept in the cache
//! of tools.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::compiler::{TARGET, cargo};
use crate::package::out;
use crate::steps::{self, output_of};
use crate::tools;

/// A folder that the compiler takes as its `--sysroot` for programs of Windows.
pub(super) fn sysroot() -> Result<PathBuf> {
    let version = output_of(std::process::Command::new("/usr/bin/rustc").arg("--version"))?;
    let version = version.split_whitespace().nth(1).context("rustc --version names no version")?;
    let folder = tools::cache()?.join(format!("windows-std-{version}"));
    let libraries = |folder: &Path| folder.join("lib/rustlib").join(TARGET).join("lib");
    if libraries(&folder).is_dir() {
        return Ok(folder);
    }
    let unfinished = tools::cache()?.join(format!("windows-std-{version}.unfinished"));
    out::fresh(&unfinished)?;
    let built = build(&unfinished)?;
    let kept = libraries(&unfinished.join("sysroot"));
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(&built).with_context(|| format!("cannot read {}", built.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_library = path.extension() == Some(OsStr::new("rlib"));
        if is_library && !name.to_string_lossy().starts_with("libnothing-") {
            fs::copy(&path, kept.join(name))?;
        }
    }
    fs::rename(unfinished.join("sysroot"), &folder)?;
    fs::remove_dir_all(&unfinished)?;
    Ok(folder)
}

/// Builds the library for a crate without content; where it is then.
fn build(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("nothing");
    fs::create_dir_all(source.join("src"))?;
    fs::write(source.join("src/lib.rs"), "")?;
    let manifest = "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(source.join("Cargo.toml"), manifest)?;
    let mut build = cargo();
    build.current_dir(&source).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", folder.join("target"));
    build.args(["build", "--quiet", "--release", "--target", TARGET]);
    build.args(["-Z", "build-std=std,panic_abort,panic_unwind,proc_macro,test"]);
    steps::run("building the standard library for Windows (once; it is kept)", &mut build)?;
    Ok(folder.join("target").join(TARGET).join("release/deps"))
}
