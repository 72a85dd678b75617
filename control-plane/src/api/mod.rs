//! The REST API under `/api/v1`: one file a resource, over what they share: who calls (`auth`), what is asked
//! (`extract`, `page`), how often (`idempotency`), what went wrong (`problem`), what surrounds every answer (`layers`).

pub mod accounts;
pub mod agents;
pub mod auth;
pub mod conflicts;
pub mod directories;
pub mod enrollment_tokens;
mod extract;
pub mod groups;
mod health;
mod idempotency;
pub mod jobs;
mod layers;
mod metrics;
pub mod openapi;
pub mod organization;
pub mod page;
pub mod problem;
mod resolve;
mod shares;
mod state;
pub mod tokens;
pub mod users;
mod words;

#[cfg(test)]
pub(crate) mod tests;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

pub use health::Metrics;
pub(crate) use health::metrics_router;
pub use jobs::Changes;
pub use problem::Problem;
pub use state::{Api, Door, Gate};

/// All routes over one state, ready to be served.
pub fn router(api: Api) -> Router {
    let (routes, document) = v1().split_for_parts();
    let documents = openapi::routes(&openapi::complete(document));
    let guarded = routes
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), idempotency::replay))
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), shares::wait))
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), auth::authenticate));
    let all = guarded.merge(documents).merge(health::routes());
    layers::around(all).with_state(api)
}

/// The routes of `/api/v1` that need a token, and their description.
pub(crate) fn v1() -> OpenApiRouter<Api> {
    openapi::start()
        .merge(organization::routes())
        .merge(tokens::routes())
        .merge(enrollment_tokens::routes())
        .merge(agents::routes())
        .merge(directories::routes())
        .merge(jobs::routes())
        .merge(accounts::routes())
        .merge(users::routes())
        .merge(groups::routes())
        .merge(conflicts::routes())
}

/// Longest name that people may give to a thing.
const MAX_NAME_CHARS: usize = 100;

/// A name given by people, without the space around it.
fn named(field: &str, name: &str) -> Result<String, Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Problem::body_field(field, format!("it must be 1 to {MAX_NAME_CHARS} characters on one line")));
    }
    Ok(name.to_owned())
}
