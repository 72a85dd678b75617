//! The agent for Windows: the program, and a package for Windows Installer. Both are built here, with Debian's compiler, whose
//! standard library comes as source.

mod build;
mod check;
mod compiler;
mod msi;
mod std_library;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::out as folder;
use crate::steps;

/// What this needs here: a program and its Debian package.
const NEEDED: [(&str, &str); 6] = [
    ("/usr/bin/cargo", "cargo-web"),
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/lib/rustlib/src/rust/library/std", "rust-web-src"),
    ("/usr/bin/x86_64-w64-mingw32-g++", "g++-mingw-w64-x86-64"),
    ("/usr/bin/wixl", "wixl"),
    ("/usr/bin/msibuild", "msitools"),
];

/// The program and the package, in the folder `out`, beside what is there for Linux.
pub(crate) fn make(profile: &str, version: Option<&str>, out: &Path) -> Result<()> {
    let program = program(profile)?;
    let version = version.unwrap_or(env!("CARGO_PKG_VERSION"));
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    msi(&program, version, &out.join(format!("postern-agent-{version}-x64.msi")))?;
    let copy = out.join("postern-agent.exe");
    std::fs::copy(&program, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    folder::checksums(out)
}

/// Builds the program, and looks whether it runs on a Windows without further libraries.
pub(crate) fn program(profile: &str) -> Result<PathBuf> {
    steps::ensure_packages("installing what a build for Windows needs", &NEEDED)?;
    let program = build::program(profile)?;
    check::imports(&program)?;
    Ok(program)
}

/// Cargo for Windows, to run something else than [`program`] with.
pub(crate) fn cargo_for(profile: &str, subcommand: &str) -> Result<Command> {
    build::command(profile, subcommand)
}

/// Packages a program.
pub(crate) fn msi(program: &Path, version: &str, package: &Path) -> Result<()> {
    let work = steps::target().join("packaging-windows");
    folder::fresh(&work)?;
    msi::make(program, version, &work, package)?;
    check::tables(package, version)
}
