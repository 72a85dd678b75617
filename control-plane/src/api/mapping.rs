//! `/api/v1/directories/{id}/mapping`: the rules by which the accounts of a directory become users and groups.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{ETAG, HeaderName};
use jiff::Timestamp;
use postern_engine::identity::mapping::rules::Rule;
use postern_engine::intake::result::RuleFailureSample;
use postern_engine::records::MappingVersion;
use postern_engine::services::mapping::{MappingChanges, Mappings, Standing, rules_of};
use postern_engine::services::terms::Terms;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::problem::{Kind, Problem};
use super::versions::IfMatch;

/// The rules of a directory as they stand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Mapping)]
pub struct MappingView {
    /// The directory's name.
    pub directory: String,
    /// The current version. 0: no rules were ever saved, and the default mapping is all.
    pub version: u32,
    /// The current rules. Version 0: the default mapping as rules, to begin with.
    pub rules: Vec<Rule>,
    /// Who saved the current version. `null`: nobody.
    pub saved_by: Option<String>,
    /// When. `null`: never.
    pub saved_at: Option<Timestamp>,
    /// The version whose rules it brought back. `null`: none.
    pub restored_from: Option<u32>,
    /// Whether all stored accounts are mapped by these rules. That takes seconds after they are saved.
    pub mapped: bool,
    /// When the last of them was. `null`: not yet, or no rules were ever saved.
    pub mapped_at: Option<Timestamp>,
    /// How many users and groups that has changed.
    pub changed: u64,
    /// How often a rule has failed while stored accounts were mapped by this version.
    pub rule_failures: u64,
    /// Some of these failures.
    pub rule_failure_samples: Vec<RuleFailureSample>,
}

impl From<Standing> for MappingView {
    fn from(standing: Standing) -> Self {
        let Standing { directory, saved, rules, progress } = standing;
        Self {
            directory: directory.name,
            version: saved.as_ref().map_or(0, |saved| saved.version),
            rules,
            saved_by: saved.as_ref().map(|saved| saved.created_by.clone()),
            saved_at: saved.as_ref().map(|saved| saved.created_at),
            restored_from: saved.and_then(|saved| saved.restored_from),
            mapped: progress.as_ref().is_none_or(|progress| progress.done),
            mapped_at: progress.as_ref().and_then(|progress| progress.finished_at),
            changed: progress.as_ref().map_or(0, |progress| progress.changed),
            rule_failures: progress.as_ref().map_or(0, |progress| progress.failures),
            rule_failure_samples: progress
                .and_then(|progress| serde_json::from_value(progress.samples).ok())
                .unwrap_or_default(),
        }
    }
}

/// Rules to be saved.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingBody {
    /// All rules of the directory, 100 at most. What no rule names is left to the default mapping.
    pub rules: Vec<Rule>,
    /// `losing` of the effect: so many users and groups may lose a value or a name. It is needed where the effect needs a
    /// confirmation. Absent: nothing is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
}

/// Confirms what a change takes away.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// `losing` of the effect: so many users and groups may lose a value or a name. Absent: nothing is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
}

/// A version of the rules of a directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = MappingVersion)]
pub struct MappingVersionView {
    /// Its number.
    pub version: u32,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Who saved it.
    pub saved_by: String,
    /// When.
    pub saved_at: Timestamp,
    /// The version whose rules it brought back. `null`: none.
    pub restored_from: Option<u32>,
}

impl From<MappingVersion> for MappingVersionView {
    fn from(saved: MappingVersion) -> Self {
        Self {
            rules: rules_of(&saved),
            version: saved.version,
            saved_by: saved.created_by,
            saved_at: saved.created_at,
            restored_from: saved.restored_from,
        }
    }
}

/// The versions of the rules of a directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MappingVersions {
    /// The newest first. The first one is current. The last 100 are kept.
    pub items: Vec<MappingVersionView>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, save)).routes(routes!(versions)).routes(routes!(restore))
}

/// Shows the rules of a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}/mapping", tag = "mapping", operation_id = "get_mapping",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = MappingView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Answer, Problem> {
    Ok(answer(api.services.mappings(&caller.actor)?.get(&id).await?))
}

/// The rules, and their version as the header `ETag`.
pub(super) type Answer = ([(HeaderName, String); 1], Json<MappingView>);

/// The answer with rules.
pub(super) fn answer(standing: Standing) -> Answer {
    let view = MappingView::from(standing);
    ([(ETAG, format!("\"{}\"", view.version))], Json(view))
}

/// Saves the rules of a directory
///
/// They become the next version, and the accounts of the directory are mapped anew. Rules that do not compile are refused,
/// with the rule, the position and what is wrong. Rules that would take a value or a name from more users or groups than a
/// threshold of the directory allows are refused with 409 and their `effect`, unless `confirm` repeats its `losing`.
#[utoipa::path(put, path = "/api/v1/directories/{id}/mapping", tag = "mapping", operation_id = "save_mapping",
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
    saved(&api.services.change_mappings(&caller.actor)?, &id, &known, body).await
}

/// Saves rules of one direction.
pub(super) async fn saved(
    changes: &MappingChanges<'_>,
    directory: &str,
    known: &IfMatch,
    body: Body<MappingBody>,
) -> Result<Answer, Problem> {
    let MappingBody { rules, confirm } = body.read()?;
    Ok(answer(changes.save(directory, Terms { known: known.known(), confirm }, &rules).await?))
}

/// Lists the versions of the rules of a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}/mapping/versions", tag = "mapping",
    operation_id = "list_mapping_versions",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = MappingVersions)))]
async fn versions(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<MappingVersions>, Problem> {
    listed(&api.services.mappings(&caller.actor)?, &id).await
}

/// Lists the versions of the rules of one direction.
pub(super) async fn listed(mappings: &Mappings<'_>, directory: &str) -> Result<Json<MappingVersions>, Problem> {
    let versions = mappings.versions(directory).await?;
    Ok(Json(MappingVersions { items: versions.into_iter().map(Into::into).collect() }))
}

/// Brings back the rules of an earlier version
///
/// They become the next version. What they would take away is confirmed in the same way as when rules are saved.
#[utoipa::path(post, path = "/api/v1/directories/{id}/mapping/versions/{version}/restore", tag = "mapping",
    operation_id = "restore_mapping",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("version" = u32, Path, description = "Number of the version"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; \
            412 if another one is current. Absent: any")),
    request_body = Confirmation, responses((status = 200, body = MappingView)))]
async fn restore(
    State(api): State<Api>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
    known: IfMatch,
    body: Body<Confirmation>,
) -> Result<Answer, Problem> {
    let changes = api.services.change_mappings(&caller.actor)?;
    let Confirmation { confirm } = body.read()?;
    restored(&changes, (&id, &version), Terms { known: known.known(), confirm }).await
}

/// Brings back rules of one direction.
pub(super) async fn restored(
    changes: &MappingChanges<'_>,
    (directory, version): (&str, &str),
    terms: Terms<'_>,
) -> Result<Answer, Problem> {
    let version = version.parse().map_err(|_| Problem::new(Kind::NotFound, "A version is a number."))?;
    Ok(answer(changes.restore(directory, version, terms).await?))
}
