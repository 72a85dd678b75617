//! `POST /api/v1/directories/{id}/mapping/preview`: tries mapping rules on one account, before they are saved.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use postern_engine::identity::mapping::rules::{Rule, RuleOf};
use postern_engine::identity::trial::{Input, TriedRule};
use postern_engine::intake::effect::Effect;
use postern_engine::records::{AccountId, JobId};
use postern_engine::services::mapping_preview::{Preview, PreviewRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::mapping::MappingBody;
use super::problem::Problem;

/// Whom to try rules on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingPreviewRequest {
    /// The user: name or id, or the DN, external id or id of the account. With `live`, also the value of the unique
    /// attribute. Absent: it is about a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group, in the same way. Absent: it is about a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The rules. Absent: those that are saved, or the default mapping as rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// Whether an agent reads the user now, by a look-up. Absent: the stored account is used.
    #[serde(default)]
    pub live: bool,
}

/// What rules make of an account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MappingPreview {
    /// The directory's name.
    pub directory: String,
    /// The version of the saved rules, 0 where none are saved. `null`: the rules came with the request.
    pub version: Option<u32>,
    /// The DN of the account.
    pub dn: String,
    /// Its external id.
    pub external_id: String,
    /// The stored account. Of an entry that no import has seen it is new each time.
    #[schema(value_type = uuid::Uuid)]
    pub account_id: AccountId,
    /// The look-up that has read the entry now. `null`: the stored account was used.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<JobId>,
    /// What the rules can read: first what they do read, then the rest.
    pub inputs: Vec<Input>,
    /// The rules about accounts of this kind, each with its result or error.
    pub rules: Vec<TriedRule>,
    /// The user or group as it is. `null`: there is none yet.
    #[schema(value_type = Option<Object>)]
    pub before: Option<BTreeMap<String, Value>>,
    /// The user or group as it would be. What a failing rule fills keeps its value.
    #[schema(value_type = Object)]
    pub after: BTreeMap<String, Value>,
    /// The earlier directory that has the user, and whose values come first. `null`: there is none.
    pub provided_by: Option<String>,
}

impl From<Preview> for MappingPreview {
    fn from(preview: Preview) -> Self {
        let Preview { directory, version, account, job, trial, before, after, provided_by } = preview;
        Self {
            directory: directory.name,
            version,
            external_id: account.external_key.to_text(),
            dn: account.dn,
            account_id: account.id,
            job_id: job,
            inputs: trial.inputs,
            rules: trial.rules,
            before,
            after,
            provided_by,
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(preview)).routes(routes!(effect))
}

/// Tries mapping rules on one account
///
/// Shows what the rules read, what each gives, and the user or group before and after. Nothing is saved. With `live` an
/// agent reads the entry first; that look-up stays among the jobs. Values of sensitive attributes are not shown.
#[utoipa::path(post, path = "/api/v1/directories/{id}/mapping/preview", tag = "mapping", operation_id = "preview_mapping",
    params(("id" = String, Path, description = "Name or id of the directory")),
    request_body = MappingPreviewRequest, responses((status = 200, body = MappingPreview)))]
async fn preview(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<MappingPreviewRequest>,
) -> Result<Json<MappingPreview>, Problem> {
    let previews = api.services.preview_mappings(&caller.actor)?;
    let MappingPreviewRequest { user, group, rules, live } = body.read()?;
    let (of, named) = match (user, group) {
        (Some(user), None) => (RuleOf::Users, user),
        (None, Some(group)) => (RuleOf::Groups, group),
        _ => return Err(Problem::body_field("user", "name either a user or a group")),
    };
    Ok(Json(previews.preview(&id, PreviewRequest { of, named, rules, live }).await?.into()))
}

/// Counts what mapping rules would change
///
/// Maps the stored accounts by these rules, and says how many users and groups would change or lose a value, whether that must
/// be confirmed, and which attributes the rules read that no account has. At most 300,000 accounts are looked at. Nothing is
/// saved.
#[utoipa::path(post, path = "/api/v1/directories/{id}/mapping/effect", tag = "mapping", operation_id = "count_mapping",
    params(("id" = String, Path, description = "Name or id of the directory")),
    request_body = MappingBody, responses((status = 200, body = Effect)))]
async fn effect(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<MappingBody>,
) -> Result<Json<Effect>, Problem> {
    let previews = api.services.preview_mappings(&caller.actor)?;
    Ok(Json(previews.effect(&id, &body.read()?.rules).await?))
}
