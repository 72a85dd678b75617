//! Running other programs, with words for the person who watches.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};

/// The checkout that this program was built from.
pub(crate) fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(workspace());
    // What cargo says to this program about this program. Some build scripts watch it, and what they build would be
    // built anew each time that somebody calls cargo directly in between.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts what it builds with `profile`.
pub(crate) fn built(profile: &str) -> PathBuf {
    target().join(if profile == "dev" { "debug" } else { profile })
}

/// Cargo's folder for everything that it makes.
pub(crate) fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    workspace().join(target)
}

/// Runs a command to its end; its failure is ours, and says what was run.
pub(crate) fn run(title: &str, command: &mut Command) -> anyhow::Result<()> {
    // Standard output is for results only, so that it can be parsed as JSON.
    eprintln!("» {title}");
    let started = Instant::now();
    let status = command.status().with_context(|| format!("{title}: cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{title}: `{}` ended with {status}", shown(command));
    }
    eprintln!("  {title}: done in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command that has nothing to show; its failure is ours.
pub(crate) fn quietly(command: &mut Command) -> anyhow::Result<()> {
    output_of(command).map(drop)
}

/// What a command says; its failure is ours.
pub(crate) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}: {}", shown(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Installs the Debian packages whose file is not there: files and their packages.
pub(crate) fn ensure_packages(title: &str, needed: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        needed.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let script = "apt-get install -y -q --no-install-recommends \"$@\" || { apt-get update -q && apt-get install -y -q \
                  --no-install-recommends \"$@\"; }";
    let mut install = Command::new("sh");
    install.args(["-c", script, "install"]).args(&missing).env("DEBIAN_FRONTEND", "noninteractive");
    run(title, &mut install)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The runtime for what the harness does asynchronously.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
