//! How many requests of one token are answered at a time, and how many of one organization read. An answer stays in
//! memory until its caller has read it, so this bounds what many parallel lists, or a caller that reads slowly, cost
//! all others.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::auth::Caller;
use super::problem::{Kind, Problem};
use super::share::{AT_ONCE, READING_AT_ONCE};

/// A request's place in the share of its token, as long as a clone of it exists.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// Waits for a place in the caller's share, and keeps it until the answer is read. An event stream keeps none: it
/// lasts, and holds one event at a time.
pub(super) async fn wait(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    let stopping = || Problem::new(Kind::Unavailable, "The control plane is stopping.").into_response();
    let Ok(place) = api.shares.tokens.of(caller.token, AT_ONCE).acquire_owned().await else { return stopping() };
    let place: Place = Arc::new(place);
    request.extensions_mut().insert(Arc::clone(&place));
    let response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        let reading = api.shares.reading.of(caller.actor.organization, READING_AT_ONCE);
        let Ok(_while_it_reads) = reading.acquire().await else { return stopping() };
        next.run(request).await
    } else {
        next.run(request).await
    };
    if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    response.map(|body| {
        let held = body.map_frame(move |frame| {
            let _until_read = &place;
            frame
        });
        axum::body::Body::new(held)
    })
}
