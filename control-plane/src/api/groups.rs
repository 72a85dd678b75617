//! `/api/v1/groups`: the organization's groups and their members. Members come in pages, each at the same cost.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::records::{GroupId, GroupRow, IdentityFilter, Member, MemberIdentity, PendingChange, UserId};
use postern_engine::services::Search;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::accounts::AccountView;
use super::auth::Caller;
use super::extract::{Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::users::Tag;
use super::versions::etag;

/// A group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Group)]
pub struct GroupView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: GroupId,
    /// How people see it; not unique.
    pub display_name: String,
    /// What it is for. `null`: not known.
    pub description: Option<String>,
    /// Names of the directories that it comes from, none for a group of the organization's own. They distinguish groups
    /// with the same name.
    pub directories: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when no directory has it any more. `null`: one has it.
    pub missing_since: Option<Timestamp>,
}

/// A group with its accounts.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: GroupView,
    /// Its accounts.
    pub accounts: Vec<AccountView>,
    /// Members that the directory has not added or removed yet, or has refused to; a thousand at most.
    #[serde(default)]
    pub pending: Vec<PendingMember>,
}

/// A member that a directory was asked to add or to remove.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PendingMember {
    /// Id of the user or group.
    pub member: String,
    /// Whether it is to be a member; otherwise it is to be none.
    pub wanted: bool,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// By whom.
    pub asked_by: String,
    /// Why the directory did not take it. It is shown for a week, or until the member is changed again. `null`: it is on its way.
    pub refused: Option<String>,
}

impl From<PendingChange> for PendingMember {
    fn from(row: PendingChange) -> Self {
        let PendingChange { what: member, wanted, asked_at, asked_by, refused, .. } = row;
        let refused = refused.map(|refused| refused.reason);
        Self { member, wanted: wanted == true, asked_at, asked_by, refused }
    }
}

/// A direct member of a group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberView {
    /// What it is: `user`, `group`, or `unknown` where no imported account stands behind it.
    pub kind: MemberKind,
    /// Id of the user or group. `null`: unknown.
    pub id: Option<Uuid>,
    /// Name of the user. `null`: no user.
    pub user_name: Option<String>,
    /// How people see it. `null`: not known.
    pub display_name: Option<String>,
    /// How the directory names it: its DN without regard to case, or its unique value. `null`: the organization has added it itself.
    pub key: Option<String>,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A user.
    User,
    /// A nested group.
    Group,
    /// No imported entry has this name, the entry has no user, or several entries have it.
    Unknown,
}

impl GroupView {
    pub(super) fn new(row: GroupRow, directories: Vec<String>) -> Self {
        Self {
            id: row.id,
            display_name: row.display_name,
            description: row.description,
            directories,
            created_at: row.created_at,
            updated_at: row.updated_at,
            missing_since: row.missing_since,
        }
    }
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let (kind, id, user_name, display_name) = match member.identity {
            Some(MemberIdentity::User { id, user_name, display_name }) => {
                (MemberKind::User, Some(UserId::as_uuid(id)), Some(user_name), display_name)
            }
            Some(MemberIdentity::Group { id, display_name }) => {
                (MemberKind::Group, Some(GroupId::as_uuid(id)), None, Some(display_name))
            }
            None => (MemberKind::Unknown, None, None, None),
        };
        Self { kind, id, user_name, display_name, key: member.key }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GroupQuery {
    /// Beginning of a name. Absent: all groups.
    query: Option<String>,
    /// Only groups that no directory has any more, or that one has. Absent: both.
    missing: Option<bool>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MemberQuery {
    /// With `true` the list goes through nested groups: each user and group once, without unknown members. Such a page may
    /// be shorter than its limit and not be the last. Absent: direct members.
    effective: Option<bool>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UserGroupsQuery {
    /// With `true` also groups that the user is a member of through nested groups. Absent: direct membership.
    effective: Option<bool>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(members)).routes(routes!(of_user))
}

/// Lists groups
#[utoipa::path(get, path = "/api/v1/groups", tag = "groups", operation_id = "list_groups", params(GroupQuery),
    responses((status = 200, body = Listing<GroupView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<GroupQuery>,
) -> Result<Json<Listing<GroupView>>, Problem> {
    let groups = api.services.groups(&caller.actor)?;
    let search = Search::new(query.query.as_deref())?;
    let filter = IdentityFilter { active: None, missing: query.missing };
    let list = List::new("groups", &[&search, &filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let mut found = groups.list(&search, filter, &request).await?;
    Ok(Json(list.answer(found.listed, |row| {
        let names = found.directories.remove(&row.id).unwrap_or_default();
        GroupView::new(row, names)
    })))
}

/// Shows a group with its accounts
#[utoipa::path(get, path = "/api/v1/groups/{id}", tag = "groups", operation_id = "get_group",
    params(("id" = String, Path, description = "Id or name of the group")),
    responses((status = 200, body = GroupDetail, headers(("ETag" = String, description = "Its version")))))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<(Tag, Json<GroupDetail>), Problem> {
    let groups = api.services.groups(&caller.actor)?;
    let (group, accounts) = groups.get(&id).await?;
    let pending = groups.pending(group.id).await?.into_iter().map(PendingMember::from).collect();
    let tag = etag(&group);
    let accounts = accounts.into_iter().map(AccountView::try_from).collect::<Result<Vec<_>, _>>()?;
    let mut directories: Vec<String> = accounts.iter().map(|account| account.directory.name.clone()).collect();
    directories.sort_unstable();
    directories.dedup();
    Ok((tag, Json(GroupDetail { group: GroupView::new(group, directories), accounts, pending })))
}

/// Lists the members of a group
///
/// A nested group is one member. Members without an imported user or group are listed as `unknown`.
#[utoipa::path(get, path = "/api/v1/groups/{id}/members", tag = "groups", operation_id = "list_group_members",
    params(("id" = String, Path, description = "Id or name of the group"), MemberQuery),
    responses((status = 200, body = Listing<MemberView>)))]
async fn members(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    Params(query): Params<MemberQuery>,
) -> Result<Json<Listing<MemberView>>, Problem> {
    let groups = api.services.groups(&caller.actor)?;
    let group = groups.find(&id).await?.id;
    let effective = query.effective.unwrap_or_default();
    let list = List::new("members", &[&group, &effective]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let found = if effective {
        groups.effective_members(group, &request).await?
    } else {
        groups.members(group, &request).await?
    };
    Ok(Json(list.answer(found, MemberView::from)))
}

/// Lists the groups of a user
#[utoipa::path(get, path = "/api/v1/users/{id}/groups", tag = "users", operation_id = "list_user_groups",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address"), UserGroupsQuery),
    responses((status = 200, body = Listing<GroupView>)))]
async fn of_user(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    Params(query): Params<UserGroupsQuery>,
) -> Result<Json<Listing<GroupView>>, Problem> {
    let groups = api.services.groups(&caller.actor)?;
    let effective = query.effective.unwrap_or_default();
    let list = List::new("user-groups", &[&id, &effective]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let mut found = groups.of_user(&id, effective, &request).await?;
    Ok(Json(list.answer(found.listed, |row| {
        let names = found.directories.remove(&row.id).unwrap_or_default();
        GroupView::new(row, names)
    })))
}
