//! The REST API under `/api/v1`. It only translates: one file a resource puts requests into words of the engine's services,
//! and what they give into JSON. Beside them is what they share: who calls (`auth`), what is asked (`extract`, `page`), how
//! often (`idempotency`), what went wrong (`problem`), what surrounds every answer (`layers`).

pub mod accounts;
pub mod agents;
pub mod attributes;
pub mod audit;
pub mod auth;
pub mod bulk_users;
pub mod change_groups;
pub mod change_users;
pub mod conflicts;
pub mod consequences;
pub mod directories;
pub mod directory_order;
pub mod enrollment_tokens;
pub mod export;
mod extract;
pub mod groups;
mod health;
mod idempotency;
pub mod jobs;
mod layers;
pub mod link_accounts;
pub mod mapping;
pub mod mapping_preview;
pub mod matching;
pub mod merge_users;
mod metrics;
pub mod openapi;
pub mod organization;
pub mod outbound_mapping;
pub mod page;
pub mod passwords;
pub mod plans;
pub mod problem;
pub mod provisioning;
pub mod provisioning_report;
mod recorder;
pub mod schedules;
mod share;
mod shares;
mod state;
pub mod tokens;
pub mod users;
pub mod v1;
mod versions;
mod words;

#[cfg(test)]
pub(crate) mod tests;

use axum::Router;

pub(crate) use health::metrics_router;
pub use problem::Problem;
pub use recorder::Metrics;
pub use state::Api;

/// All routes over one state, ready to be served.
pub fn router(api: Api) -> Router {
    let (routes, document) = v1::routes().split_for_parts();
    let documents = openapi::routes(&openapi::complete(document));
    let guarded = routes
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), idempotency::replay))
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), auth::still_valid))
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), shares::wait))
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), auth::authenticate));
    let all = guarded.merge(documents).merge(health::routes());
    layers::around(all).with_state(api)
}
