//! `/api/v1/jobs`: asking for work, watching it, and deciding what a safeguard stopped.

mod events;
pub(crate) mod preview;
mod types;
pub mod view;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use postern_engine::records::JobState;
use postern_engine::services::jobs::JobRequest as Wanted;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::{Api, idempotency};
pub use types::KindName;
pub(super) use types::{all as all_types, input as input_type};
pub use view::JobView;

/// A job to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// What to do.
    pub kind: KindName,
    /// Name or id of the directory.
    pub directory: String,
    /// What is asked for beside the directory, as the kind wants it. Absent: nothing.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(schema_with = types::input)]
    pub input: Map<String, Value>,
    /// Until when it must be over, or it fails. Absent: a day from now for an import, two minutes for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The same in seconds from now; not together with `deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct JobQuery {
    /// Name or id of a directory. Absent: any.
    directory: Option<String>,
    /// Absent: any kind.
    kind: Option<KindName>,
    /// Absent: any state.
    state: Option<JobState>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(events::follow))
        .routes(routes!(preview::rows))
        .routes(routes!(cancel))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

/// Lists the jobs, the latest first
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", operation_id = "list_jobs", params(JobQuery),
    responses((status = 200, body = Listing<JobView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<JobQuery>,
) -> Result<Json<Listing<JobView>>, Problem> {
    let jobs = api.services.jobs(&caller.actor)?;
    let kind = query.kind.as_ref().map(KindName::as_str);
    let filter = jobs.filter(query.directory.as_deref(), kind, query.state).await?;
    let list = List::new("jobs", &[&filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    Ok(Json(list.answer(jobs.list(&filter, &request).await?, JobView::from)))
}

/// Starts a job
///
/// It is carried out by an agent that serves the directory, as soon as one is connected.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", operation_id = "start_job", request_body = JobRequest,
    responses((status = 201, body = JobView)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body<JobRequest>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let jobs = api.services.run_jobs(&caller.actor)?;
    let request = body.read()?;
    let key = headers.get(idempotency::HEADER).and_then(|key| key.to_str().ok());
    let wanted = Wanted {
        kind: request.kind.as_str().to_owned(),
        directory: request.directory,
        input: Value::Object(request.input),
        deadline: request.deadline,
        timeout_seconds: request.timeout_seconds,
        // The store makes one job at most under it, should the answer have been lost in a crash.
        idempotency_key: key.map(str::to_owned),
    };
    Ok((StatusCode::CREATED, Json(jobs.start(wanted).await?.into())))
}

/// Shows a job
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<JobView>, Problem> {
    Ok(Json(api.services.jobs(&caller.actor)?.get(&id).await?.into()))
}

/// Cancels a job
///
/// A job that runs goes on until its agent has stopped; watch its state.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn cancel(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<JobView>, Problem> {
    Ok(Json(api.services.run_jobs(&caller.actor)?.cancel(&id).await?.into()))
}

/// Lets a held job go on
#[utoipa::path(post, path = "/api/v1/jobs/{id}/approve", tag = "jobs", operation_id = "approve_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn approve(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<JobView>, Problem> {
    Ok(Json(api.services.run_jobs(&caller.actor)?.approve(&id).await?.into()))
}

/// Why a held job is ended.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// For those who look at the job later, up to 4 KiB. Absent: no reason is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Ends a held job without what it was held for
#[utoipa::path(post, path = "/api/v1/jobs/{id}/reject", tag = "jobs", operation_id = "reject_job", request_body = Option<Rejection>,
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn reject(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<Rejection>,
) -> Result<Json<JobView>, Problem> {
    let jobs = api.services.run_jobs(&caller.actor)?;
    let reason = body.read()?.reason.unwrap_or_default();
    Ok(Json(jobs.reject(&id, &reason).await?.into()))
}
