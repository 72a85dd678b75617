//! `/api/v1/directories/{id}/provisioning/plans`: what would be done in a directory, and having exactly that done.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use postern_engine::provisioning::plan::Summary;
use postern_engine::records::{IdentityId, OperationState, PlanId, PlanState, PlannedOperation};
use postern_engine::services::plans::{PlanOf, PlanRequest};
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
use super::problem::{Kind, Problem};

/// What plan is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlan {
    /// Only these users, by name or id. With `groups` at most 1,000. Both absent: all users and groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub users: Vec<String>,
    /// Only these groups, by name or id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub groups: Vec<String>,
    /// Id of another plan: what it has not carried out is planned again. Of one that was not applied, that is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Uuid>,
    /// How long it can be applied, in hours, 1 to 168. Absent: 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_hours: Option<u32>,
}

/// What would be done in a directory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanView {
    /// Its id.
    pub id: Uuid,
    /// Name of the directory.
    pub directory: String,
    /// What has become of it. Only one that is `ready` can be applied.
    pub state: PlanState,
    /// What it has found. While it is being made, nothing.
    pub summary: Summary,
    /// Why it could not be made. `null`: it could.
    pub problem: Option<String>,
    /// When somebody asked for it.
    pub created_at: Timestamp,
    /// Who did.
    pub created_by: String,
    /// When it was made. `null`: it is being made.
    pub made_at: Option<Timestamp>,
    /// Until when it can be applied.
    pub expires_at: Timestamp,
    /// When it was applied or discarded. `null`: it was not.
    pub decided_at: Option<Timestamp>,
    /// Who did that.
    pub decided_by: Option<String>,
}

impl From<PlanOf> for PlanView {
    fn from(PlanOf { directory, plan }: PlanOf) -> Self {
        Self {
            id: plan.id.as_uuid(),
            directory: directory.name,
            state: plan.state,
            summary: serde_json::from_value(plan.summary).unwrap_or_default(),
            problem: plan.problem,
            created_at: plan.created_at,
            created_by: plan.created_by,
            made_at: plan.made_at,
            expires_at: plan.expires_at,
            decided_at: plan.decided_at,
            decided_by: plan.decided_by,
        }
    }
}

/// One operation of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PlanOperation)]
pub struct PlanOperationView {
    /// Its place in the plan, from 0.
    pub place: u32,
    /// `user` or `group`.
    pub kind: String,
    /// Id of the user or group.
    pub identity_id: Uuid,
    /// Its name.
    pub name: String,
    /// What is done: `create`, `update`, `move`, `enable`, `disable`, `delete`, or `change_members`.
    pub action: String,
    /// The values before, by attribute; secrets are masked. `null`: none are known.
    pub before: Option<Value>,
    /// The values after, by attribute; secrets are masked. `null`: none.
    pub after: Option<Value>,
    /// What became of it. `null`: the plan was not applied.
    pub state: Option<OperationState>,
    /// The answer. `refused` with the code `changed_since_plan`: something else had to be done by then.
    pub answer: Option<Value>,
}

impl From<PlannedOperation> for PlanOperationView {
    fn from(mut planned: PlannedOperation) -> Self {
        let kind = match planned.identity {
            IdentityId::User(_) => "user",
            IdentityId::Group(_) => "group",
        };
        let mut part = |name: &str| planned.changes.get_mut(name).map(Value::take);
        let (before, after) = (part("before"), part("after"));
        let (state, answer) = planned.outcome.unzip();
        Self {
            place: planned.seq,
            kind: kind.to_owned(),
            identity_id: planned.identity.as_uuid(),
            name: planned.name,
            action: planned.action,
            before,
            after,
            state,
            answer: answer.flatten(),
        }
    }
}

impl Exported for PlanOperationView {
    const COLUMNS: &'static [&'static str] =
        &["place", "kind", "identity_id", "name", "action", "before", "after", "state", "answer"];

    fn lines(self) -> Vec<Vec<String>> {
        let json = |value: Option<Value>| value.map(|value| value.to_string()).unwrap_or_default();
        vec![vec![
            self.place.to_string(),
            self.kind,
            self.identity_id.to_string(),
            self.name,
            self.action,
            json(self.before),
            json(self.after),
            self.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
            json(self.answer),
        ]]
    }
}

/// A page of a list, or all of it as a file.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Paging {
    /// Items of a page, 1 to 1,000. Default 100.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct OperationsQuery {
    /// All of them as a file of this form, in place of a page. Absent: a page.
    #[param(inline)]
    format: Option<ExportFormat>,
    /// Items of a page, 1 to 1,000. Default 100.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, make))
        .routes(routes!(show, discard))
        .routes(routes!(operations))
        .routes(routes!(apply))
}

/// The id of a plan in the path. One that cannot be an id is one that does not exist.
fn plan(id: &str) -> Result<PlanId, Problem> {
    id.parse().map_err(|_| Problem::new(Kind::NotFound, "There is no such plan."))
}

/// Plans what would be done in a directory
///
/// All users and groups, or some, are compared with their accounts, and what differs is shown. Nothing is sent. The plan is
/// made in the background: read it until it is `ready`.
#[utoipa::path(post, path = "/api/v1/directories/{id}/provisioning/plans", tag = "provisioning", operation_id = "create_plan",
    params(("id" = String, Path, description = "Name or id of the directory")),
    request_body = NewPlan, responses((status = 201, body = PlanView)))]
async fn make(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<NewPlan>,
) -> Result<(StatusCode, Json<PlanView>), Problem> {
    let plans = api.services.run_plans(&caller.actor)?;
    let NewPlan { users, groups, again, expires_in_hours } = body.read()?;
    let again = again.map(PlanId::from_uuid);
    let made = plans.make(&id, &PlanRequest { users, groups, again, expires_in_hours }).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists the plans of a directory, the latest first
#[utoipa::path(get, path = "/api/v1/directories/{id}/provisioning/plans", tag = "provisioning", operation_id = "list_plans",
    params(("id" = String, Path, description = "Name or id of the directory"), Paging),
    responses((status = 200, body = Listing<PlanView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Listing<PlanView>>, Problem> {
    let list = List::new("plans", &[&id]);
    let page = list.request(paging.limit, paging.cursor.as_deref())?;
    Ok(Json(list.answer(api.services.plans(&caller.actor)?.list(&id, &page).await?, PlanView::from)))
}

/// Shows a plan
#[utoipa::path(get, path = "/api/v1/directories/{id}/provisioning/plans/{plan}", tag = "provisioning",
    operation_id = "get_plan",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("plan" = Uuid, Path, description = "Id of the plan")),
    responses((status = 200, body = PlanView)))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
) -> Result<Json<PlanView>, Problem> {
    let plans = api.services.plans(&caller.actor)?;
    Ok(Json(plans.get(&id, plan(&named)?).await?.into()))
}

/// Discards a plan
///
/// It cannot be applied any more.
#[utoipa::path(delete, path = "/api/v1/directories/{id}/provisioning/plans/{plan}", tag = "provisioning",
    operation_id = "discard_plan",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("plan" = Uuid, Path, description = "Id of the plan")),
    responses((status = 204)))]
async fn discard(
    State(api): State<Api>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let plans = api.services.run_plans(&caller.actor)?;
    plans.discard(&id, plan(&named)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the operations of a plan, in their order
///
/// Once the plan was applied, each says what became of it.
#[utoipa::path(get, path = "/api/v1/directories/{id}/provisioning/plans/{plan}/operations", tag = "provisioning",
    operation_id = "list_plan_operations",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("plan" = Uuid, Path, description = "Id of the plan"), OperationsQuery),
    responses((status = 200, content(
        (Listing<PlanOperationView> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson")))))]
async fn operations(
    State(api): State<Api>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
    headers: HeaderMap,
    Params(query): Params<OperationsQuery>,
) -> Result<Response, Problem> {
    let plans = api.services.plans(&caller.actor)?;
    let plan = plan(&named)?;
    let list = List::new("plan operations", &[&id, &plan]);
    let page = list.request(query.limit, query.cursor.as_deref())?;
    // Also before a file begins: whether there is such a plan.
    let found = plans.operations(&id, plan, &page).await?;
    let Some(format) = query.format else {
        return Ok(Json(list.answer(found, PlanOperationView::from)).into_response());
    };
    let read: export::Read<PlanOperationView> = Box::new(move |api, caller, page| {
        let id = id.clone();
        async move {
            let found = api.services.plans(&caller.actor)?.operations(&id, plan, &page).await?;
            Ok::<_, Problem>(found.page.map(PlanOperationView::from))
        }
        .boxed()
    });
    Ok(export::answer(api.clone(), headers, format, "plan", read))
}

/// Has the operations of a plan carried out, exactly as it shows them
///
/// An object for which something else would have to be done by now is refused: nothing of the plan is sent for it, and the
/// plan lists it. Applying is the approval that limits ask for.
#[utoipa::path(post, path = "/api/v1/directories/{id}/provisioning/plans/{plan}/apply", tag = "provisioning",
    operation_id = "apply_plan",
    params(("id" = String, Path, description = "Name or id of the directory"),
        ("plan" = Uuid, Path, description = "Id of the plan")),
    responses((status = 200, body = PlanView)))]
async fn apply(
    State(api): State<Api>,
    caller: Caller,
    Path((id, named)): Path<(String, String)>,
) -> Result<Json<PlanView>, Problem> {
    let plans = api.services.run_plans(&caller.actor)?;
    Ok(Json(plans.apply(&id, plan(&named)?).await?.into()))
}
