//! `bench command`: how long an empty command takes from REST through job, stream and agent until its outcome shows.

use std::time::{Duration, Instant};

use anyhow::Result;
use postern_tests::Stage;
use postern_tests::control_plane::ControlPlane;
use postern_tests::fleet::Fleet;
use serde_json::json;

use super::figures::{Figures, percentile_ms};
use crate::line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many commands are sent, one after the other.
    #[arg(long, default_value_t = 200)]
    commands: u32,
    /// How many agents are connected in the second half, the one that is asked among them; in the first it is alone.
    #[arg(long, default_value_t = 1000)]
    agents: u32,
}

/// Measures with one agent, and with many.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    let binaries = line::build(line::MEASURED)?;
    let fleet_program = line::build_fleet()?;
    let mut figures = Figures::new(format!("round trip of {} empty commands, one after the other", arguments.commands));
    for agents in [1, arguments.agents] {
        let stage = Stage::new()?;
        let control_plane = ControlPlane::start(&stage, line::options(&binaries, None)).await?;
        let api = control_plane.organization("Fleet").await?;
        let _fleet = Fleet::start(&stage, &fleet_program, &api, &control_plane.metrics()?, agents).await?;
        let mut taken = Vec::new();
        for _ in 0..arguments.commands {
            taken.push(round_trip(&api).await?);
        }
        taken.sort_unstable();
        figures.row(
            format!("{agents} connected"),
            &[("p50_ms", percentile_ms(&taken, 0.5)), ("p99_ms", percentile_ms(&taken, 0.99))],
        );
    }
    Ok(figures)
}

/// One `test_connection` on the first simulated directory, whose diagnosis has a single row.
async fn round_trip(api: &postern_tests::api::Api) -> Result<Duration> {
    let began = Instant::now();
    let job = api.start_job("test_connection", &Fleet::directory(0), json!({})).await?;
    // Asked again at once: the event stream reports changes at most every 50 ms, which would dominate the measurement.
    loop {
        let job = api.job(&job.id).await?;
        if job.is_over() {
            job.expect("succeeded")?;
            return Ok(began.elapsed());
        }
    }
}
