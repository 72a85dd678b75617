//! `/api/v1/conflicts`: accounts that claim a user name which somebody else has. They go without it until one of the two
//! is changed in the directory; the next import notices. Where the one who has the name is gone, an administrator decides
//! whether the account is that user's or somebody new's.

use axum::Json;
use axum::extract::State;
use postern_engine::intake::resolve::Choice;
use postern_engine::records::{Conflict, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::accounts::AccountView;
use super::auth::Caller;
use super::extract::{Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;
use super::users::UserView;

/// An account that claims a user name which is another's.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Conflict)]
pub struct ConflictView {
    /// The user name, folded.
    pub user_name: String,
    /// The account that goes without the name: it has no user, or one of an older name.
    pub account: AccountView,
    /// The user that has the name. `null`: none any more, the next import settles it.
    #[schema(value_type = Option<Uuid>)]
    pub holder_user_id: Option<UserId>,
    /// DN of that user's account, one in the same directory before one in another. `null`: it has none.
    pub holder_dn: Option<String>,
    /// No directory has that user any more. An account without a user of its own waits for a decision then: link it to
    /// that user, or create a new one.
    pub holder_missing: bool,
}

impl TryFrom<Conflict> for ConflictView {
    type Error = Problem;

    fn try_from(conflict: Conflict) -> Result<Self, Problem> {
        Ok(Self {
            user_name: conflict.name_key,
            account: conflict.account.try_into()?,
            holder_user_id: conflict.user,
            holder_dn: conflict.holder_dn,
            holder_missing: conflict.holder_missing,
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConflictQuery {
    /// Name or id of a directory. Absent: any.
    directory: Option<String>,
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(link)).routes(routes!(create_user))
}

/// Lists conflicts
#[utoipa::path(get, path = "/api/v1/conflicts", tag = "conflicts", operation_id = "list_conflicts", params(ConflictQuery),
    responses((status = 200, body = Listing<ConflictView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ConflictQuery>,
) -> Result<Json<Listing<ConflictView>>, Problem> {
    let conflicts = api.services.conflicts(&caller.actor)?;
    let filter = conflicts.filter(query.directory.as_deref()).await?;
    let list = List::new("conflicts", &[&filter]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    list.try_answer(conflicts.list(filter, &request).await?, ConflictView::try_from).map(Json)
}

/// Shows a conflict
#[utoipa::path(get, path = "/api/v1/conflicts/{id}", tag = "conflicts", operation_id = "get_conflict",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = ConflictView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<ConflictView>, Problem> {
    ConflictView::try_from(api.services.conflicts(&caller.actor)?.get(&id).await?).map(Json)
}

/// Links the account to the user who has the name
///
/// For an entry that was made anew for the same person. The account that the user had, if it comes back, is a conflict then.
#[utoipa::path(post, path = "/api/v1/conflicts/{id}/link", tag = "conflicts", operation_id = "link_conflict",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = UserView)))]
async fn link(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<UserView>, Problem> {
    decide(&api, &caller, &id, Choice::Link).await
}

/// Creates a user for the account
///
/// For somebody new. The user who had the name is gone, and gives it up: a mark is put behind it.
#[utoipa::path(post, path = "/api/v1/conflicts/{id}/create-user", tag = "conflicts", operation_id = "create_conflict_user",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = UserView)))]
async fn create_user(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<UserView>, Problem> {
    decide(&api, &caller, &id, Choice::CreateUser).await
}

async fn decide(api: &Api, caller: &Caller, id: &str, choice: Choice) -> Result<Json<UserView>, Problem> {
    UserView::try_from(api.services.decide_conflicts(&caller.actor)?.decide(id, choice).await?).map(Json)
}
