//! `/api/v1/directories/{id}/outbound-mapping`: the rules of what a directory gets of users and groups.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use postern_engine::identity::mapping::outbound::Wanted;
use postern_engine::identity::mapping::rules::{Rule, RuleOf};
use postern_engine::services::outbound_preview::OutboundPreview;
use postern_engine::services::terms::Terms;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::mapping::{self, Answer, MappingBody, MappingVersions, MappingView, answer};
use super::problem::Problem;
use super::versions::IfMatch;

/// Whom to try outbound rules on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboundPreviewRequest {
    /// Name or id of the user. Absent: it is about a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name or id of the group. Absent: it is about a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The rules. Absent: those that are saved, or the initial rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
}

/// What a directory would get of a user or group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OutboundMappingPreview)]
pub struct OutboundPreviewView {
    /// The directory's name.
    pub directory: String,
    /// The version of the saved rules, 0 where none are saved. `null`: the rules came with the request.
    pub version: Option<u32>,
    /// The name of the user or group.
    pub name: String,
    /// The fields that rules can read.
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, Value>,
    /// What each rule gives.
    pub attributes: Vec<WantedAttribute>,
}

/// What an outbound rule gives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WantedAttribute {
    /// The attribute of the directory.
    pub attribute: String,
    /// The expression.
    pub expression: String,
    /// The fields that it reads.
    pub reads: Vec<String>,
    /// The values; none empty the attribute, or the rule fails.
    pub values: Vec<String>,
    /// Why the rule fails. `null`: it does not.
    pub error: Option<String>,
}

impl From<Wanted> for WantedAttribute {
    fn from(wanted: Wanted) -> Self {
        let Wanted { attribute, expression, reads, values, is_unique: _ } = wanted;
        let (values, error) = match values {
            Ok(values) => (values, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self { attribute, expression, reads, values, error }
    }
}

impl From<OutboundPreview> for OutboundPreviewView {
    fn from(preview: OutboundPreview) -> Self {
        let OutboundPreview { directory, version, name, fields, wanted } = preview;
        let attributes = wanted.into_iter().map(Into::into).collect();
        Self { directory: directory.name, version, name, fields, attributes }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show, save))
        .routes(routes!(versions))
        .routes(routes!(restore))
        .routes(routes!(preview))
}

/// Shows the outbound rules of a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}/outbound-mapping", tag = "mapping",
    operation_id = "get_outbound_mapping",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = MappingView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Answer, Problem> {
    Ok(answer(api.services.outbound_mappings(&caller.actor)?.get(&id).await?))
}

/// Saves the outbound rules of a directory
///
/// They become the next version. Nothing is written to the directory yet. Rules that do not compile are refused, with the
/// rule, the position and what is wrong.
#[utoipa::path(put, path = "/api/v1/directories/{id}/outbound-mapping", tag = "mapping",
    operation_id = "save_outbound_mapping",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; \
            412 if another one is current. Absent: any")),
    request_body = MappingBody, responses((status = 200, body = MappingView)))]
async fn save(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<MappingBody>,
) -> Result<Answer, Problem> {
    mapping::saved(&api.services.change_outbound_mappings(&caller.actor)?, &id, &known, body).await
}

/// Lists the versions of the outbound rules of a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}/outbound-mapping/versions", tag = "mapping",
    operation_id = "list_outbound_mapping_versions",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = MappingVersions)))]
async fn versions(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<MappingVersions>, Problem> {
    mapping::listed(&api.services.outbound_mappings(&caller.actor)?, &id).await
}

/// Brings back the outbound rules of an earlier version
///
/// They become the next version.
#[utoipa::path(post, path = "/api/v1/directories/{id}/outbound-mapping/versions/{version}/restore", tag = "mapping",
    operation_id = "restore_outbound_mapping",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("version" = u32, Path, description = "Number of the version"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; \
            412 if another one is current. Absent: any")),
    responses((status = 200, body = MappingView)))]
async fn restore(
    State(api): State<Api>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
    known: IfMatch,
) -> Result<Answer, Problem> {
    let changes = api.services.change_outbound_mappings(&caller.actor)?;
    mapping::restored(&changes, (&id, &version), Terms { known: known.known(), confirm: None }).await
}

/// Tries outbound rules on one user or group
///
/// Shows what the directory would get. Nothing is saved or sent. Values of sensitive attributes are not shown.
#[utoipa::path(post, path = "/api/v1/directories/{id}/outbound-mapping/preview", tag = "mapping",
    operation_id = "preview_outbound_mapping",
    params(("id" = String, Path, description = "Name or id of the directory")),
    request_body = OutboundPreviewRequest, responses((status = 200, body = OutboundPreviewView)))]
async fn preview(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<OutboundPreviewRequest>,
) -> Result<Json<OutboundPreviewView>, Problem> {
    let previews = api.services.preview_outbound_mappings(&caller.actor)?;
    let OutboundPreviewRequest { user, group, rules } = body.read()?;
    let (of, named) = match (&user, &group) {
        (Some(user), None) => (RuleOf::Users, user),
        (None, Some(group)) => (RuleOf::Groups, group),
        _ => return Err(Problem::body_field("user", "name either a user or a group")),
    };
    Ok(Json(previews.preview(&id, (of, named), rules).await?.into()))
}
