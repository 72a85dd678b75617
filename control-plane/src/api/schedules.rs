//! `/api/v1/schedules`: jobs that start by themselves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::records::{JobId, JobState, LastRun, MissedRuns, RunOutcome, ScheduleId};
use postern_engine::schedules::timing::Timing;
use postern_engine::services::schedules::{ScheduleChange, ScheduleRequest as Wanted, Shown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::jobs::view::DirectoryRef;
use super::jobs::{KindName, input_type};
use super::page::{List, Listing};
use super::problem::Problem;

/// A schedule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ScheduleId,
    /// Its name, unique in the organization.
    pub name: String,
    /// On which directory its jobs work.
    pub directory: DirectoryRef,
    /// What its jobs do.
    pub kind: KindName,
    /// What its jobs are asked for beside the directory.
    #[schema(schema_with = input_type)]
    pub input: Value,
    /// When it runs.
    #[schema(value_type = Timing)]
    pub timing: Value,
    /// The same in words.
    pub timing_text: String,
    /// The IANA name of the time zone in which that is meant.
    pub time_zone: String,
    /// Each run is later by up to so many seconds. How many follows from the schedule and the time.
    pub jitter_seconds: u32,
    /// What becomes of runs that could not start in time.
    pub missed_runs: MissedRuns,
    /// It does not run until it is resumed.
    pub paused: bool,
    /// Its next five runs. Empty: it is paused.
    pub next_runs: Vec<Timestamp>,
    /// Its last run. `null`: it has not run yet.
    pub last_run: Option<LastRunView>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The API token that made it, by name.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The API token that did that, by name.
    pub updated_by: String,
}

/// What came of the last run of a schedule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ScheduleRun)]
pub struct LastRunView {
    /// When it was looked at.
    pub at: Timestamp,
    /// What came of it; programs decide by it.
    pub outcome: RunOutcome,
    /// Why it started no job, and what to do about it. `null`: it started one.
    pub problem: Option<String>,
    /// The job that it started, or that was in its way. `null`: there is none.
    #[schema(value_type = Option<Uuid>)]
    pub job: Option<JobId>,
    /// The state of that job. `null`: there is none, or it was deleted since.
    pub job_state: Option<JobState>,
}

impl From<Shown> for ScheduleView {
    fn from(shown: Shown) -> Self {
        let Shown { schedule, timing_text, next_runs, problem } = shown;
        let settings = schedule.settings;
        let last_run = schedule.last_run.map(|LastRun { at, outcome, job, job_state, .. }| LastRunView {
            at,
            outcome,
            problem,
            job,
            job_state,
        });
        Self {
            id: schedule.id,
            name: settings.name,
            directory: DirectoryRef { id: settings.directory, name: schedule.directory_name },
            kind: KindName::from(settings.kind.as_str()),
            input: settings.input,
            timing: settings.timing,
            timing_text,
            time_zone: settings.time_zone,
            jitter_seconds: settings.jitter_seconds,
            missed_runs: settings.missed_runs,
            paused: settings.paused,
            next_runs,
            last_run,
            created_at: schedule.created_at,
            created_by: schedule.created_by,
            updated_at: schedule.updated_at,
            updated_by: schedule.updated_by,
        }
    }
}

/// A schedule to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// What to call it, 1 to 100 characters, unique in the organization.
    pub name: String,
    /// Name or id of the directory.
    pub directory: String,
    /// What its jobs do.
    pub kind: KindName,
    /// What its jobs are asked for beside the directory, as the kind wants it. Absent: nothing.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(schema_with = input_type)]
    pub input: Map<String, Value>,
    /// When it runs.
    pub timing: Timing,
    /// The IANA name of the time zone in which that is meant, like `Europe/Berlin`. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Make each run later by up to so many seconds, at most 21,600 and less than the time between two runs. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 21600)]
    pub jitter_seconds: Option<u32>,
    /// What becomes of runs that cannot start in time. Absent: `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<MissedRuns>,
    /// Do not run until it is resumed. Absent: run.
    #[serde(default)]
    pub paused: bool,
}

/// What to change about a schedule. Absent fields stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulePatch {
    /// What to call it, 1 to 100 characters, unique in the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name or id of the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// What its jobs do. The input must fit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// What its jobs are asked for beside the directory; replaces all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = input_type)]
    pub input: Option<Map<String, Value>>,
    /// When it runs; replaces all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
    /// The IANA name of the time zone in which that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Make each run later by up to so many seconds, at most 21,600 and less than the time between two runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 21600)]
    pub jitter_seconds: Option<u32>,
    /// What becomes of runs that cannot start in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<MissedRuns>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScheduleQuery {
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, delete))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// Lists the schedules
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", operation_id = "list_schedules",
    params(ScheduleQuery), responses((status = 200, body = Listing<ScheduleView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ScheduleQuery>,
) -> Result<Json<Listing<ScheduleView>>, Problem> {
    let schedules = api.services.schedules(&caller.actor)?;
    let list = List::new("schedules", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    Ok(Json(list.answer(schedules.list(&request).await?, ScheduleView::from)))
}

/// Makes a schedule
///
/// It starts jobs by itself from then on, as if somebody had asked for them.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", operation_id = "create_schedule",
    request_body = ScheduleRequest, responses((status = 201, body = ScheduleView)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Body<ScheduleRequest>,
) -> Result<(StatusCode, Json<ScheduleView>), Problem> {
    let schedules = api.services.change_schedules(&caller.actor)?;
    let request = body.read()?;
    let wanted = Wanted {
        name: request.name,
        directory: request.directory,
        kind: request.kind.as_str().to_owned(),
        input: Value::Object(request.input),
        timing: request.timing,
        time_zone: request.time_zone,
        jitter_seconds: request.jitter_seconds,
        missed_runs: request.missed_runs,
        paused: request.paused,
    };
    Ok((StatusCode::CREATED, Json(schedules.create(wanted).await?.into())))
}

/// Shows a schedule
#[utoipa::path(get, path = "/api/v1/schedules/{id}", tag = "schedules", operation_id = "get_schedule",
    params(("id" = String, Path, description = "Name or id of the schedule, or the beginning of its id")),
    responses((status = 200, body = ScheduleView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(api.services.schedules(&caller.actor)?.get(&id).await?.into()))
}

/// Changes a schedule
///
/// Where its times change, the next run is the first one after now.
#[utoipa::path(patch, path = "/api/v1/schedules/{id}", tag = "schedules", operation_id = "change_schedule",
    params(("id" = String, Path, description = "Name or id of the schedule, or the beginning of its id")),
    request_body = SchedulePatch, responses((status = 200, body = ScheduleView)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<SchedulePatch>,
) -> Result<Json<ScheduleView>, Problem> {
    let schedules = api.services.change_schedules(&caller.actor)?;
    let patch = body.read()?;
    let change = ScheduleChange {
        name: patch.name,
        directory: patch.directory,
        kind: patch.kind.map(|kind| kind.as_str().to_owned()),
        input: patch.input.map(Value::Object),
        timing: patch.timing,
        time_zone: patch.time_zone,
        jitter_seconds: patch.jitter_seconds,
        missed_runs: patch.missed_runs,
        paused: None,
    };
    Ok(Json(schedules.change(&id, change).await?.into()))
}

/// Deletes a schedule
///
/// The jobs that it has started go on, and stay in the list of jobs. Answers what it was.
#[utoipa::path(delete, path = "/api/v1/schedules/{id}", tag = "schedules", operation_id = "delete_schedule",
    params(("id" = String, Path, description = "Name or id of the schedule, or the beginning of its id")),
    responses((status = 200, body = ScheduleView)))]
async fn delete(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(api.services.change_schedules(&caller.actor)?.delete(&id).await?.into()))
}

/// Pauses a schedule
///
/// It starts nothing until it is resumed. A job that it has started goes on.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/pause", tag = "schedules", operation_id = "pause_schedule",
    params(("id" = String, Path, description = "Name or id of the schedule, or the beginning of its id")),
    responses((status = 200, body = ScheduleView)))]
async fn pause(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(api.services.change_schedules(&caller.actor)?.pause(&id).await?.into()))
}

/// Resumes a schedule
///
/// Its next run is the first one after now. What it did not run while it was paused is not made up for.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/resume", tag = "schedules", operation_id = "resume_schedule",
    params(("id" = String, Path, description = "Name or id of the schedule, or the beginning of its id")),
    responses((status = 200, body = ScheduleView)))]
async fn resume(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<ScheduleView>, Problem> {
    Ok(Json(api.services.change_schedules(&caller.actor)?.resume(&id).await?.into()))
}
