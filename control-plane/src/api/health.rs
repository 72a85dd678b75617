//! `/healthz` (the process lives), `/readyz` (it can serve), `/metrics` (Prometheus).
//!
//! Metrics count over all organizations, so no organization's token may read them: they have a listener of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, FORWARDED, HOST, HeaderName, VIA};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use postern_engine::services::Services;

use super::problem::{Kind, Problem};
use super::recorder::Metrics;
use super::{Api, metrics};

const PING_TIMEOUT: Duration = Duration::from_secs(2);
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
    let failed = match tokio::time::timeout(PING_TIMEOUT, api.services.ping()).await {
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

async fn scrape(State((metrics, services)): State<(Metrics, Arc<Services>)>, request: Request) -> Response {
    let local = request.extensions().get::<Local>().is_none_or(|local| is_direct(local.0, request.headers()));
    if !local {
        return Problem::new(Kind::Forbidden, "Metrics are shown to this machine only, by its address.")
            .cure("Scrape them by the address of --metrics-listen, as http://127.0.0.1:PORT/metrics, without a proxy.")
            .into_response();
    }
    let text = format!("{}{}", metrics.render(), metrics::last_imports(&services).await);
    ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}

/// The address that metrics are served on.
#[derive(Clone, Copy, Debug)]
struct Local(SocketAddr);

/// On a loopback address, only requests for a loopback name are answered, and none that a proxy passed on. So a web page
/// whose host name leads to this machine cannot read the metrics.
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
pub(crate) fn metrics_router(metrics: Metrics, services: Arc<Services>, own: SocketAddr) -> Router {
    Router::new().route("/metrics", get(scrape)).layer(Extension(Local(own))).with_state((metrics, services))
}
