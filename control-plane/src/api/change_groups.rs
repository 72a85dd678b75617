//! Groups made, changed, deleted and restored, and their members: the writing half of `/api/v1/groups`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::records::{DeletedGroup, GroupId, GroupRow};
use postern_engine::services::Listed;
use postern_engine::services::change_groups::GroupChange;
use postern_engine::services::members::{MemberChanged, MemberChanges, MemberOutcome};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::change_users::{DeletedQuery, given};
use super::extract::{Body, Id, Ids, Params};
use super::groups::GroupView;
use super::page::{List, Listing};
use super::problem::Problem;
use super::users::Tag;
use super::versions::{IfMatch, etag};

/// A group to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRequest {
    /// How people see it. Several groups may have the same name; their ids distinguish them.
    pub display_name: String,
    /// What it is for. Absent: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What to change about a group (RFC 7396): absent fields stay as they are, `null` takes a value away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupPatch {
    /// How people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it is for.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
}

/// Members to add to a group and to remove from it; at most 1,000 together.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MembersRequest {
    /// Ids or names of users and groups to add. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Ids or names of users and groups to remove. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// What came of changes of members.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MembersChanged {
    /// A result for each member, in the order of the request: first those to add, then those to remove.
    pub results: Vec<MemberResult>,
}

/// What came of one member.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberResult {
    /// The user or group as the request names it.
    pub member: String,
    /// Its id. `null`: the name means no single user or group.
    pub id: Option<Uuid>,
    /// What came of it.
    pub result: MemberResultKind,
    /// Why it was refused. `null`: it was not.
    pub detail: Option<String>,
}

/// What came of a member that was to be added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberResultKind {
    /// It is a member now.
    Added,
    /// It was a member already.
    WasMember,
    /// It is no member any more.
    Removed,
    /// It was no member.
    WasNoMember,
    /// The directory that the members come from was asked to do it; the group shows it under `pending` meanwhile.
    Pending,
    /// The organization has no such user or group.
    NotFound,
    /// It cannot be done; `detail` says why.
    Refused,
}

/// A deleted group that can still be restored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeletedGroup)]
pub struct DeletedGroupView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: GroupId,
    /// Its name when it was deleted.
    pub display_name: String,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Who deleted it.
    pub deleted_by: String,
    /// The version, for `If-Match` when it is restored.
    pub etag: String,
}

impl From<DeletedGroup> for DeletedGroupView {
    fn from(row: DeletedGroup) -> Self {
        let etag = format!("\"{}\"", postern_engine::services::versions::of(&row));
        Self {
            id: row.id,
            display_name: row.display_name,
            deleted_at: row.deleted_at,
            deleted_by: row.deleted_by,
            etag,
        }
    }
}

impl From<MemberChanged> for MemberResult {
    fn from(changed: MemberChanged) -> Self {
        let (result, detail) = match changed.outcome {
            MemberOutcome::Added => (MemberResultKind::Added, None),
            MemberOutcome::WasMember => (MemberResultKind::WasMember, None),
            MemberOutcome::Removed => (MemberResultKind::Removed, None),
            MemberOutcome::WasNoMember => (MemberResultKind::WasNoMember, None),
            MemberOutcome::Pending => (MemberResultKind::Pending, None),
            MemberOutcome::NotFound => (MemberResultKind::NotFound, None),
            MemberOutcome::Refused(message) => (MemberResultKind::Refused, Some(message.text)),
        };
        Self { member: changed.member, id: changed.id, result, detail }
    }
}

/// How a group is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeleteQuery {
    /// Delete it although it decides what a directory gets: its members may lose their accounts there. Absent: false.
    #[serde(default)]
    provisioned: bool,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(change, delete))
        .routes(routes!(restore))
        .routes(routes!(deleted))
        .routes(routes!(change_members))
        .routes(routes!(add_member, remove_member))
}

fn answer(group: GroupRow) -> (Tag, Json<GroupView>) {
    // No directory has a group that was just changed here.
    (etag(&group), Json(GroupView::new(group, Vec::new())))
}

/// Creates a group
#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", operation_id = "create_group", request_body = GroupRequest,
    responses((status = 201, body = GroupView)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Body<GroupRequest>,
) -> Result<(StatusCode, Tag, Json<GroupView>), Problem> {
    let groups = api.services.change_groups(&caller.actor)?;
    let GroupRequest { display_name, description } = body.read()?;
    let change = GroupChange { display_name: Some(display_name), description: description.map(Some) };
    let (tag, group) = answer(groups.create(change).await?);
    Ok((StatusCode::CREATED, tag, group))
}

/// Changes a group
///
/// A JSON merge patch. A group that a directory has is changed there: 409 names the directory.
#[utoipa::path(patch, path = "/api/v1/groups/{id}", tag = "groups", operation_id = "change_group",
    params(("id" = String, Path, description = "Id or name of the group"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the change is based on; 412 if the group has changed since. Absent: any")),
    request_body = GroupPatch, responses((status = 200, body = GroupView)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<GroupPatch>,
) -> Result<(Tag, Json<GroupView>), Problem> {
    let groups = api.services.change_groups(&caller.actor)?;
    let GroupPatch { display_name, description } = body.read()?;
    let change = GroupChange { display_name, description };
    Ok(answer(groups.change(&id, change, known.known()).await?))
}

/// Deletes a group that no directory has
///
/// Its memberships end. It can be restored for 30 days, with the memberships whose other side still exists then. A group
/// that decides what a directory gets is only deleted if `provisioned` is true: 409 names the directory.
#[utoipa::path(delete, path = "/api/v1/groups/{id}", tag = "groups", operation_id = "delete_group",
    params(("id" = String, Path, description = "Id or name of the group"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the decision is based on. Absent: any"),
        DeleteQuery),
    responses((status = 204)))]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    Params(query): Params<DeleteQuery>,
) -> Result<StatusCode, Problem> {
    api.services.change_groups(&caller.actor)?.delete(&id, known.known(), query.provisioned).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restores a deleted group
#[utoipa::path(post, path = "/api/v1/groups/{id}/restore", tag = "groups", operation_id = "restore_group",
    params(("id" = String, Path, description = "Id of the deleted group, its beginning, or its name"),
        ("If-Match" = Option<String>, Header, description = "The version (`etag` of the list of deleted groups) that the decision is based on. Absent: any")), responses((status = 200, body = GroupView)))]
async fn restore(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
) -> Result<(Tag, Json<GroupView>), Problem> {
    Ok(answer(api.services.change_groups(&caller.actor)?.restore(&id, known.known()).await?))
}

/// Lists deleted groups that can be restored
#[utoipa::path(get, path = "/api/v1/deleted-groups", tag = "groups", operation_id = "list_deleted_groups",
    params(DeletedQuery), responses((status = 200, body = Listing<DeletedGroupView>)))]
async fn deleted(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<DeletedQuery>,
) -> Result<Json<Listing<DeletedGroupView>>, Problem> {
    let groups = api.services.groups(&caller.actor)?;
    let list = List::new("deleted-groups", &[]);
    let page = groups.deleted(&list.request(query.limit, query.cursor.as_deref())?).await?;
    Ok(Json(list.answer(Listed { page, total: None }, DeletedGroupView::from)))
}

/// Adds members to a group and removes some
///
/// All in one transaction, with a result for each. One that is refused does not stop the others. Members of a group that
/// a directory has are changed there.
#[utoipa::path(post, path = "/api/v1/groups/{id}/members", tag = "groups", operation_id = "change_group_members",
    params(("id" = String, Path, description = "Id or name of the group")),
    request_body = MembersRequest, responses((status = 200, body = MembersChanged)))]
async fn change_members(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<MembersRequest>,
) -> Result<Json<MembersChanged>, Problem> {
    let groups = api.services.change_groups(&caller.actor)?;
    let MembersRequest { add, remove } = body.read()?;
    let changed = groups.change_members(&id, MemberChanges { add, remove }).await?;
    Ok(Json(MembersChanged { results: changed.into_iter().map(MemberResult::from).collect() }))
}

/// Adds a user or a group to a group
///
/// Doing it again changes nothing. Members of a group that a directory has are changed there first, if it is provisioned with
/// `write_through`: the answer is 202 then, and the group shows the member when the directory has it. Otherwise 409 names the
/// directory.
#[utoipa::path(put, path = "/api/v1/groups/{id}/members/{member}", tag = "groups", operation_id = "add_group_member",
    params(("id" = String, Path, description = "Id or name of the group"),
        ("member" = String, Path, description = "Id or name of the user or group")),
    responses((status = 204), (status = 202, description = "A directory was asked to do it")))]
async fn add_member(State(api): State<Api>, caller: Caller, Ids(id, member): Ids) -> Result<StatusCode, Problem> {
    let done = api.services.change_groups(&caller.actor)?.add_member(&id, &member).await?;
    Ok(if done { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

/// Removes a user or a group from a group
///
/// Doing it again changes nothing. Members that a directory names are removed there first, if it is provisioned with
/// `write_through`: the answer is 202 then. Otherwise 409 names the directory.
#[utoipa::path(delete, path = "/api/v1/groups/{id}/members/{member}", tag = "groups", operation_id = "remove_group_member",
    params(("id" = String, Path, description = "Id or name of the group"),
        ("member" = String, Path, description = "Id or name of the user or group")),
    responses((status = 204), (status = 202, description = "A directory was asked to do it")))]
async fn remove_member(State(api): State<Api>, caller: Caller, Ids(id, member): Ids) -> Result<StatusCode, Problem> {
    let done = api.services.change_groups(&caller.actor)?.remove_member(&id, &member).await?;
    Ok(if done { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}
