//! Debian's Rust, which builds for Windows.

use std::path::PathBuf;
use std::process::Command;

use crate::steps;

pub(super) const TARGET: &str = "x86_64-pc-windows-gnu";

/// Debian's cargo, with its own compiler and not the one of the caller.
pub(super) fn cargo() -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once("/usr/bin".into()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(paths.collect::<Vec<PathBuf>>()).unwrap_or(path);
    command.env("PATH", path).env("RUSTC", "/usr/bin/rustc").current_dir(steps::workspace());
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}
