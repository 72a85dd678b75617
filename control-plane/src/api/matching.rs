//! `/api/v1/directories/{id}/matching`: how a new account of a directory finds its user.

use axum::Json;
use axum::extract::State;
use postern_engine::identity::match_rules::MatchRule;
use postern_engine::services::matching::Matching;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::problem::Problem;
use super::users::Tag;
use super::versions::{IfMatch, etag};

/// The matching rules of a directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Matching)]
pub struct MatchingView {
    /// Name of the directory.
    pub directory: String,
    /// The rules. The first that finds a user counts. Empty: a new account finds its user by its login.
    pub rules: Vec<MatchRule>,
}

/// New matching rules.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchingRequest {
    /// The rules, at most 10. Empty: a new account finds its user by its login.
    pub rules: Vec<MatchRule>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, save))
}

fn answer(matching: Matching) -> (Tag, Json<MatchingView>) {
    let tag = etag(&matching.version());
    let Matching { directory, rules } = matching;
    (tag, Json(MatchingView { directory: directory.name, rules: rules.unwrap_or_default() }))
}

/// Shows the matching rules of a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}/matching", tag = "directories", operation_id = "get_matching",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = MatchingView)))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<(Tag, Json<MatchingView>), Problem> {
    Ok(answer(api.services.matchings(&caller.actor)?.get(&id).await?))
}

/// Sets the matching rules of a directory
///
/// They hold for accounts that are new from now on, and for conflicts. Where a field is named for the first time, the answer
/// waits until the values of all users are read.
#[utoipa::path(put, path = "/api/v1/directories/{id}/matching", tag = "directories", operation_id = "set_matching",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; 412 if the rules have changed since. Absent: any")),
    request_body = MatchingRequest, responses((status = 200, body = MatchingView)))]
async fn save(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<MatchingRequest>,
) -> Result<(Tag, Json<MatchingView>), Problem> {
    let matchings = api.services.change_matchings(&caller.actor)?;
    Ok(answer(matchings.save(&id, Some(body.read()?.rules), known.known()).await?))
}
