//! How many requests of one token are answered at a time, and how many of one organization read. An answer stays in
//! memory until its caller has read it, so this bounds what many parallel lists, or a caller that reads slowly, cost
//! all others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use postern_store::{ApiTokenId, OrganizationId};
use tokio::sync::Semaphore;

use super::Api;
use super::auth::Caller;
use super::problem::{Kind, Problem};

/// Requests of one token that are answered at a time; a further one waits.
pub(super) const AT_ONCE: usize = 8;
/// Requests of one organization that read at a time, whatever tokens they come with: half of the connections by which a
/// `SQLite` file is read, so that parallel lists of one organization leave the others theirs.
pub(super) const READING_AT_ONCE: usize = 4;
/// Shares that are kept before the unused ones are dropped.
const KEPT: usize = 1_024;

/// The shares of the tokens and organizations that were used of late.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    tokens: Places<ApiTokenId>,
    reading: Places<OrganizationId>,
}

/// So many places for each.
#[derive(Debug)]
struct Places<Id>(Mutex<HashMap<Id, Arc<Semaphore>>>);

impl<Id> Default for Places<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Copy + Eq + Hash> Places<Id> {
    fn of(&self, id: Id, places: usize) -> Arc<Semaphore> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= KEPT && !shares.contains_key(&id) {
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        Arc::clone(shares.entry(id).or_insert_with(|| Arc::new(Semaphore::new(places))))
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
    let stopping = || Problem::new(Kind::Unavailable, "The control plane is stopping.").into_response();
    let Ok(place) = api.shares.tokens.of(caller.token, AT_ONCE).acquire_owned().await else { return stopping() };
    let response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        let reading = api.shares.reading.of(caller.organization, READING_AT_ONCE);
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
