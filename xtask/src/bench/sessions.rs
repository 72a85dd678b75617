//! `bench sessions`: thousands of connected agents, as simulated agents with real keys, certificates and streams.

use std::time::{Duration, Instant};

use anyhow::Result;
use postern_tests::control_plane::ControlPlane;
use postern_tests::fleet::Fleet;
use postern_tests::process::Usage;
use postern_tests::{Stage, wait};

use super::figures::{Figures, cpu_between};
use crate::line;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many agents connect.
    #[arg(long, default_value_t = 10_000)]
    agents: u32,
    /// How long the idle agents are watched, in seconds. An answer to a beat comes every third time, so that 90 is a cycle.
    #[arg(long, default_value_t = 90)]
    idle: u64,
}

/// Longest that enrolling or coming back may take.
const BOUND: Duration = Duration::from_mins(10);

/// Measures memory, keepalives and a restart.
pub(crate) async fn run(arguments: &Arguments) -> Result<Figures> {
    let binaries = line::build(line::MEASURED)?;
    let fleet_program = line::build_fleet()?;
    let mut figures = Figures::new(format!("{} agents on one control plane", arguments.agents));
    let stage = Stage::new()?;
    let mut control_plane = ControlPlane::start(&stage, line::options(&binaries, None)).await?;
    let api = control_plane.organization("Fleet").await?;
    let empty = control_plane.process()?.usage()?;
    let began = Instant::now();
    let metrics = control_plane.metrics()?;
    let fleet = Fleet::start(&stage, &fleet_program, &api, &metrics, arguments.agents).await?;
    figures.row("enrolled and connected", &[("wall_s", began.elapsed().as_secs_f64())]);

    let full = control_plane.process()?.usage()?;
    figures.row("memory", &[("kb_per_agent", kilobytes_each(&empty, &full, arguments.agents))]);
    tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
    let idle = control_plane.process()?.usage()?;
    figures.row(
        "idle",
        &[
            (
                "percent_of_a_core",
                cpu_between(&full, &idle) * 100.0 / Duration::from_secs(arguments.idle).as_secs_f64(),
            ),
            ("kb_per_agent", kilobytes_each(&empty, &idle, arguments.agents)),
        ],
    );

    control_plane.kill().await?;
    let began = Instant::now();
    control_plane.run(&stage).await?;
    let ready = began.elapsed();
    let fresh = control_plane.process()?.usage()?;
    wait::until_true("all agents are back", BOUND, || async {
        Ok(fleet.connected(&metrics).await? >= u64::from(arguments.agents))
    })
    .await?;
    let back = control_plane.process()?.usage()?;
    figures.row(
        "restart",
        &[
            ("ready_s", ready.as_secs_f64()),
            ("all_back_s", began.elapsed().as_secs_f64()),
            ("server_cpu_ms_per_agent", cpu_between(&fresh, &back) * 1e3 / f64::from(arguments.agents)),
            ("kb_per_agent", kilobytes_each(&fresh, &back, arguments.agents)),
        ],
    );
    Ok(figures)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn kilobytes_each(before: &Usage, after: &Usage, agents: u32) -> f64 {
    after.resident_bytes.saturating_sub(before.resident_bytes) as f64 / 1024.0 / f64::from(agents)
}
