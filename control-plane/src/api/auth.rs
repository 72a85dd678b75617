//! Who calls: a bearer token, looked up by its hash, says the organization and the role. What the role may do, the
//! services check.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use postern_engine::records::ApiTokenId;
use postern_engine::services::Actor;

use super::Api;
use super::extract::unreadable;
use super::layers::longest_body;
use super::problem::{Kind, Problem};
use crate::crowd::Standing;

/// Who calls. A handler that takes this can be called by everybody with a valid token; the service that it opens checks
/// the right.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The organization, the identity and the role.
    pub(super) actor: Actor,
    /// The token.
    pub(super) token: ApiTokenId,
    /// When the token stops to be valid by itself.
    pub(super) expires_at: Option<Timestamp>,
}

/// The token of a request, as it was sent.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets only requests with a valid token pass, and remembers who calls.
pub(super) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match identify(&api, request.headers(), peer(&request)).await {
        Ok(caller) => {
            if let Some(standing) = request.extensions().get::<Arc<Standing>>() {
                standing.is_known();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            if problem.document().status == StatusCode::UNAUTHORIZED.as_u16() {
                refused(&api, &request, problem)
            } else {
                problem.into_response()
            }
        }
    }
}

/// Looks at the token again when the request has its place and its body is here. Both may take long, and the token may
/// have been revoked or expired in the meantime.
pub(super) async fn still_valid(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = Limited::new(body, longest_body(&path)).collect().await;
    if let Err(problem) = identify(&api, &parts.headers, None).await {
        return problem.into_response();
    }
    match body {
        Ok(body) => next.run(Request::from_parts(parts, Body::from(body.to_bytes()))).await,
        Err(error) if error.is::<LengthLimitError>() => {
            unreadable(StatusCode::PAYLOAD_TOO_LARGE, &path).into_response()
        }
        Err(_) => unreadable(StatusCode::BAD_REQUEST, &path).into_response(),
    }
}

/// The answer to a request without a valid token. After many refusals the address must wait; the answer says no more.
fn refused(api: &Api, request: &Request, problem: Problem) -> Response {
    metrics::counter!("postern_api_refused_total").increment(1);
    let Some(peer) = peer(request) else { return problem.into_response() };
    let Err(wait) = api.refusals.count(peer, api.now()) else {
        tracing::info!(%peer, "api.refused: no valid token");
        return problem.into_response();
    };
    metrics::counter!("postern_api_throttled_total").increment(1);
    let seconds = wait.as_secs() + 1;
    let problem = Problem::new(Kind::TooMany, "Your address has sent too many requests without a valid token.")
        .cure(format!("Mend the token, and try again in {seconds} seconds."));
    let mut response = problem.into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Where a request comes from.
fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// Who sent these headers from this address.
pub(super) async fn identify(api: &Api, headers: &HeaderMap, address: Option<IpAddr>) -> Result<Caller, Problem> {
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(Kind::Unauthenticated, "The request carries no token.")
            .cure("Send the header Authorization: Bearer pst_…; `postern tokens create` makes a token."));
    };
    let Some(signed_in) = api.services.sign_in(token, address).await? else {
        return Err(Problem::new(Kind::Unauthenticated, "The token is unknown, expired or revoked.")
            .cure("Ask an owner of the organization for a new one: `postern tokens create`."));
    };
    Ok(Caller { actor: signed_in.actor, token: signed_in.token, expires_at: signed_in.expires_at })
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(Kind::Unauthenticated, "The request carries no token."))
    }
}
