//! Records what the `metrics` macros count.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use postern_runtime::clock::SharedClock;

use super::metrics;

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Bounds of the histograms, seconds.
const BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The process's metrics, as `/metrics` shows them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Starts recording what the `metrics` macros count; once a process, later calls share it.
    pub fn install() -> Self {
        let handle = RECORDER.get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder.set_buckets(&BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // Another recorder can only be a test's; then there is nothing to show.
            let _ = ::metrics::set_global_recorder(recorder);
            metrics::describe();
            handle
        });
        Self { handle: handle.clone() }
    }

    /// Tidies up what histograms collect between scrapes; to be kept running beside the server.
    pub async fn upkeep(self, clock: SharedClock) {
        loop {
            clock.sleep(UPKEEP_INTERVAL).await;
            self.handle.run_upkeep();
        }
    }

    /// All of them, in Prometheus' text format.
    pub(super) fn render(&self) -> String {
        self.handle.render()
    }
}
