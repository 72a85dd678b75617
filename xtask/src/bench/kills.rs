//! `bench kills`: the rounds of the test `provisioning::kills`, many more of them.

use std::time::Instant;

use anyhow::{Context as _, Result};
use postern_tests::Stage;
use postern_tests::kills::Campaign;

use super::figures::{Figures, percentile_ms};
use crate::line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many kills.
    #[arg(long, default_value_t = 500)]
    kills: u32,
    /// What is changed, and where it is cut, follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Ends at the first round after which the two sides differ, or an effect was not carried out once.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    line::build(line::SHOWN)?;
    let stage = Stage::new()?;
    let mut figures = Figures::new(format!("kills while changes go out, seed {}", arguments.seed));
    let mut campaign = Campaign::start(&stage, arguments.seed).await?;
    let mut taken = Vec::new();
    for round in 0..arguments.kills {
        let began = Instant::now();
        if let Err(error) = campaign.round(&stage).await {
            stage.show_logs();
            return Err(error).with_context(|| format!("round {round}"));
        }
        taken.push(began.elapsed());
    }
    taken.sort_unstable();
    figures.row(
        "rounds",
        &[
            ("count", f64::from(arguments.kills)),
            ("p50_ms", percentile_ms(&taken, 0.5)),
            ("p99_ms", percentile_ms(&taken, 0.99)),
        ],
    );
    Ok(figures)
}
