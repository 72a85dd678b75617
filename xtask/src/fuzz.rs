//! `cargo xtask fuzz`: every fuzz target for a while. It needs a nightly compiler; without one it says so and
//! the corpora are still replayed by the ordinary tests. What was fuzzed and has not changed since is not fuzzed again.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{steps, tools};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Also where the fuzzed code is the same as at the last time.
    #[arg(long)]
    again: bool,
}

/// What the fuzz targets run, beside the crates of others that the lock names.
const FUZZED: [&str; 6] = [
    "fuzz",
    "proto",
    "directory",
    "agent/src/wire.rs",
    "control-plane/engine/src/wire.rs",
    "control-plane/engine/src/kinds",
];

/// Runs all targets of `fuzz/fuzz_targets`, each from its corpus in `fuzz/corpus`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let nightly =
        Command::new("rustc").args(["+nightly", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !nightly.is_ok_and(|status| status.success()) {
        println!("no nightly compiler here: fuzzing is left out; `cargo xtask test` has replayed the corpora");
        return Ok(());
    }
    let fuzzed = fuzzed()?;
    if let Some(mark) = fuzzed.as_ref().filter(|mark| mark.exists() && !arguments.again) {
        println!("the fuzzed code has not changed since it was fuzzed here ({}): nothing to do", mark.display());
        return Ok(());
    }
    let mut deny = tools::command("cargo-deny")?;
    deny.args(["--manifest-path", "fuzz/Cargo.toml", "check", "bans", "licenses", "sources"]);
    steps::run("dependencies of the fuzz targets", &mut deny)?;
    let folder = steps::workspace().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        targets.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    steps::run("building the fuzz targets", cargo_fuzz()?.arg("build"))?;
    // As many at once as the machine has cores, so that each has its minute.
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    for round in targets.chunks(at_once) {
        println!("» fuzzing {} for {} s", round.join(" and "), arguments.seconds);
        let started = round.iter().map(|target| start(target, arguments.seconds)).collect::<Result<Vec<_>>>()?;
        for (target, child) in round.iter().zip(started) {
            let output = child.wait_with_output().with_context(|| format!("fuzzing {target}"))?;
            let said = String::from_utf8_lossy(&output.stderr);
            if !output.status.success() {
                bail!("fuzzing {target} ended with {}:\n{said}", output.status);
            }
            let runs = said.lines().find(|line| line.starts_with("stat::number_of_executed_units"));
            println!("  {target}: {}", runs.unwrap_or("nothing found"));
        }
    }
    if let Some(mark) = fuzzed {
        fs::create_dir_all(mark.parent().unwrap_or(&mark))?;
        fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
    }
    Ok(())
}

/// The file that says that this code was fuzzed, named by the content of the code; none outside of a checkout, and where
/// changes are not committed.
fn fuzzed() -> Result<Option<PathBuf>> {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).arg("--").args(FUZZED).current_dir(steps::workspace()).output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let (Some(changed), Some(files)) = (git(&["status", "--porcelain"]), git(&["ls-files", "--stage"])) else {
        return Ok(None);
    };
    if !changed.is_empty() || files.is_empty() {
        return Ok(None);
    }
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(Some(tools::cache()?.join("fuzzed").join(format!("{:016x}", hasher.finish()))))
}

fn cargo_fuzz() -> Result<Command> {
    let mut fuzz = tools::command("cargo-fuzz")?;
    fuzz.env("RUSTUP_TOOLCHAIN", "nightly");
    Ok(fuzz)
}

/// Starts one target. What it finds new is kept out of the checkout's corpus; a crash fails the run and names its input.
fn start(target: &str, seconds: u32) -> Result<Child> {
    let found = steps::built("fuzz").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let mut fuzz = cargo_fuzz()?;
    // The first folder is written to, the committed corpus only read.
    fuzz.args(["run", target]).arg(found).arg(steps::workspace().join("fuzz/corpus").join(target)).arg("--");
    fuzz.arg(format!("-max_total_time={seconds}"));
    fuzz.args(["-max_len=4096", "-print_final_stats=1", "-verbosity=0"]);
    fuzz.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    fuzz.spawn().with_context(|| format!("cannot start the fuzzing of {target}"))
}
