//! What surrounds every request: an id, a log line, limits of size and time, and headers that keep browsers
//! from interpreting or storing answers.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Api;
use super::problem::{Kind, Problem, unknown_method, unknown_path};

/// Longest body that is read.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longest body of a request over many objects.
pub(super) const MAX_BULK_BYTES: usize = 1 << 20;

/// The longest body of a request to this path.
pub(super) fn longest_body(path: &str) -> usize {
    if path == "/api/v1/bulk-users" { MAX_BULK_BYTES } else { MAX_BODY_BYTES }
}
/// A request that takes longer is given up. The head of an event stream comes at once, so streams are not concerned.
const TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers that every answer carries.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Puts the layers around all routes.
pub(super) fn around(routes: Router<Api>) -> Router<Api> {
    routes
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(in_time))
        .layer(from_fn(without_nul))
        .layer(CompressionLayer::new())
        .layer(from_fn(accompany))
}

/// Gives the request an id, logs its end, and adds the headers.
async fn accompany(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("api.request", request_id = id, %method, path);
    let started = std::time::Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
    span.in_scope(|| tracing::debug!(status, elapsed_ms, "api.answered"));
    metrics::counter!("postern_api_requests_total", "status" => status.to_string()).increment(1);
    metrics::histogram!("postern_api_request_seconds").record(elapsed_ms / 1_000.0);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// No name, id or text has the character NUL, and PostgreSQL takes none.
async fn without_nul(request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    if request.uri().path().contains("%00") || query.contains("%00") {
        return Problem::new(Kind::InvalidRequest, "The path or the query has the character NUL.").into_response();
    }
    next.run(request).await
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Unavailable, format!("It took longer than {} seconds.", TIMEOUT.as_secs()))
            .cure("Try again in a while.")
            .into_response(),
    }
}

/// A panic in one request is that request's error.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over in its box")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("not a text");
    tracing::error!(panic = text, "api.panicked");
    Problem::new(Kind::Internal, "The control plane could not carry out the request; its log says why.").into_response()
}
