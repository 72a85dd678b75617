//! `postern-agent run`.

use std::process::ExitCode;

use anyhow::Context as _;
use postern_runtime::telemetry::{self, Format};
use tokio::runtime::Builder;

use super::place::Place;
use crate::app;
use crate::config::Config;

/// Name lookups and files.
const BLOCKING_THREADS: usize = 4;

pub(super) fn execute(place: &Place) -> anyhow::Result<ExitCode> {
    let config = Config::load(place.config.as_deref())?;
    telemetry::init(config.log.format, config.log.filter.as_deref().unwrap_or("info"))
        .context("the log cannot be started")?;
    let state_dir = config.state_dir(place.state_dir.as_deref());
    // One thread for everything: it serves a directory several times faster than directories answer, and glibc gives
    // each further one a heap of its own, which after an import stays as large as the import has made it.
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let ran = runtime.block_on(app::run(config, place.config.as_deref(), &state_dir));
    // A hanging name lookup must not keep the process alive.
    runtime.shutdown_background();
    ran.map(|()| ExitCode::SUCCESS).map_err(|error| match error {
        app::Error::Config(config) => config.into(),
        other => other.into(),
    })
}

/// The form of the log: what ends the service is said in it too.
pub(super) fn log_format(place: &Place) -> Format {
    let config = Config::load(place.config.as_deref());
    config.map_or_else(|_| telemetry::asked_for("POSTERN_AGENT__LOG__FORMAT"), |config| config.log.format)
}
