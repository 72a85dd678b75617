//! Who calls: a bearer token, looked up by its hash, tells the organization and the role. A handler names the least
//! role that it needs by what it takes: `Auditor` reads, `Operator` works, `Owner` does everything.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use postern_engine::records::{ApiTokenId, OrganizationId, Role};
use postern_runtime::supervise::chain;

use super::Api;
use super::problem::{Kind, Problem};
use crate::crowd::Standing;
use crate::secrets;

/// What API tokens begin with, so that scanners for leaked secrets find them.
pub const TOKEN_PREFIX: &str = "pst_";

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The token.
    pub(super) token: ApiTokenId,
    /// What people call it.
    pub(super) name: Arc<str>,
    /// Its organization; nothing of another one is ever shown.
    pub(super) organization: OrganizationId,
    /// Its role.
    pub(super) role: Role,
    /// When the token stops to be valid by itself.
    pub(super) expires_at: Option<Timestamp>,
}

/// A new API token: the text that is shown once.
pub fn new_token() -> String {
    format!("{TOKEN_PREFIX}{}", secrets::draw())
}

/// The token of a request, as it was sent.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets only requests with a valid token pass, and remembers who calls.
pub(super) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    match identify(&api, request.headers()).await {
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

/// The answer to a request without a valid token. Whoever guesses is told to wait; he learns nothing more by then.
fn refused(api: &Api, request: &Request, problem: Problem) -> Response {
    metrics::counter!("postern_api_refused_total").increment(1);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let Some(peer) = peer else { return problem.into_response() };
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

/// Who sent these headers.
pub(super) async fn identify(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(Kind::Unauthenticated, "The request carries no token.")
            .cure("Send the header Authorization: Bearer pst_…; `postern tokens create` makes a token."));
    };
    let now = api.now();
    let found = api.store.find_api_token_by_hash(secrets::hash(token)).await?;
    let valid = found.filter(|token| token.revoked_at.is_none() && token.expires_at.is_none_or(|end| now < end));
    let Some(token) = valid else {
        return Err(Problem::new(Kind::Unauthenticated, "The token is unknown, expired or revoked.")
            .cure("Ask an owner of the organization for a new one: `postern tokens create`."));
    };
    if let Err(error) = api.store.touch_api_token(&token, now).await {
        // A database that takes no writes any more, as with a full disk, can still be looked at.
        tracing::warn!(error = chain(&error), "api.token_use_not_recorded");
    }
    Ok(Caller {
        token: token.id,
        name: token.name.into(),
        organization: token.organization,
        role: token.role,
        expires_at: token.expires_at,
    })
}

fn allow(parts: &Parts, least: Role) -> Result<Caller, Problem> {
    let Some(caller) = parts.extensions.get::<Caller>() else {
        return Err(Problem::new(Kind::Unauthenticated, "The request carries no token."));
    };
    if caller.role >= least {
        return Ok(caller.clone());
    }
    Err(Problem::new(Kind::Forbidden, format!("This needs the role {least}; the token has {}.", caller.role))
        .cure("Use a token with that role; an owner makes one with `postern tokens create`."))
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Caller);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                allow(parts, Role::$name).map(Self)
            }
        }
    )+};
}

roles! {
    /// A caller who may read.
    Auditor,
    /// A caller who may start jobs and let agents in.
    Operator,
    /// A caller who may do everything.
    Owner,
}
