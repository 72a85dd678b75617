//! Cargo tools that the checks need. They are built once into a cache outside of the checkout.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::steps;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The tool's crate: cargo-nextest, cargo-deny, cargo-machete or cargo-fuzz.
    name: String,
    /// What to call it with.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The tools and the versions that were seen to work.
const KNOWN: [(&str, &str); 4] =
    [("cargo-nextest", "0.9"), ("cargo-deny", "0.20"), ("cargo-machete", "0.9"), ("cargo-fuzz", "0.13")];

/// Runs a tool.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut command = command(&arguments.name)?;
    steps::run(&arguments.name, command.args(&arguments.arguments))
}

/// A command for a tool, which is installed into the cache when it is missing.
pub(crate) fn command(name: &str) -> anyhow::Result<Command> {
    let subcommand = name.strip_prefix("cargo-").context("cargo tools are named cargo-…")?;
    let Some((_, version)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        bail!("{name} is not a tool that the checks know");
    };
    let cached = cache()?.join("bin").join(name);
    let mut command = if cached.is_file() {
        Command::new(cached)
    } else if is_installed(name, subcommand) {
        Command::new(name)
    } else {
        let title = format!("building {name} (once; it is kept in {})", cache()?.display());
        let mut install = steps::cargo();
        install.args(["install", "--locked", "--version", &format!("^{version}"), "--root"]).arg(cache()?).arg(name);
        steps::run(&title, &mut install)?;
        Command::new(cached)
    };
    command.current_dir(steps::workspace());
    // Outside of cargo's own environment this one takes its subcommand for a folder.
    if name != "cargo-machete" {
        command.arg(subcommand);
    }
    Ok(command)
}

/// The linker with which programs run on old systems, and what cargo needs for it: Python packages and their versions.
const ZIG: [&str; 2] = ["cargo-zigbuild==0.24.1", "ziglang==0.17.1"];

/// `cargo-zigbuild`, which is installed into the cache when it is missing.
pub(crate) fn zigbuild() -> anyhow::Result<Command> {
    let folder = cache()?.join("zigbuild");
    let program = folder.join("bin/cargo-zigbuild");
    if !program.is_file() {
        let title = format!("installing {} (once; it is kept in {})", ZIG.join(" "), folder.display());
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).args(ZIG);
        steps::run(&title, &mut install)?;
    }
    let mut command = Command::new(program);
    command.current_dir(steps::workspace()).env("CARGO_ZIGBUILD_ZIG_PATH", folder.join("ziglang/zig"));
    Ok(command)
}

fn is_installed(name: &str, subcommand: &str) -> bool {
    let mut version = Command::new(name);
    version.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Where tools are kept, outside of the checkout.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set: there is no place for tools")?.join("postern-tools"))
}
