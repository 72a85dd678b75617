//! `/healthz` (the process lives), `/readyz` (it can serve), `/metrics` (Prometheus).
//!
//! Metrics count over all organizations, so no organization's token may read them: they are answered to loopback only,
//! and not to what a proxy on this machine forwards.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED, HeaderName};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use postern_runtime::clock::SharedClock;

use super::Api;
use super::problem::{Kind, Problem};

const PING_TIMEOUT: Duration = Duration::from_secs(2);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What Prometheus' text format is called.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
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
            let _ = metrics::set_global_recorder(recorder);
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
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.supervisor.shutdown().stopping().is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "The control plane is stopping."));
    }
    let failed = match tokio::time::timeout(PING_TIMEOUT, api.store.ping()).await {
        Ok(Ok(())) => return Ok("ready\n"),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the database does not answer within {} seconds", PING_TIMEOUT.as_secs()),
    };
    tracing::warn!(error = failed, "api.not_ready");
    Err(Problem::new(Kind::Unavailable, format!("The database is not available: {failed}.")))
}

async fn metrics(State(api): State<Api>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let local = peer.is_some_and(|ConnectInfo(address)| address.ip().to_canonical().is_loopback());
    let forwarded = request.headers().contains_key(FORWARDED) || request.headers().contains_key(X_FORWARDED_FOR);
    if !local || forwarded {
        return Problem::new(Kind::Forbidden, "Metrics are shown to this machine only.")
            .cure("Scrape them on the control plane's machine, over its loopback address.")
            .into_response();
    }
    ([(CONTENT_TYPE, TEXT_FORMAT)], api.metrics.handle.render()).into_response()
}
