//! `/healthz` (the process lives), `/readyz` (it can serve), `/metrics` (Prometheus).
//!
//! Metrics count over all organizations, so no organization's token may read them: they have a listener of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, FORWARDED, HOST, HeaderName, VIA};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use postern_runtime::clock::SharedClock;
use postern_store::Store;

use super::problem::{Kind, Problem};
use super::{Api, metrics};

const PING_TIMEOUT: Duration = Duration::from_secs(2);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Headers of proxies.
const FORWARDING: [HeaderName; 5] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];
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
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(elsewhere))
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

/// Metrics are not the API's: a page in a browser on this machine, or what a proxy forwards, must not read them.
async fn elsewhere() -> Response {
    Problem::new(Kind::NotFound, "Metrics have an address of their own.")
        .cure("Start `postern serve` with --metrics-listen, and scrape that address.")
        .into_response()
}

async fn scrape(State((metrics, store)): State<(Metrics, Store)>, request: Request) -> Response {
    let local = request.extensions().get::<Local>().is_none_or(|local| is_direct(local.0, request.headers()));
    if !local {
        return Problem::new(Kind::Forbidden, "Metrics are shown to this machine only, by its address.")
            .cure("Scrape them by the address of --metrics-listen, as http://127.0.0.1:PORT/metrics, without a proxy.")
            .into_response();
    }
    let text = format!("{}{}", metrics.handle.render(), metrics::last_imports(&store).await);
    ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}

/// The address that metrics are served on.
#[derive(Clone, Copy, Debug)]
struct Local(SocketAddr);

/// On loopback only who means loopback is answered: a name that somebody made to lead here stands in `Host`, and a proxy
/// says so in its headers.
fn is_direct(own: SocketAddr, headers: &HeaderMap) -> bool {
    if !own.ip().to_canonical().is_loopback() {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
    let means_loopback =
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    means_loopback && !FORWARDING.iter().any(|name| headers.contains_key(name))
}

/// What is served at `--metrics-listen`, which is `own`.
pub(crate) fn metrics_router(metrics: Metrics, store: Store, own: SocketAddr) -> Router {
    Router::new().route("/metrics", get(scrape)).layer(Extension(Local(own))).with_state((metrics, store))
}
