//! `cargo xtask fuzz`: every fuzz target for a while. It needs a nightly compiler; without one it says so and
//! the corpora are still replayed by the ordinary tests.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::{steps, tools};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs all targets of `fuzz/fuzz_targets`, each from its corpus in `fuzz/corpus`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let nightly =
        Command::new("rustc").args(["+nightly", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !nightly.is_ok_and(|status| status.success()) {
        println!("no nightly compiler here: fuzzing is left out; `cargo xtask test` has replayed the corpora");
        return Ok(());
    }
    let folder = steps::workspace().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        targets.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    for target in targets {
        let mut fuzz = tools::command("cargo-fuzz")?;
        fuzz.env("RUSTUP_TOOLCHAIN", "nightly").args(["run", &target, "--"]);
        // What it finds is kept outside of the committed corpus; a crash fails the run and names its input.
        fuzz.arg(format!("-max_total_time={}", arguments.seconds)).args(["-max_len=4096", "-print_final_stats=1"]);
        steps::run(&format!("fuzzing {target} for {} s", arguments.seconds), &mut fuzz)?;
    }
    Ok(())
}
