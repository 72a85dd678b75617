//! Versions of objects: the `ETag` of an answer and the `If-Match` of a request (RFC 9110 §13.1.1).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, IF_MATCH};
use axum::http::request::Parts;
use postern_engine::services::versions;

/// The versions that a request is based on. `None`: it does not say.
pub(super) struct IfMatch(Option<String>);

impl IfMatch {
    /// As the services take it.
    pub(super) fn known(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // What cannot be read fits no version.
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let values: Vec<String> = parts.headers.get_all(IF_MATCH).iter().map(text).collect();
        Ok(Self((!values.is_empty()).then(|| values.join(","))))
    }
}

/// The header with the version of an object.
pub(super) fn etag(object: &impl std::fmt::Debug) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"{}\"", versions::of(object)))]
}
