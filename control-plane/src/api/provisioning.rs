//! `/api/v1/directories/{id}/provisioning`: what a directory gets.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::provisioning::settings::Settings;
use postern_engine::records::{IdentityId, OperationId};
use postern_engine::services::provisioning::{Failing, Standing};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::users::Tag;
use super::versions::{IfMatch, etag};

/// What a directory gets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Provisioning)]
pub struct ProvisioningView {
    /// Name of the directory.
    pub directory: String,
    /// The settings. Of a directory that gets nothing, all are off.
    pub settings: Settings,
    /// Whether nothing is sent for now.
    pub paused: bool,
    /// How many operations wait for an administrator.
    pub held: u64,
    /// How many accounts of users provisioning has made or adopted there.
    pub accounts: u64,
    /// How many users and groups wait after failures, to be tried again.
    pub failing: u64,
    /// Why most of them fail. `null`: none does.
    pub most_fail_because: Option<String>,
    /// Whether an agent of the directory is connected. Without one, everything waits.
    pub agent_connected: bool,
    /// The names of the groups that the settings name, by id. One that was deleted is not there.
    pub group_names: BTreeMap<Uuid, String>,
    /// Counts the changes of the settings. 0: none were ever saved.
    pub revision: u32,
    /// When the settings changed last. `null`: none were ever saved.
    pub updated_at: Option<Timestamp>,
    /// Who changed them.
    pub updated_by: Option<String>,
}

/// What a directory should get.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisioningRequest {
    /// The settings. What is not given is off.
    pub settings: Settings,
    /// Send nothing for now.
    #[serde(default)]
    pub paused: bool,
}

/// Which held operations are decided.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldRequest {
    /// Ids of held operations, at most 1,000. Absent: all that are held.
    #[serde(default)]
    pub operations: Option<Vec<Uuid>>,
}

/// How many held operations were decided.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct HeldDecision {
    /// So many.
    pub decided: u64,
}

/// A user or group whose account could not be changed. It is tried again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = FailingIdentity)]
pub struct FailingView {
    /// Id of the user or group.
    pub id: Uuid,
    /// `user` or `group`.
    pub kind: String,
    /// Its name. `null`: it was deleted.
    pub name: Option<String>,
    /// How often in a row it failed.
    pub failures: u32,
    /// Why it failed last.
    pub problem: Option<String>,
    /// When it is tried again.
    pub next_try_at: Timestamp,
}

impl From<Failing> for FailingView {
    fn from(Failing { mark, name }: Failing) -> Self {
        let kind = match mark.identity {
            IdentityId::User(_) => "user",
            IdentityId::Group(_) => "group",
        };
        Self {
            id: mark.identity.as_uuid(),
            kind: kind.to_owned(),
            name,
            failures: mark.failures,
            problem: mark.problem,
            next_try_at: mark.not_before,
        }
    }
}

/// The page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Paging {
    /// Items of a page, 1 to 1,000. Default 100.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show, save, remove))
        .routes(routes!(compare))
        .routes(routes!(failures))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

fn answer(standing: Standing) -> (Tag, Json<ProvisioningView>) {
    let tag = etag(&standing.version());
    let Standing { directory, saved, settings, held, state } = standing;
    let view = ProvisioningView {
        directory: directory.name,
        settings,
        held,
        accounts: state.accounts,
        failing: state.failing,
        most_fail_because: state.most_fail_because,
        agent_connected: state.is_connected,
        group_names: state.group_names,
        paused: saved.as_ref().is_some_and(|saved| saved.paused),
        revision: saved.as_ref().map_or(0, |saved| saved.revision),
        updated_at: saved.as_ref().map(|saved| saved.updated_at),
        updated_by: saved.map(|saved| saved.updated_by),
    };
    (tag, Json(view))
}

/// Shows what a directory gets
#[utoipa::path(get, path = "/api/v1/directories/{id}/provisioning", tag = "provisioning", operation_id = "get_provisioning",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = ProvisioningView)))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<(Tag, Json<ProvisioningView>), Problem> {
    Ok(answer(api.services.provisioning(&caller.actor)?.get(&id).await?))
}

/// Sets what a directory gets
///
/// All users and groups are compared with their accounts in the background, and what differs is carried out.
#[utoipa::path(put, path = "/api/v1/directories/{id}/provisioning", tag = "provisioning", operation_id = "set_provisioning",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; 412 if the settings have changed since. Absent: any")),
    request_body = ProvisioningRequest, responses((status = 200, body = ProvisioningView)))]
async fn save(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<ProvisioningRequest>,
) -> Result<(Tag, Json<ProvisioningView>), Problem> {
    let provisioning = api.services.change_provisioning(&caller.actor)?;
    let ProvisioningRequest { settings, paused } = body.read()?;
    Ok(answer(provisioning.save(&id, settings, paused, known.known()).await?))
}

/// Ends provisioning to a directory
///
/// The accounts that are there stay as they are.
#[utoipa::path(delete, path = "/api/v1/directories/{id}/provisioning", tag = "provisioning", operation_id = "delete_provisioning",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 204)))]
async fn remove(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<StatusCode, Problem> {
    api.services.change_provisioning(&caller.actor)?.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Compares all users and groups with their accounts in a directory
///
/// It happens in the background. What differs is carried out.
#[utoipa::path(post, path = "/api/v1/directories/{id}/provisioning/compare", tag = "provisioning",
    operation_id = "compare_provisioning",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = ProvisioningView)))]
async fn compare(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<(Tag, Json<ProvisioningView>), Problem> {
    Ok(answer(api.services.run_provisioning(&caller.actor)?.compare(&id).await?))
}

/// Lists users and groups whose accounts in a directory could not be changed
#[utoipa::path(get, path = "/api/v1/directories/{id}/provisioning/failures", tag = "provisioning",
    operation_id = "list_provisioning_failures",
    params(("id" = String, Path, description = "Name or id of the directory"), Paging),
    responses((status = 200, body = Listing<FailingView>)))]
async fn failures(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<FailingView>>, Problem> {
    let list = List::new("provisioning failures", &[&id]);
    let page = list.request(paging.limit, paging.cursor.as_deref())?;
    let found = api.services.provisioning(&caller.actor)?.failing(&id, &page).await?;
    Ok(Json(list.answer(found, FailingView::from)))
}

async fn decide(api: &Api, caller: &Caller, id: &str, body: Body<HeldRequest>, approve: bool) -> Answered {
    let provisioning = api.services.run_provisioning(&caller.actor)?;
    let asked = body.read()?.operations;
    if asked.as_ref().is_some_and(|asked| asked.len() > 1_000) {
        return Err(Problem::parameter("operations", "at most 1,000 at a time".to_owned()));
    }
    let asked: Option<Vec<OperationId>> = asked.map(|ids| ids.into_iter().map(OperationId::from_uuid).collect());
    Ok(Json(HeldDecision { decided: provisioning.decide(id, asked.as_deref(), approve).await? }))
}

type Answered = Result<Json<HeldDecision>, Problem>;

/// Lets held operations be sent
///
/// What has changed since they were decided is not sent, but decided anew.
#[utoipa::path(post, path = "/api/v1/directories/{id}/provisioning/approve", tag = "provisioning",
    operation_id = "approve_operations",
    params(("id" = String, Path, description = "Name or id of the directory")),
    request_body = HeldRequest, responses((status = 200, body = HeldDecision)))]
async fn approve(State(api): State<Api>, caller: Caller, Id(id): Id<String>, body: Body<HeldRequest>) -> Answered {
    decide(&api, &caller, &id, body, true).await
}

/// Drops held operations
///
/// Their users and groups are decided anew with their next change, or when all are compared.
#[utoipa::path(post, path = "/api/v1/directories/{id}/provisioning/reject", tag = "provisioning",
    operation_id = "reject_operations",
    params(("id" = String, Path, description = "Name or id of the directory")),
    request_body = HeldRequest, responses((status = 200, body = HeldDecision)))]
async fn reject(State(api): State<Api>, caller: Caller, Id(id): Id<String>, body: Body<HeldRequest>) -> Answered {
    decide(&api, &caller, &id, body, false).await
}
