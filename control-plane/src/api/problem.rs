//! Errors as RFC 9457 problem documents: what failed, why, and where it is known, what to do about it.

use std::fmt;

use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use postern_engine::identity::profile;
use postern_engine::intake::effect::Effect;
use postern_engine::services::{self, Candidate as Named, Message};
use postern_runtime::supervise::chain;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What every `type` begins with.
const TYPE_PREFIX: &str = "urn:postern:problem:";

/// The kinds of problem. Each has one `type`, one title and one status, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read.
    InvalidRequest,
    /// No token, or none that is valid.
    Unauthenticated,
    /// The token's role does not allow it.
    Forbidden,
    /// No such thing in this organization.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// What is asked for does not fit the present state.
    Conflict,
    /// It would take much away, and nobody has confirmed that.
    Unconfirmed,
    /// The object has changed since the version that the request names.
    Outdated,
    /// The user was merged into another.
    Merged,
    /// A name means several things.
    Ambiguous,
    /// The body is too long.
    TooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The request can be read, and is not valid.
    Unprocessable,
    /// An `Idempotency-Key` was used before, for something else.
    IdempotencyMismatch,
    /// A fault of the control plane.
    Internal,
    /// Try again later.
    Unavailable,
    /// The caller's address was refused too often.
    TooMany,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::Unconfirmed,
        Self::Ambiguous,
        Self::Merged,
        Self::Outdated,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::IdempotencyMismatch,
        Self::Internal,
        Self::Unavailable,
        Self::TooMany,
    ];

    /// Its status, `type` and title.
    pub fn shown(self) -> (u16, String, &'static str) {
        let (slug, title, status) = self.row();
        (status.as_u16(), format!("{TYPE_PREFIX}{slug}"), title)
    }

    /// What to do, where the problem itself does not say better.
    pub fn cure(self) -> &'static str {
        match self {
            Self::InvalidRequest => "correct the parameter or header that is named; docs/openapi.json describes each",
            Self::Unauthenticated => "send a valid token: `Authorization: Bearer pst_…`; `postern login` stores one",
            Self::Forbidden => "use a token with the role that is named",
            Self::NotFound => "look the id up in the list; things of other organizations are not found either",
            Self::MethodNotAllowed => "use a method of the header `allow`",
            Self::Conflict => "see what it contradicts, and follow `cure`",
            Self::Unconfirmed => "look at `effect`; send it again with `confirm` if that is wanted",
            Self::Ambiguous => "use one of the ids of `candidates`",
            Self::Merged => "use the id of `merged_into`",
            Self::Outdated => "read it again, and change what it is now",
            Self::TooLarge => "send less at a time",
            Self::UnsupportedMediaType => "send JSON with `content-type: application/json`",
            Self::Unprocessable => "correct the fields of `errors`",
            Self::IdempotencyMismatch => "use a new `Idempotency-Key` for another request",
            Self::Internal => "try again; if it stays, look in the log for the `x-request-id` of the answer",
            Self::Unavailable => "try again after the seconds of `retry-after`; look at the database",
            Self::TooMany => "wait for the seconds of `retry-after`, and correct the token",
        }
    }

    fn row(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::InvalidRequest => ("invalid-request", "The request cannot be read", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("unauthenticated", "No valid token", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", "Not allowed for this role", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", "Not found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::Conflict => ("conflict", "Not possible now", StatusCode::CONFLICT),
            Self::Unconfirmed => ("unconfirmed", "It takes much away, and is not confirmed", StatusCode::CONFLICT),
            Self::Ambiguous => ("ambiguous", "The name means several things", StatusCode::CONFLICT),
            Self::Merged => ("merged", "The user was merged into another", StatusCode::GONE),
            Self::Outdated => ("outdated", "It has changed meanwhile", StatusCode::PRECONDITION_FAILED),
            Self::TooLarge => ("too-large", "The body is too long", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", "The body is not JSON", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::Unprocessable => ("unprocessable", "The request is not valid", StatusCode::UNPROCESSABLE_ENTITY),
            Self::IdempotencyMismatch => {
                ("idempotency-mismatch", "Idempotency-Key used before", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::Internal => ("internal", "A fault of the control plane", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unavailable => ("unavailable", "Not available now", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooMany => ("too-many", "Refused too often", StatusCode::TOO_MANY_REQUESTS),
        }
    }
}

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// Names the kind of problem, `urn:postern:problem:…`; programs decide by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in words, the same for all of its kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What to do about it. Absent: nothing to suggest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// Which fields of the request are wrong. Absent: not a matter of fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// What a name could mean. Absent: not a matter of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub candidates: Vec<Candidate>,
    /// The user that has what a merged user had. Absent: not a matter of merged users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<Uuid>,
    /// What the change would do. Absent: it needs no confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// A thing that a name could mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
}

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, `directory` or `items[2].name`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
    /// Line of the body, from 1. Absent: not from a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column of that line, from 1. Absent: not from a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

/// What a handler fails with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(Box<Document>);

impl Problem {
    /// A problem of a kind; `detail` says what happened this time.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (slug, title, status) = kind.row();
        Self(Box::new(Document {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            cure: None,
            errors: Vec::new(),
            candidates: Vec::new(),
            merged_into: None,
            effect: None,
        }))
    }

    /// What a service says about a problem of a kind.
    fn saying(kind: Kind, message: Message) -> Self {
        let errors = message.fields.into_iter().map(|field| {
            let detail = message.text.clone();
            FieldError { field, detail, line: None, column: None }
        });
        let errors: Vec<FieldError> = errors.collect();
        let problem = errors.into_iter().fold(Self::new(kind, message.text), Self::field);
        match message.cure {
            Some(cure) => problem.cure(cure),
            None => problem,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.0.cure = Some(cure.into());
        self
    }

    /// Adds what a name could mean.
    #[must_use]
    pub fn candidates(mut self, candidates: Vec<Candidate>) -> Self {
        self.0.candidates = candidates;
        self
    }

    /// Adds a wrong field.
    #[must_use]
    pub fn field(mut self, error: FieldError) -> Self {
        self.0.errors.push(error);
        self
    }

    /// No `what` with this id or name in the caller's organization. Things of other organizations have the same answer.
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("There is no such {what}."))
    }

    /// A parameter with a value that is not valid.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(Kind::InvalidRequest, format!("The parameter {name:?} is wrong: {detail}.")).field(FieldError {
            field: name.to_owned(),
            detail,
            line: None,
            column: None,
        })
    }

    /// A field of the body with a value that is not valid.
    pub fn body_field(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(Kind::Unprocessable, about(name, &detail)).field(FieldError {
            field: name.to_owned(),
            detail,
            line: None,
            column: None,
        })
    }

    /// A fault of the control plane. It is logged here, with its causes; the caller sees only that it happened.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = chain(error), "api.internal_error");
        Self::new(Kind::Internal, "The control plane could not carry out the request; its log says why.")
            .cure("Try again; if it stays, look in the log for the x-request-id of this answer.")
    }

    /// The document itself.
    pub fn document(&self) -> &Document {
        &self.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.title, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl From<services::Error> for Problem {
    fn from(error: services::Error) -> Self {
        use services::Error as E;
        match error {
            E::Denied { .. } => Self::new(Kind::Forbidden, error.to_string())
                .cure("Use a token with that role; an owner makes one with `postern tokens create`."),
            E::NotFound(message) => Self::saying(Kind::NotFound, message),
            E::Ambiguous { message, candidates } => {
                let candidates = candidates.into_iter().map(|Named { id, name }| Candidate { id, name });
                Self::saying(Kind::Ambiguous, message).candidates(candidates.collect())
            }
            E::Conflict(message) => Self::saying(Kind::Conflict, message),
            E::Merged { message, into } => {
                let mut problem = Self::saying(Kind::Merged, message);
                problem.0.merged_into = Some(into.as_uuid());
                problem
            }
            E::Unconfirmed { message, effect } => {
                let mut problem = Self::saying(Kind::Unconfirmed, message);
                problem.0.effect = Some(*effect);
                problem
            }
            E::Outdated(message) => Self::saying(Kind::Outdated, message),
            E::Busy(message) => Self::saying(Kind::Unavailable, message),
            E::Field { field, detail } => Self::body_field(&field, detail),
            E::Fields(wrong) => {
                let sentences: Vec<String> = wrong.iter().map(|wrong| about(&wrong.field, &wrong.detail)).collect();
                wrong.into_iter().fold(Self::new(Kind::Unprocessable, sentences.join(" ")), |problem, wrong| {
                    problem.field(FieldError { field: wrong.field, detail: wrong.detail, line: None, column: None })
                })
            }
            E::Query { parameter, detail, cure } => match cure {
                Some(cure) => Self::parameter(parameter, detail).cure(cure),
                None => Self::parameter(parameter, detail),
            },
            E::Unavailable(_) => {
                tracing::warn!(error = chain(&error), "api.store_unavailable");
                Self::new(Kind::Unavailable, sentence(&error.to_string())).cure("Try again in a while.")
            }
            E::Internal(_) => Self::internal(&error),
        }
    }
}

/// What is wrong with a field, as a sentence.
fn about(field: &str, detail: &str) -> String {
    match (profile::label(field), detail.strip_prefix("it ")) {
        (Some(label), Some(rest)) => format!("The {label} {rest}."),
        (Some(label), None) => format!("The {label} is wrong: {detail}."),
        (None, _) => format!("The field {field:?} is wrong: {detail}."),
    }
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&*self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postern\""));
        }
        response
    }
}

/// Answers paths that do not exist.
pub(super) async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(Kind::NotFound, format!("There is nothing at {}.", uri.path()))
        .cure("GET /api/v1/openapi.json lists all paths.")
}

/// Answers methods that a path does not have.
pub(super) async fn unknown_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{} does not answer to {method}.", uri.path()))
        .cure("GET /api/v1/openapi.json lists the methods of each path.")
}
