//! What handlers take from a request, with problems instead of axum's plain-text rejections: the body, the query, an id
//! of the path. Fields that nobody knows are refused, never ignored.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{FieldError, Kind, Problem};

/// A JSON body. An empty one counts as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !may_be_json(&request) {
            return Err(Problem::new(Kind::UnsupportedMediaType, "The body must be JSON.")
                .cure("Send the header Content-Type: application/json."));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(rejection.status()))?;
        read(&bytes).map(Self)
    }
}

/// Why a body could not be taken from the connection.
pub(super) fn unreadable(status: axum::http::StatusCode) -> Problem {
    if status == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::TooLarge, format!("The body is longer than {} bytes.", super::layers::MAX_BODY_BYTES))
    } else {
        Problem::new(Kind::InvalidRequest, "The body ended before its time.")
    }
}

fn may_be_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(CONTENT_TYPE) else { return true };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        wrong_json(&path, error.inner())
    })?;
    reader.end().map_err(|error| wrong_json(".", &error))?;
    Ok(value)
}

fn wrong_json(path: &str, error: &serde_json::Error) -> Problem {
    let kind = if error.is_data() { Kind::Unprocessable } else { Kind::InvalidRequest };
    // serde_json appends the place; it goes into fields of its own.
    let text = error.to_string();
    let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail).to_owned();
    let place = format!("line {}, column {}", error.line(), error.column());
    let sentence = if path == "." {
        format!("The body is wrong at {place}: {detail}.")
    } else {
        format!("The field {path:?} is wrong at {place}: {detail}.")
    };
    Problem::new(kind, sentence).field(FieldError {
        field: path.to_owned(),
        detail,
        line: Some(error.line()),
        column: Some(error.column()),
    })
}

/// The query. Its struct denies unknown fields, so that a misspelt filter is not an unfiltered list.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri).map(|Query(value)| Self(value)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
            Problem::new(Kind::InvalidRequest, format!("The query cannot be read: {detail}."))
        })
    }
}

/// The id at the end of the path. One that cannot be an id is one that does not exist.
pub(super) struct Id<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || Problem::not_found("id");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(default)]
        name: String,
        #[serde(default)]
        numbers: Vec<u8>,
    }

    fn problem(body: &str) -> Problem {
        read::<Wanted>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_wrong_field_is_named_with_its_place() {
        let problem = problem("{\n \"numbers\": [1, \"two\"]}");
        let error = &problem.document().errors[0];
        assert_eq!((problem.document().status, error.field.as_str(), error.line), (422, "numbers[1]", Some(2)));
        assert!(error.detail.starts_with("invalid type"), "{}", error.detail);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let problem = problem("{\"nmae\": 1}");
        assert!(problem.document().detail.contains("unknown field `nmae`"), "{problem}");
    }

    #[test]
    fn what_is_not_json_is_a_bad_request() {
        for body in ["{", "{} {}", "nonsense"] {
            assert_eq!(problem(body).document().status, 400, "{body}");
        }
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        let wanted = read::<Wanted>(b" \n").unwrap();
        assert_eq!((wanted.name.as_str(), wanted.numbers.len()), ("", 0));
    }
}
