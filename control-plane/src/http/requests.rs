//! Rules for all requests: a request must be unambiguous, and over TLS browsers are required to keep using TLS.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderMap, Uri, Version};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};

use crate::api::Problem;
use crate::api::problem::Kind;

/// A year, in seconds.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Headers that a request may have only once: of two, a proxy might use the first and the server the last.
const ONCE: [HeaderName; 4] = [AUTHORIZATION, HOST, CONTENT_TYPE, HeaderName::from_static("idempotency-key")];

/// Applies these rules to routes.
pub(super) fn guarded(router: Router, tls: bool) -> Router {
    let router = router.layer(from_fn(unambiguous));
    if tls { router.layer(from_fn(strict)) } else { router }
}

async fn strict(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HSTS);
    response
}

async fn unambiguous(request: Request, next: Next) -> Response {
    match ambiguity(request.version(), request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(detail) => Problem::new(Kind::InvalidRequest, detail).into_response(),
    }
}

/// Why a request could be read in more than one way (RFC 9110, 7.2 and 5.3; RFC 9112, 3.2).
fn ambiguity(version: Version, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(twice) = ONCE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Some(format!("The header {twice} occurs more than once."));
    }
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    if host.is_none() && version == Version::HTTP_11 {
        return Some("The request has no Host.".to_owned());
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            Some("The request has one host in its address and another in Host.".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(tls: bool, request: axum::http::request::Builder) -> Response {
        let router = guarded(Router::new().route("/x", get(async || "ok")), tls);
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_that_can_be_read_in_two_ways_is_refused() {
        let get = |uri: &str| Request::get(uri).header(HOST, "a.example");
        for (request, status) in [
            (get("/x"), 200),
            (get("/x").header(AUTHORIZATION, "Bearer a"), 200),
            (get("http://A.example/x"), 200),
            (Request::get("http://a.example/x").version(Version::HTTP_2), 200),
            (Request::get("/x").version(Version::HTTP_10), 200),
            (Request::get("/x"), 400),
            (get("/x").header(HOST, "a.example"), 400),
            (get("/x").header(AUTHORIZATION, "Bearer a").header(AUTHORIZATION, "Bearer b"), 400),
            (get("/x").header("idempotency-key", "a").header("idempotency-key", "a"), 400),
            (get("/x").header(CONTENT_TYPE, "text/plain").header(CONTENT_TYPE, "application/json"), 400),
            (get("http://b.example/x"), 400),
            (get("http://b.example/x").version(Version::HTTP_2), 400),
        ] {
            let shown = format!("{request:?}");
            assert_eq!(answer(false, request).await.status().as_u16(), status, "{shown}");
        }
    }

    #[tokio::test]
    async fn browsers_are_required_to_keep_tls_only_over_tls() {
        for (tls, host) in [(true, true), (true, false), (false, true)] {
            let request = Request::get("/x");
            let request = if host { request.header(HOST, "a") } else { request };
            let header = answer(tls, request).await.headers().get(STRICT_TRANSPORT_SECURITY).cloned();
            assert_eq!(header.is_some(), tls, "also when it is refused");
        }
    }
}
