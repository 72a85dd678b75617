//! `/api/v1/users`: the organization's users, with the accounts and groups of each.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use postern_engine::records::{
    GroupId, GroupRow, IdentityFilter, OwnedUser, PendingChange, Suspension, UserFilter, UserId, UserRow,
};
use postern_engine::services::Search;
use postern_engine::services::managers::Manager;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::accounts::{AccountView, read_raw};
use super::auth::Caller;
use super::extract::{Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::versions::etag;

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: UserId,
    /// The name by which the user is known, unique in the organization.
    pub user_name: String,
    /// First name. `null`: not known.
    pub given_name: Option<String>,
    /// Last name. `null`: not known.
    pub family_name: Option<String>,
    /// How people see the user. `null`: not known.
    pub display_name: Option<String>,
    /// Address of the first mailbox. `null`: not known.
    pub email: Option<String>,
    /// Whether the user may sign in: no directory says off, and at least one says on.
    pub active: bool,
    /// Since when no directory has it any more. `null`: one has it.
    pub missing_since: Option<Timestamp>,
    /// Further attributes.
    #[schema(value_type = Object)]
    #[serde(deserialize_with = "read_raw")]
    pub attributes: Box<RawValue>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A user with its accounts and groups.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserDetail {
    /// The user.
    #[serde(flatten)]
    pub user: UserView,
    /// Set while an administrator has disabled the user.
    pub suspension: Option<SuspensionView>,
    /// The fields whose values come from a directory, with its name. They are changed there; all others are the
    /// organization's. Further attributes are named `attributes.NAME`.
    pub sources: BTreeMap<String, String>,
    /// Changes of these fields that the directory has not made yet, or has refused.
    #[serde(default)]
    pub pending: Vec<PendingView>,
    /// The manager, as the first of its directories that names one says. `null`: none does.
    #[serde(default)]
    pub manager: Option<ManagerView>,
    /// Its accounts.
    pub accounts: Vec<AccountView>,
    /// The groups that it is a direct member of; a thousand at most.
    pub groups: Vec<GroupRef>,
}

/// The manager of a user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ManagerView {
    /// The directory that names the manager.
    pub directory: String,
    /// The DN of the manager's entry.
    pub dn: String,
    /// The user of that entry. `null`: the entry was not imported, or is nobody's.
    pub user: Option<UserRef>,
}

/// A user by id and name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserRef {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: UserId,
    /// The name by which the user is known.
    pub user_name: String,
    /// How people see the user. `null`: not known.
    pub display_name: Option<String>,
}

impl From<Manager> for ManagerView {
    fn from(manager: Manager) -> Self {
        let user = manager.user.map(|user| UserRef {
            id: user.id,
            user_name: user.user_name,
            display_name: user.display_name,
        });
        Self { directory: manager.directory, dn: manager.dn, user }
    }
}

/// A group by id and name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupRef {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: GroupId,
    /// How people see it.
    pub display_name: String,
}

impl TryFrom<UserRow> for UserView {
    type Error = Problem;

    fn try_from(row: UserRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.id,
            user_name: row.user_name,
            given_name: row.given_name,
            family_name: row.family_name,
            display_name: row.display_name,
            email: row.email,
            active: row.active,
            missing_since: row.missing_since,
            attributes: RawValue::from_string(row.attributes).map_err(|error| Problem::internal(&error))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// A user that was just made or changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangedUser {
    /// The user.
    #[serde(flatten)]
    pub user: UserView,
    /// Set while an administrator has disabled the user.
    pub suspension: Option<SuspensionView>,
    /// Changes that go to the directory which is the source of the field. Until it has made them, the user keeps the
    /// directory's value.
    #[serde(default)]
    pub pending: Vec<PendingView>,
}

/// A change that a directory has not made yet, or has refused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PendingChange)]
pub struct PendingView {
    /// The field; further attributes as `attributes.NAME`.
    pub field: String,
    /// The value that is wanted. `null`: none.
    pub wanted: Value,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// By whom.
    pub asked_by: String,
    /// Why the directory did not take it. It is shown for a week, or until the field is changed again. `null`: it is on its way.
    pub refused: Option<String>,
}

impl From<PendingChange> for PendingView {
    fn from(row: PendingChange) -> Self {
        let PendingChange { what: field, wanted, asked_at, asked_by, refused, .. } = row;
        Self { field, wanted, asked_at, asked_by, refused: refused.map(|refused| refused.reason) }
    }
}

/// An administrator's decision that a user may not sign in. No import lifts it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Suspension)]
pub struct SuspensionView {
    /// Since when.
    pub since: Timestamp,
    /// Who decided it.
    pub by: String,
    /// Why. `null`: not said.
    pub reason: Option<String>,
    /// Until when. `null`: until an administrator enables the user.
    pub until: Option<Timestamp>,
}

impl From<Suspension> for SuspensionView {
    fn from(row: Suspension) -> Self {
        Self { since: row.at, by: row.by, reason: row.reason, until: row.until }
    }
}

impl ChangedUser {
    pub(super) fn new(user: OwnedUser, pending: Vec<PendingChange>) -> Result<Self, Problem> {
        let pending = pending.into_iter().map(PendingView::from).collect();
        Ok(Self { user: user.row.try_into()?, suspension: user.suspension.map(SuspensionView::from), pending })
    }
}

impl From<GroupRow> for GroupRef {
    fn from(row: GroupRow) -> Self {
        Self { id: row.id, display_name: row.display_name }
    }
}

/// The header with a user's version.
pub(super) type Tag = [(axum::http::HeaderName, String); 1];

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// Beginning of a user name, display name or e-mail address. Absent: all users.
    query: Option<String>,
    /// Only users who may sign in, or who may not. Absent: both.
    active: Option<bool>,
    /// Only users that no directory has any more (`true`), or all others (`false`). Absent: both.
    missing: Option<bool>,
    /// Only users with an account in this directory, by id or name; `organization`: only those that the organization has
    /// made itself. Absent: all.
    source: Option<String>,
    /// Only direct members of this group, by id or name. Absent: all.
    group: Option<String>,
    /// Only users that changed after this time. Absent: all.
    updated_after: Option<Timestamp>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Lists users
///
/// By name; with `query`, first those whose user name begins like that, then by display name and by e-mail address. With
/// `group`, `updated_after` or `source` a page looks at 20,000 users at most. Where very few of many users fit, it may be shorter
/// than `limit` and still have a `next_cursor`.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "list_users", params(UserQuery),
    responses((status = 200, body = Listing<UserView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<UserQuery>,
) -> Result<Json<Listing<UserView>>, Problem> {
    let users = api.services.users(&caller.actor)?;
    let search = Search::new(query.query.as_deref())?;
    let filter = UserFilter {
        fields: IdentityFilter { active: query.active, missing: query.missing },
        group: match &query.group {
            Some(group) => Some(users.group(group).await?),
            None => None,
        },
        updated_after: query.updated_after,
        source: match &query.source {
            Some(source) => Some(users.source(source).await?),
            None => None,
        },
    };
    let list = List::new("users", &[&search, &filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    list.try_answer(users.list(&search, &filter, &request).await?, UserView::try_from).map(Json)
}

/// Shows a user with its accounts and groups
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", operation_id = "get_user",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address")),
    responses((status = 200, body = UserDetail, headers(("ETag" = String, description = "Its version")))))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<(Tag, Json<UserDetail>), Problem> {
    let found = api.services.users(&caller.actor)?.get(&id).await?;
    let tag = etag(&(&found.user, &found.pending));
    let detail = UserDetail {
        user: found.user.row.try_into()?,
        suspension: found.user.suspension.map(SuspensionView::from),
        sources: found.sources.fields().clone(),
        pending: found.pending.into_iter().map(PendingView::from).collect(),
        manager: found.manager.map(ManagerView::from),
        accounts: found.accounts.into_iter().map(AccountView::try_from).collect::<Result<_, _>>()?,
        groups: found.groups.into_iter().map(GroupRef::from).collect(),
    };
    Ok((tag, Json(detail)))
}
