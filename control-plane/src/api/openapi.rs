//! The API's description of itself, OpenAPI at `/api/v1/openapi.json`, which needs no token.

use axum::Router;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse as _;
use axum::routing::get;
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Candidate, Document, FieldError, MEDIA_TYPE};
use super::{Api, idempotency};

/// Name of the security scheme.
const SCHEME: &str = "token";
const DESCRIPTION: &str = "Administers an organization of a Postern control plane. Every request carries an API token, \
    `Authorization: Bearer pst_…`. Lists come in pages: pass `next_cursor` as `cursor` to get the next. Errors are \
    problem documents (RFC 9457). A POST with the header `Idempotency-Key` is carried out once, however often it is \
    repeated within a day. Nothing of another organization is ever shown: its ids answer 404.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Postern", description = DESCRIPTION, version = "1", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    components(schemas(Candidate, Document, FieldError)),
    tags(
        (name = "organization", description = "The rules of the whole organization"),
        (name = "tokens", description = "API tokens of administrators and scripts"),
        (name = "enrollment tokens", description = "One-time tokens with which agents enroll"),
        (name = "agents", description = "The agents inside the sites"),
        (name = "directories", description = "LDAP servers and AD domains that agents serve"),
        (name = "mapping", description = "Rules by which the accounts of a directory become users and groups"),
        (name = "passwords", description = "Passwords of users in directories, sealed to the keys of agents"),
        (name = "provisioning", description = "What directories get of users and groups, and what was done there"),
        (name = "jobs", description = "Imports, tests and look-ups"),
        (name = "schedules", description = "Jobs that start by themselves"),
        (name = "accounts", description = "What directories returned, entry by entry"),
        (name = "users", description = "The organization's users"),
        (name = "groups", description = "The organization's groups"),
        (name = "attributes", description = "Attributes that the organization defines for its users"),
        (name = "audit", description = "Who changed what"),
        (name = "conflicts", description = "Accounts that claim what another one has"),
    ),
)]
struct Start;

/// A router whose description is still empty.
pub(super) fn start() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Start::openapi())
}

/// Adds what all operations have in common: the token, the problems, the idempotency key.
pub(super) fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.extend(super::jobs::all_types());
    components.add_security_scheme(SCHEME, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    for (path, item) in &mut document.paths.paths {
        let has_id = path.contains('{');
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                add_common(operation, &method, has_id);
            }
        }
    }
    document
}

fn add_common(operation: &mut Operation, method: &HttpMethod, has_id: bool) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            describe(status, response);
        }
    }
    let mut problems = vec![("401", "No token, or none that is valid"), ("403", "The token's role does not allow it")];
    let takes_directory = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.name == "directory",
        RefOr::Ref(_) => false,
    });
    let names_directory = matches!(operation.operation_id.as_deref(), Some("start_job" | "create_schedule"));
    if has_id || takes_directory || names_directory {
        problems.push(("404", "No such thing in this organization"));
    }
    if matches!(method, HttpMethod::Get) {
        problems.push(("400", "A parameter is wrong"));
        if has_id {
            problems.push(("409", "The name means several things"));
        }
    } else {
        problems.push(("409", "It does not fit the present state"));
        problems.push(("422", "The request is not valid"));
    }
    if operation.request_body.is_some() {
        problems.push(("400", "The body cannot be read"));
        problems.push(("413", "The body is too long"));
        problems.push(("415", "The body is not JSON"));
    }
    problems.push(("500", "A fault of the control plane"));
    problems.push(("503", "The database cannot be reached or is full; try again later"));
    for (status, description) in problems {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    }
    if matches!(method, HttpMethod::Post) {
        let header = ParameterBuilder::new()
            .name(idempotency::HEADER.as_str())
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("Carries out the request once; repetitions get the first one's answer"))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(header));
    }
}

/// `OpenAPI` wants a word for every answer, also where the status says it all.
fn describe(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        let word = match status {
            "201" => "Made",
            "204" => "Done",
            _ => "As asked for",
        };
        word.clone_into(&mut response.description);
    }
}

/// The route that answers a description.
pub(super) fn routes(document: &utoipa::openapi::OpenApi) -> Router<Api> {
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let answer =
        move || async move { ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response() };
    Router::new().route("/api/v1/openapi.json", get(answer))
}
