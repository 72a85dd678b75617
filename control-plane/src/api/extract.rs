//! What handlers take from a request, with problems instead of axum's plain-text rejections: the body, the query, an id
//! of the path. Unknown fields are refused, never ignored.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{FieldError, Kind, Problem};
use super::words;

/// A JSON body. An empty one counts as `{}`. What is wrong with it comes to light when it is read: a caller who may not do
/// the thing at all hears that first.
pub(super) struct Body<T> {
    bytes: Result<Bytes, Problem>,
    read_as: PhantomData<T>,
}

impl<T: DeserializeOwned> Body<T> {
    /// What it says.
    pub(super) fn read(self) -> Result<T, Problem> {
        read(&self.bytes?)
    }
}

impl<S: Send + Sync, T> FromRequest<S> for Body<T> {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        let path = request.uri().path().to_owned();
        let bytes = if may_be_json(&request) {
            Bytes::from_request(request, state).await.map_err(|rejection| unreadable(rejection.status(), &path))
        } else {
            Err(Problem::new(Kind::UnsupportedMediaType, "The body must be JSON.")
                .cure("Send the header Content-Type: application/json."))
        };
        Ok(Self { bytes, read_as: PhantomData })
    }
}

/// Why the body of a request to this path could not be taken from the connection.
pub(super) fn unreadable(status: axum::http::StatusCode, path: &str) -> Problem {
    if status == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::TooLarge, format!("The body is longer than {} bytes.", super::layers::longest_body(path)))
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
    if let Some(came) = words::no_object(bytes)
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
    {
        // serde would take a list for the fields in their order.
        return Err(Problem::new(
            Kind::Unprocessable,
            format!("The body must be a JSON object, {{…}}, and is {came}."),
        ));
    }
    if has_nul(bytes) {
        return Err(Problem::new(Kind::Unprocessable, "A text of the body has the character NUL (\\u0000)."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        wrong_json(&path, error.inner())
    })?;
    reader.end().map_err(|error| wrong_json(".", &error))?;
    Ok(value)
}

/// Whether a text in JSON has the character NUL: no name has it, and PostgreSQL takes no text with it.
fn has_nul(json: &[u8]) -> bool {
    let escaped = |place: usize| json[..place].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    json.windows(6).enumerate().any(|(place, part)| part == b"\\u0000" && escaped(place))
}

fn wrong_json(path: &str, error: &serde_json::Error) -> Problem {
    let kind = if error.is_data() { Kind::Unprocessable } else { Kind::InvalidRequest };
    // serde_json appends the place; it goes into fields of its own.
    let text = error.to_string();
    let detail = words::plain(text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail), None);
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
            let detail = text.split_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
            wrong_query(parts.uri.query().unwrap_or_default(), detail)
        })
    }
}

/// Names the parameter that is wrong, where the error is about one.
fn wrong_query(query: &str, detail: &str) -> Problem {
    let given = |name: &str| url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    match detail.split_once(": ").and_then(|(name, detail)| Some((given(name)?, detail))) {
        Some(((name, came), detail)) => Problem::parameter(&name, words::plain(detail, Some(&came))),
        None => Problem::new(Kind::InvalidRequest, format!("The query is wrong: {}.", words::plain(detail, None))),
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

/// The ids of a thing and of one of its parts, at the end of the path.
pub(super) struct Ids(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ids = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((whole, part)) = ids.map_err(|_| Problem::not_found("id"))?;
        Ok(Self(whole, part))
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
        assert_eq!(error.detail, "a whole number from 0 is expected, and the text \"two\" came");
    }

    #[test]
    fn unknown_fields_are_refused() {
        let problem = problem("{\"nmae\": 1}");
        assert!(problem.document().detail.contains("there is no nmae; known: name, numbers"), "{problem}");
    }

    #[test]
    fn a_body_that_is_no_object_is_told_what_it_is() {
        for (body, came) in [("[]", "a list"), (" [\"x\", []]", "a list"), ("7", "a number"), ("null", "null")] {
            let problem = problem(body);
            assert_eq!(problem.document().status, 422, "{body}");
            assert!(problem.document().detail.ends_with(&format!("and is {came}.")), "{problem}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_came() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Query {
            #[expect(dead_code, reason = "only read into")]
            limit: Option<u32>,
        }
        let refused = |query: &str| {
            let uri: axum::http::Uri = format!("/x?{query}").parse().unwrap();
            let mut parts = axum::http::Request::get(uri).body(()).unwrap().into_parts().0;
            let read = Params::<Query>::from_request_parts(&mut parts, &());
            let Some(Err(problem)) = futures_util::FutureExt::now_or_never(read) else { panic!("{query} was read") };
            problem.document().clone()
        };
        let wrong = refused("limit=x%20y");
        assert_eq!(wrong.errors[0].field, "limit");
        assert_eq!(wrong.errors[0].detail, "a whole number from 0 is expected, and \"x y\" came");
        assert_eq!(refused("limti=3").detail, "The parameter \"limti\" is wrong: there is no limti; known: limit.");
        assert!(refused("limit=1&limit=2").detail.contains("limit is given more than once"));
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
