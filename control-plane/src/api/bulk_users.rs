//! `/api/v1/bulk-users`: many users at once, as a file lists them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use postern_engine::records::UserId;
use postern_engine::services::bulk_users::{Line, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::change_users::UserRequest;
use super::extract::Body;
use super::layers::MAX_BULK_BYTES;
use super::problem::Problem;

/// Users to make or change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// Say what would become of them, and write nothing. Absent: write.
    #[serde(default)]
    #[schema(required = false)]
    pub dry_run: bool,
    /// The users, a thousand at most. One whose id or name a user has changes that user: absent fields stay as they are.
    pub users: Vec<BulkUser>,
}

// Its fields are those of `UserRequest` once more: flattened, a wrong value would be refused without the name of its field.
/// One user of a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkUser {
    /// The user to change, who may get another name. Absent: the user with the name, or a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub id: Option<UserId>,
    /// Whether the user is active, as an export says. Nothing changes it here: a user that is not so is refused. Absent: not
    /// checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The name by which the user is known, unique in the organization without regard to letter case.
    pub user_name: String,
    /// First name. Absent: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Last name. Absent: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// Name shown to people. Absent: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Address of the first mailbox. Absent: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Further attributes. Those that are absent stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

impl From<BulkUser> for Line {
    fn from(user: BulkUser) -> Self {
        let BulkUser { id, active, user_name, given_name, family_name, display_name, email, attributes } = user;
        let request = UserRequest { user_name, given_name, family_name, display_name, email, attributes };
        Self { id, active, profile: request.into() }
    }
}

/// What became of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BulkAnswer {
    /// One result for each user of the request, in its order.
    pub results: Vec<BulkResult>,
}

/// What became of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkOutcome {
    /// It was made.
    Created,
    /// It was changed.
    Changed,
    /// It is so already.
    Unchanged,
    /// It was left as it is.
    Refused,
}

/// What became of one user, or would become.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BulkResult {
    /// What became of it.
    pub outcome: BulkOutcome,
    /// Its id. `null`: it was refused.
    #[schema(value_type = Option<Uuid>)]
    pub id: Option<UserId>,
    /// Why it was refused. `null`: it was not.
    pub reason: Option<String>,
    /// The values that change, as they were. Sensitive ones are masked.
    pub before: BTreeMap<String, Value>,
    /// The values that change, as they are then. Sensitive ones are masked.
    pub after: BTreeMap<String, Value>,
}

impl From<Outcome> for BulkResult {
    fn from(outcome: Outcome) -> Self {
        let of = |outcome, id| Self { outcome, id, reason: None, before: BTreeMap::new(), after: BTreeMap::new() };
        match outcome {
            Outcome::Created(id) => of(BulkOutcome::Created, Some(id)),
            Outcome::Changed(id, before, after) => Self { before, after, ..of(BulkOutcome::Changed, Some(id)) },
            Outcome::Unchanged(id) => of(BulkOutcome::Unchanged, Some(id)),
            Outcome::Refused(reason) => Self { reason: Some(reason), ..of(BulkOutcome::Refused, None) },
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(write)).layer(DefaultBodyLimit::max(MAX_BULK_BYTES))
}

/// Makes or changes many users
///
/// Each is made, changed or refused by itself; those that are not refused are written in one transaction.
#[utoipa::path(post, path = "/api/v1/bulk-users", tag = "users", operation_id = "write_users", request_body = BulkRequest,
    responses((status = 200, body = BulkAnswer)))]
async fn write(State(api): State<Api>, caller: Caller, body: Body<BulkRequest>) -> Result<Json<BulkAnswer>, Problem> {
    let users = api.services.bulk_users(&caller.actor)?;
    let BulkRequest { dry_run, users: wanted } = body.read()?;
    let wanted: Vec<Line> = wanted.into_iter().map(Line::from).collect();
    let outcomes = users.write(wanted, dry_run).await?;
    Ok(Json(BulkAnswer { results: outcomes.into_iter().map(BulkResult::from).collect() }))
}
