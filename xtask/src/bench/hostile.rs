//! `bench hostile`: the test `site_policy::hostile` with many more forbidden operations.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::figures::Figures;

/// What the test reads.
const VARIABLE: &str = "POSTERN_HOSTILE_TRIES";
const TEST: &str = "site_policy::hostile::a_hostile_control_plane_gets_nothing_written";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many forbidden operations.
    #[arg(long, default_value_t = 100_000)]
    tries: u32,
}

/// Ends with an error if one of them went through, or the server has logged a request to change something.
pub(crate) fn run(arguments: &Arguments) -> Result<Figures> {
    let test = |further: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--workspace", "--test", "scenarios"]).args(further);
        let status = cargo.env(VARIABLE, arguments.tries.to_string()).status().context("cargo cannot be started")?;
        ensure!(status.success(), "something forbidden was done, or the test did not run");
        anyhow::Ok(())
    };
    test(&["--no-run"])?;
    let began = Instant::now();
    test(&["--", "--exact", TEST, "--nocapture"])?;
    let seconds = began.elapsed().as_secs_f64();
    let mut figures = Figures::new("forbidden operations, none of which reached the directory".to_owned());
    figures.row("tried", &[("count", f64::from(arguments.tries)), ("wall_s", seconds)]);
    Ok(figures)
}
