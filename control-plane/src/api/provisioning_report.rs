//! `/api/v1/reports/provisioning`: what was done in targets, an operation a row. And carrying one user out on demand.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::records::{IdentityId, Operation, OperationId, OperationState};
use postern_engine::services::provisioning::ReportRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;

/// A change of an object in a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView {
    /// Its id.
    pub id: Uuid,
    /// When it was decided.
    pub at: Timestamp,
    /// Why: the action of the audit log, or `comparison`.
    pub cause: String,
    /// Who caused it. `null`: nobody in particular.
    pub actor: Option<String>,
    /// `user` or `group`.
    pub kind: String,
    /// Id of the user or group.
    pub identity_id: Uuid,
    /// The name that it had.
    pub name: String,
    /// Id of the target.
    pub target_id: Uuid,
    /// What was done: `create`, `update`, `move`, `enable`, `disable`, `delete`, or `change_members`.
    pub action: String,
    /// The values before and after; secrets are masked.
    pub changes: Value,
    /// What has become of it.
    pub state: OperationState,
    /// How often it was sent.
    pub sent: u32,
    /// When it was sent last.
    pub sent_at: Option<Timestamp>,
    /// When it ended. `null`: it has not.
    pub ended_at: Option<Timestamp>,
    /// How long the target took, milliseconds.
    pub elapsed_ms: Option<u64>,
    /// The target's answer.
    pub answer: Option<Value>,
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        let kind = match operation.identity {
            IdentityId::User(_) => "user",
            IdentityId::Group(_) => "group",
        };
        Self {
            id: operation.id.as_uuid(),
            at: operation.created_at,
            cause: operation.cause,
            actor: operation.actor,
            kind: kind.to_owned(),
            identity_id: operation.identity.as_uuid(),
            name: operation.name,
            target_id: operation.target.as_uuid(),
            action: operation.action,
            changes: operation.changes,
            state: operation.state,
            sent: operation.generation,
            sent_at: operation.sent_at,
            ended_at: operation.ended_at,
            elapsed_ms: operation.elapsed_ms,
            answer: operation.answer,
        }
    }
}

/// Which operations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Only of this user, by name or id.
    user: Option<String>,
    /// Only of this group, by name or id.
    group: Option<String>,
    /// Only in this directory, by name or id.
    target: Option<String>,
    /// Only this action.
    action: Option<String>,
    /// Only in this state.
    #[param(inline)]
    state: Option<OperationState>,
    /// Only decided at this time or later.
    since: Option<Timestamp>,
    /// Only decided before this time.
    until: Option<Timestamp>,
    /// Items of a page, 1 to 1,000. Default 100.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Where a user is to be provisioned.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionRequest {
    /// Name or id of the directory.
    pub target: String,
}

/// A user who is compared.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProvisionedUser {
    /// Id of the user.
    pub user_id: Uuid,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(provision))
}

/// Lists what was done in targets, the latest first
#[utoipa::path(get, path = "/api/v1/reports/provisioning", tag = "provisioning", operation_id = "list_operations",
    params(Query), responses((status = 200, body = Listing<OperationView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<Json<Listing<OperationView>>, Problem> {
    let Query { user, group, target, action, state, since, until, limit, cursor } = query;
    let list = List::new("operations", &[&user, &group, &target, &action, &state, &since, &until]);
    let page = list.request(limit, cursor.as_deref())?;
    let report = api.services.provisioning_report(&caller.actor)?;
    let asked = ReportRequest { user, group, target, action, state, from: since, until };
    let filter = report.filter(&asked).await?;
    Ok(Json(list.answer(report.list(&filter, &page).await?, OperationView::from)))
}

/// Shows one operation
#[utoipa::path(get, path = "/api/v1/reports/provisioning/{id}", tag = "provisioning", operation_id = "get_operation",
    params(("id" = Uuid, Path, description = "Id of the operation")),
    responses((status = 200, body = OperationView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<OperationId>) -> Result<Json<OperationView>, Problem> {
    Ok(Json(api.services.provisioning_report(&caller.actor)?.get(id).await?.into()))
}

/// Compares a user with the account in a directory at once
///
/// What differs is carried out, even if it failed before and waits. The report shows what was done.
#[utoipa::path(post, path = "/api/v1/users/{id}/provision", tag = "provisioning", operation_id = "provision_user",
    params(("id" = String, Path, description = "Name or id of the user")),
    request_body = ProvisionRequest, responses((status = 200, body = ProvisionedUser)))]
async fn provision(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<ProvisionRequest>,
) -> Result<Json<ProvisionedUser>, Problem> {
    let provisioning = api.services.run_provisioning(&caller.actor)?;
    let user = provisioning.provision_user(&id, &body.read()?.target).await?;
    Ok(Json(ProvisionedUser { user_id: user.as_uuid() }))
}
