//! Users made, changed, disabled, deleted and restored: the writing half of `/api/v1/users`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use postern_engine::identity::profile::ProfileChange;
use postern_engine::records::{DeletedUser, OwnedUser, UserId};
use postern_engine::services::Listed;
use postern_engine::services::change_users::{Disabling, UserChanges};
use postern_engine::services::consequences::Planned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::consequences::ConsequencesView;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::users::{ChangedUser, Tag};
use super::versions::{IfMatch, etag};

/// A user to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// The name by which the user is known, unique in the organization without regard to letter case.
    pub user_name: String,
    /// First name. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Last name. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// How people see the user. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Address of the first mailbox. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Further attributes. Absent: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// What to change about a user (RFC 7396): absent fields stay as they are, `null` takes a value away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// The name by which the user is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// First name.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub given_name: Option<Option<String>>,
    /// Last name.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub family_name: Option<Option<String>>,
    /// How people see the user.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Option<String>>,
    /// Address of the first mailbox.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub email: Option<Option<String>>,
    /// Further attributes, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Option<Value>>,
}

/// Keeps `null` apart from an absent field.
#[expect(clippy::option_option, reason = "absent, null and a value are three things in a merge patch")]
pub(super) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Why and until when a user is disabled.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableRequest {
    /// Why, for people. Absent: what was said before, while the user is disabled already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when. Absent: what was said before, while the user is disabled already; otherwise until an administrator enables
    /// the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A deleted user that can still be restored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeletedUser)]
pub struct DeletedUserView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: UserId,
    /// Its name when it was deleted.
    pub user_name: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Who deleted it.
    pub deleted_by: String,
    /// The version, for `If-Match` when it is restored.
    pub etag: String,
}

impl From<DeletedUser> for DeletedUserView {
    fn from(row: DeletedUser) -> Self {
        let etag = format!("\"{}\"", postern_engine::services::versions::of(&row));
        Self { id: row.id, user_name: row.user_name, deleted_at: row.deleted_at, deleted_by: row.deleted_by, etag }
    }
}

impl From<UserRequest> for ProfileChange {
    fn from(request: UserRequest) -> Self {
        Self {
            user_name: Some(request.user_name),
            given_name: request.given_name.map(Some),
            family_name: request.family_name.map(Some),
            display_name: request.display_name.map(Some),
            email: request.email.map(Some),
            attributes: request.attributes.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        }
    }
}

impl From<UserPatch> for ProfileChange {
    fn from(patch: UserPatch) -> Self {
        let UserPatch { user_name, given_name, family_name, display_name, email, attributes } = patch;
        Self { user_name, given_name, family_name, display_name, email, attributes }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeletedQuery {
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    pub(super) cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(change, delete))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(restore))
        .routes(routes!(deleted))
}

async fn answer(users: &UserChanges<'_>, user: OwnedUser) -> Result<(Tag, Json<ChangedUser>), Problem> {
    let pending = users.pending(user.row.id).await?;
    Ok((etag(&(&user, &pending)), Json(ChangedUser::new(user, pending)?)))
}

/// Creates a user
#[utoipa::path(post, path = "/api/v1/users", tag = "users", operation_id = "create_user", request_body = UserRequest,
    responses((status = 201, body = ChangedUser)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Body<UserRequest>,
) -> Result<(StatusCode, Tag, Json<ChangedUser>), Problem> {
    let users = api.services.change_users(&caller.actor)?;
    let made = users.create(body.read()?.into()).await?;
    let (tag, user) = answer(&users, made).await?;
    Ok((StatusCode::CREATED, tag, user))
}

/// Changes a user
///
/// A JSON merge patch. What a directory says of the user is changed there first, if it is provisioned with `write_through`:
/// the answer then lists the field under `pending`, and the user gets the new value when the directory has it. Otherwise 409
/// names the directory.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", operation_id = "change_user",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; 412 if the user has changed since. Absent: any")),
    request_body = UserPatch, responses((status = 200, body = ChangedUser)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<UserPatch>,
) -> Result<(Tag, Json<ChangedUser>), Problem> {
    let users = api.services.change_users(&caller.actor)?;
    let changed = users.change(&id, body.read()?.into(), known.known()).await?;
    answer(&users, changed).await
}

/// Deletes a user that no directory has any more
///
/// The user can be restored for 30 days, without the accounts that it had. The answer says what becomes of the accounts
/// that provisioning has made: whether they are deleted or disabled, and whether that waits for an administrator.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", operation_id = "delete_user",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the decision is based on. Absent: any")),
    responses((status = 200, body = ConsequencesView), (status = 204, description = "No directory has an account of the user.")))]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
) -> Result<Response, Problem> {
    let users = api.services.change_users(&caller.actor)?;
    let planned = Planned::DeleteUser(id.clone());
    // If it fails, the deletion says better what is wrong.
    let consequences = api.services.consequences(&caller.actor)?.of(&planned).await.unwrap_or_default();
    users.delete(&id, known.known()).await?;
    if consequences.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Json(ConsequencesView::from(consequences)).into_response())
}

/// Disables a user, even if a directory says active
///
/// The user stays inactive until an administrator enables it, or until the given time. No import lifts it.
#[utoipa::path(post, path = "/api/v1/users/{id}/disable", tag = "users", operation_id = "disable_user",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the decision is based on. Absent: any")),
    request_body = DisableRequest, responses((status = 200, body = ChangedUser)))]
async fn disable(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<DisableRequest>,
) -> Result<(Tag, Json<ChangedUser>), Problem> {
    let users = api.services.change_users(&caller.actor)?;
    let DisableRequest { reason, until } = body.read()?;
    let disabled = users.disable(&id, Disabling { reason, until }, known.known()).await?;
    answer(&users, disabled).await
}

/// Ends an administrator's decision to disable a user
///
/// The user becomes active if no directory says otherwise.
#[utoipa::path(post, path = "/api/v1/users/{id}/enable", tag = "users", operation_id = "enable_user",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the decision is based on. Absent: any")),
    responses((status = 200, body = ChangedUser)))]
async fn enable(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
) -> Result<(Tag, Json<ChangedUser>), Problem> {
    let users = api.services.change_users(&caller.actor)?;
    let enabled = users.enable(&id, known.known()).await?;
    answer(&users, enabled).await
}

/// Restores a deleted user
#[utoipa::path(post, path = "/api/v1/users/{id}/restore", tag = "users", operation_id = "restore_user",
    params(("id" = String, Path, description = "Id of the deleted user, its beginning, or the user name"),
        ("If-Match" = Option<String>, Header, description = "The version (`etag` of the list of deleted users) that the decision is based on. Absent: any")), responses((status = 200, body = ChangedUser)))]
async fn restore(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
) -> Result<(Tag, Json<ChangedUser>), Problem> {
    let users = api.services.change_users(&caller.actor)?;
    let restored = users.restore(&id, known.known()).await?;
    answer(&users, restored).await
}

/// Lists deleted users that can be restored
#[utoipa::path(get, path = "/api/v1/deleted-users", tag = "users", operation_id = "list_deleted_users",
    params(DeletedQuery), responses((status = 200, body = Listing<DeletedUserView>)))]
async fn deleted(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<DeletedQuery>,
) -> Result<Json<Listing<DeletedUserView>>, Problem> {
    let users = api.services.users(&caller.actor)?;
    let list = List::new("deleted-users", &[]);
    let page = users.deleted(&list.request(query.limit, query.cursor.as_deref())?).await?;
    Ok(Json(list.answer(Listed { page, total: None }, DeletedUserView::from)))
}
