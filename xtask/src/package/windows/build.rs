//! Builds the agent for Windows.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::compiler::{TARGET, cargo};
use super::std_library;
use crate::package::build::build_name;
use crate::steps;

/// Cargo with everything that a build for Windows needs.
pub(super) fn command(profile: &str, subcommand: &str) -> Result<Command> {
    let sysroot = std_library::sysroot()?;
    let sysroot = sysroot.to_str().context("the cache of tools has a path that is not UTF-8")?;
    let mut command = cargo();
    command.args([subcommand, "--locked", "--profile", profile, "--target", TARGET]);
    command.env("CARGO_TARGET_DIR", target());
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS", format!("--sysroot {sysroot}"));
    Ok(command)
}

/// Apart from what is built for this machine: it has another compiler.
fn target() -> PathBuf {
    steps::target().join("windows")
}

/// The built program.
pub(super) fn program(profile: &str) -> Result<PathBuf> {
    let mut build = command(profile, "build")?;
    build.args(["-p", "postern-agent", "--bins"]);
    build.env("POSTERN_BUILD", build_name(profile, TARGET)?);
    steps::run("building the agent for Windows", &mut build)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target().join(TARGET).join(folder).join("postern-agent.exe"))
}
