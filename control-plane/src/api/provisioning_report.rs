//! `/api/v1/reports/provisioning`: what was done in targets, an operation a row. And carrying one user out on demand.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use postern_engine::provisioning::explain::Explanation;
use postern_engine::records::{IdentityId, OperationId, OperationState, PlanId};
use postern_engine::services::provisioning_report::{ReportRequest, ReportRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::export::{self, ExportFormat, Exported};
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
    /// Name of the directory.
    pub target: String,
    /// Id of the directory.
    pub target_id: Uuid,
    /// What was done: `create`, `update`, `move`, `enable`, `disable`, `delete`, `set_password`, `unlock`, or
    /// `change_members`.
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
    /// Who approved it, after it was held or planned. `null`: nobody had to.
    pub approved_by: Option<String>,
    /// Id of the plan that it comes from. `null`: none.
    pub plan_id: Option<Uuid>,
}

impl From<ReportRow> for OperationView {
    fn from(ReportRow { operation, target }: ReportRow) -> Self {
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
            target,
            target_id: operation.target.as_uuid(),
            action: operation.action,
            changes: operation.changes,
            state: operation.state,
            sent: operation.generation,
            sent_at: operation.sent_at,
            ended_at: operation.ended_at,
            elapsed_ms: operation.elapsed_ms,
            answer: operation.answer,
            approved_by: operation.approved_by,
            plan_id: operation.plan.map(|(plan, _)| plan.as_uuid()),
        }
    }
}

impl Exported for OperationView {
    const COLUMNS: &'static [&'static str] = &[
        "time",
        "cause",
        "actor",
        "kind",
        "identity_id",
        "name",
        "target",
        "action",
        "before",
        "after",
        "state",
        "answer",
        "elapsed_ms",
        "sent",
        "ended_at",
        "approved_by",
        "plan_id",
        "id",
    ];

    fn lines(self) -> Vec<Vec<String>> {
        let json = |value: Option<&Value>| value.map(ToString::to_string).unwrap_or_default();
        vec![vec![
            self.at.to_string(),
            self.cause,
            self.actor.unwrap_or_default(),
            self.kind,
            self.identity_id.to_string(),
            self.name,
            self.target,
            self.action,
            json(self.changes.get("before")),
            json(self.changes.get("after")),
            self.state.as_str().to_owned(),
            json(self.answer.as_ref()),
            self.elapsed_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            self.sent.to_string(),
            self.ended_at.map(|at| at.to_string()).unwrap_or_default(),
            self.approved_by.unwrap_or_default(),
            self.plan_id.map(|id| id.to_string()).unwrap_or_default(),
            self.id.to_string(),
        ]]
    }
}

/// Which operations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// All of them as a file of this form, in place of a page. Absent: a page.
    #[param(inline)]
    format: Option<ExportFormat>,
    /// Only of this user, by user name, display name, e-mail address or id. A deleted user has the user name for 30 days, and
    /// then only the id.
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
    /// Only of this plan.
    plan: Option<Uuid>,
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

/// Where an account is to be explained.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExplainQuery {
    /// Name or id of the directory.
    target: String,
}

/// A user who is compared.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProvisionedUser {
    /// Id of the user.
    pub user_id: Uuid,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(explain)).routes(routes!(provision))
}

/// Lists what was done in targets, the latest first
///
/// Operations are kept for 400 days after they have ended. With `format` all of it is one file. A file that ends early ends in the middle of a line or with the connection.
#[utoipa::path(get, path = "/api/v1/reports/provisioning", tag = "provisioning", operation_id = "list_operations",
    params(Query), responses((status = 200, content(
        (Listing<OperationView> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson")))))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let Query { format, user, group, target, action, state, plan, since, until, limit, cursor } = query;
    let list = List::new("operations", &[&user, &group, &target, &action, &state, &plan, &since, &until]);
    let page = list.request(limit, cursor.as_deref())?;
    let report = api.services.provisioning_report(&caller.actor)?;
    let plan = plan.map(PlanId::from_uuid);
    let asked = ReportRequest { user, group, target, action, state, plan, from: since, until };
    let filter = report.filter(&asked).await?;
    let Some(format) = format else {
        return Ok(Json(list.answer(report.list(&filter, &page).await?, OperationView::from)).into_response());
    };
    let read: export::Read<OperationView> = Box::new(move |api, caller, page| {
        let filter = filter.clone();
        async move {
            let found = api.services.provisioning_report(&caller.actor)?.list(&filter, &page).await?;
            Ok::<_, Problem>(found.page.map(OperationView::from))
        }
        .boxed()
    });
    Ok(export::answer(api.clone(), headers, format, "provisioning", read))
}

/// Shows one operation
#[utoipa::path(get, path = "/api/v1/reports/provisioning/{id}", tag = "provisioning", operation_id = "get_operation",
    params(("id" = Uuid, Path, description = "Id of the operation")),
    responses((status = 200, body = OperationView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<OperationId>) -> Result<Json<OperationView>, Problem> {
    Ok(Json(api.services.provisioning_report(&caller.actor)?.get(id).await?.into()))
}

/// Explains why a user has the account that it has in a directory, or has none
///
/// It shows what was read, what the settings and rules make of it, what is known of the account, and what would be done.
/// Nothing is sent. Sensitive values are masked.
#[utoipa::path(get, path = "/api/v1/users/{id}/provision/explain", tag = "provisioning", operation_id = "explain_user",
    params(("id" = String, Path, description = "Name or id of the user"), ExplainQuery),
    responses((status = 200, body = Explanation)))]
async fn explain(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    Params(query): Params<ExplainQuery>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(api.services.explanations(&caller.actor)?.user(&id, &query.target).await?))
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
