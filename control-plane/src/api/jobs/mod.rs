//! `/api/v1/jobs`: asking for work, watching it, and deciding what a safeguard stopped.
//!
//! Handlers only write rows; whichever replica can reach the directory is woken by the store and does the work.

mod changes;
mod events;
mod types;
pub mod view;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use postern_engine::records::{Directory, Job, JobId, JobState};
use postern_proto::{limits, text};
use postern_store::{JobFilter, NewJob};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auditor, Caller, Operator};
use super::extract::{Body, Id, Params};
use super::page::{List, Listing, total};
use super::problem::{Kind as ProblemKind, Problem};
use super::{Api, directories, idempotency, resolve};
pub use changes::Changes;
use postern_engine::jobs::kind::Kind;
use postern_engine::kinds;
pub use types::KindName;
pub(super) use types::all as all_types;
pub use view::JobView;

/// Longest a job may wait and run.
const MAX_TIMEOUT_SECONDS: u64 = 30 * 24 * 60 * 60;

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
        .routes(routes!(cancel))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

/// Lists the jobs, the latest first
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", operation_id = "list_jobs", params(JobQuery),
    responses((status = 200, body = Listing<JobView>)))]
async fn list(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    Params(query): Params<JobQuery>,
) -> Result<Json<Listing<JobView>>, Problem> {
    let directory = directories::find_wanted(&api, caller.organization, query.directory.as_deref()).await?;
    let list = List::new("jobs", &[&directory, &query.kind, &query.state]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let kind = match &query.kind {
        Some(name) => Some(name.kind().ok_or_else(|| Problem::parameter("kind", unknown_kind()))?.name().to_owned()),
        None => None,
    };
    let filter = JobFilter { state: query.state, kind, directory };
    let page = api.store.list_jobs(caller.organization, &filter, &request).await?;
    let total = total(&request, &page, api.store.total_jobs(caller.organization, &filter)).await?;
    Ok(Json(list.answer(page, total, |job| JobView::from(told(&api, job)))))
}

/// Starts a job
///
/// It is carried out by an agent that serves the directory, as soon as one is connected.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", operation_id = "start_job", request_body = JobRequest,
    responses((status = 201, body = JobView)))]
async fn create(
    State(api): State<Api>,
    Operator(caller): Operator,
    headers: HeaderMap,
    Body(request): Body<JobRequest>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let now = api.now();
    let kind = request.kind.kind().ok_or_else(|| Problem::body_field("kind", unknown_kind()))?;
    let input = kind.input(&Value::Object(request.input.clone()));
    let input = input.map_err(|error| Problem::body_field(&error.field, error.detail))?;
    let deadline = deadline(&request, kind, now)?;
    let directory = directories::find(&api, caller.organization, &request.directory).await?;
    enabled(&directory)?;
    let new = NewJob {
        organization: caller.organization,
        kind: kind.name().to_owned(),
        exclusive: kind.is_exclusive(),
        directory: directory.id,
        input,
        deadline,
        created_by: caller.name.to_string(),
        idempotency_key: idempotency_key(&headers, &caller),
    };
    let job = api.store.create_job(new, now).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, job = %job.id, kind = %job.kind, "job.created");
    metrics::counter!("postern_jobs_created_total", "kind" => kind.name()).increment(1);
    Ok((StatusCode::CREATED, Json(job.into())))
}

/// Shows a job
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn show(State(api): State<Api>, Auditor(caller): Auditor, Id(id): Id<String>) -> Result<Json<JobView>, Problem> {
    let id = resolve::job(&api, caller.organization, &id).await?;
    Ok(Json(find(&api, &caller, id).await?.into()))
}

/// Cancels a job
///
/// A job that runs goes on until its agent has stopped; watch its state.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn cancel(
    State(api): State<Api>,
    Operator(caller): Operator,
    Id(id): Id<String>,
) -> Result<Json<JobView>, Problem> {
    let id = resolve::job(&api, caller.organization, &id).await?;
    let job = api.store.request_cancel(caller.organization, id, api.now()).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, job = %id, "job.cancel_requested");
    Ok(Json(job.into()))
}

/// Lets a held job go on
#[utoipa::path(post, path = "/api/v1/jobs/{id}/approve", tag = "jobs", operation_id = "approve_job",
    params(("id" = String, Path, description = "Id of the job, or its beginning")), responses((status = 200, body = JobView)))]
async fn approve(
    State(api): State<Api>,
    Operator(caller): Operator,
    Id(id): Id<String>,
) -> Result<Json<JobView>, Problem> {
    let id = resolve::job(&api, caller.organization, &id).await?;
    let held = find(&api, &caller, id).await?;
    if let Some(directory) = api.store.get_directory(caller.organization, held.directory).await? {
        // It would end at once, and what it was held for would be lost.
        enabled(&directory)?;
    }
    let job = api.store.approve_job(caller.organization, id, &caller.name, api.now()).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, job = %id, "job.approved");
    Ok(Json(job.into()))
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
    Operator(caller): Operator,
    Id(id): Id<String>,
    Body(rejection): Body<Rejection>,
) -> Result<Json<JobView>, Problem> {
    let reason = rejection.reason.as_deref().unwrap_or_default();
    if reason.len() > limits::MAX_TEXT_BYTES {
        let detail = format!("The reason is longer than {} bytes.", limits::MAX_TEXT_BYTES);
        return Err(Problem::new(ProblemKind::Unprocessable, detail));
    }
    let reason = text::optional(reason);
    let id = resolve::job(&api, caller.organization, &id).await?;
    let job = api.store.reject_job(caller.organization, id, &caller.name, reason.as_deref(), api.now()).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, job = %id, "job.rejected");
    Ok(Json(job.into()))
}

async fn find(api: &Api, caller: &Caller, id: JobId) -> Result<Job, Problem> {
    let job = api.store.get_job(caller.organization, id).await?.ok_or_else(|| Problem::not_found("job"))?;
    Ok(told(api, job))
}

/// A full disk keeps jobs from being written about, so it is told from here.
fn told(api: &Api, job: Job) -> Job {
    const FULL: &str =
        "The volume of the control plane's database is full or cannot be written. The job goes on when there is room.";
    let stuck = api.store.is_full() && !job.state.is_final();
    if stuck { Job { message: Some(FULL.to_owned()), ..job } } else { job }
}

fn unknown_kind() -> String {
    let names: Vec<&str> = kinds::ALL.iter().map(|kind| kind.name()).collect();
    format!("it must be one of {}", names.join(", "))
}

fn enabled(directory: &Directory) -> Result<(), Problem> {
    if directory.disabled {
        return Err(Problem::new(ProblemKind::Conflict, format!("The directory {:?} is disabled.", directory.name))
            .cure(format!("Enable it first: `postern directories enable {}`.", directory.name)));
    }
    Ok(())
}

fn deadline(request: &JobRequest, kind: &dyn Kind, now: Timestamp) -> Result<Timestamp, Problem> {
    let (field, wanted) = match (request.deadline, request.timeout_seconds) {
        (Some(_), Some(_)) => {
            return Err(Problem::body_field("timeout_seconds", "give either deadline or timeout_seconds"));
        }
        (Some(deadline), None) => ("deadline", deadline.duration_since(now)),
        (None, Some(seconds)) => {
            ("timeout_seconds", SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
        }
        (None, None) => {
            let usual = kind.deadline().as_secs();
            ("deadline", SignedDuration::from_secs(i64::try_from(usual).unwrap_or(i64::MAX)))
        }
    };
    let allowed = 1..=MAX_TIMEOUT_SECONDS;
    if !u64::try_from(wanted.as_secs()).is_ok_and(|seconds| allowed.contains(&seconds)) {
        return Err(Problem::body_field(field, "it must be within the next 30 days"));
    }
    now.checked_add(wanted).map_err(|_| Problem::body_field(field, "it must be within the next 30 days"))
}

/// The key under which the store makes one job at most, should the answer have been lost in a crash. It contains the
/// token, so that two administrators' keys never meet.
fn idempotency_key(headers: &HeaderMap, caller: &Caller) -> Option<String> {
    let key = headers.get(idempotency::HEADER)?.to_str().ok()?;
    Some(format!("{}/{key}", caller.token))
}
