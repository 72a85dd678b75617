//! How many requests of one token are answered at a time. An answer stays in memory until its caller has read it, so
//! this bounds what many parallel lists, or a caller that reads slowly, cost all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use postern_store::ApiTokenId;
use tokio::sync::Semaphore;

use super::Api;
use super::auth::Caller;
use super::problem::{Kind, Problem};

/// Requests of one token that are answered at a time; a further one waits.
pub(super) const AT_ONCE: usize = 8;
/// Shares that are kept before the unused ones are dropped.
const KEPT: usize = 1_024;

/// The share of each token that was used of late.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<ApiTokenId, Arc<Semaphore>>>);

impl Shares {
    fn of(&self, token: ApiTokenId) -> Arc<Semaphore> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= KEPT && !shares.contains_key(&token) {
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        Arc::clone(shares.entry(token).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }
}

/// Waits for a place in the caller's share, and keeps it until the answer is read. An event stream keeps none: it
/// lasts, and holds one event at a time.
pub(super) async fn wait(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(place) = api.shares.of(caller.token).acquire_owned().await else {
        return Problem::new(Kind::Unavailable, "The control plane is stopping.").into_response();
    };
    let response = next.run(request).await;
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
