//! `/api/v1/jobs/{id}/preview`: what a preview found, user by user and group by group.

use axum::Json;
use axum::extract::State;
use postern_engine::intake::preview::row::{Action, Row};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::auth::Caller;
use super::super::extract::{Id, Params};
use super::super::page::{List, Listing};
use super::super::problem::Problem;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// Only users and groups that this would happen to. Absent: all.
    action: Option<Action>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

/// Lists what a preview found
///
/// Users first, then groups. At most 100,000 are listed; the result of the job counts all of them.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/preview", tag = "jobs", operation_id = "list_preview",
    params(("id" = String, Path, description = "Id of the job, or its beginning"), PreviewQuery),
    responses((status = 200, body = Listing<Row>)))]
pub(super) async fn rows(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    Params(query): Params<PreviewQuery>,
) -> Result<Json<Listing<Row>>, Problem> {
    let jobs = api.services.jobs(&caller.actor)?;
    let list = List::new("preview", &[&id, &query.action]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    Ok(Json(list.answer(jobs.preview(&id, query.action, &request).await?, |row| row)))
}
