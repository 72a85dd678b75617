//! `/api/v1/conflicts`: accounts that claim a user name which somebody else has. They go without it until one of the two
//! is changed in the directory; the next import notices. Where the one who has the name is gone, an administrator decides
//! whether the account is that user's or somebody new's.

use axum::Json;
use axum::extract::State;
use postern_store::{Conflict, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accounts::AccountView;
use super::auth::{Auditor, Caller, Operator};
use super::extract::{Id, Params};
use super::page::{List, Listing, chained, total};
use super::problem::{Kind, Problem};
use super::users::UserView;
use super::{Api, directories, resolve as names};
use postern_engine::intake::resolve::{self, Choice};

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
    Auditor(caller): Auditor,
    Params(query): Params<ConflictQuery>,
) -> Result<Json<Listing<ConflictView>>, Problem> {
    let directory = directories::find_wanted(&api, caller.organization, query.directory.as_deref()).await?;
    let list = List::new("conflicts", &[&directory]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let directories = directories::one_or_all(&api, caller.organization, directory).await?;
    let names: Vec<_> = directories.iter().map(ToString::to_string).collect();
    let (store, organization) = (&api.store, caller.organization);
    let page = chained(&names, &request, |number, request| {
        let directory = directories[number];
        async move { store.list_conflicts(organization, directory, &request).await }
    });
    let page = page.await?;
    let total = total(&request, &page, store.total_conflicts(organization, &directories)).await?;
    list.try_answer(page, total, ConflictView::try_from).map(Json)
}

/// Shows a conflict
#[utoipa::path(get, path = "/api/v1/conflicts/{id}", tag = "conflicts", operation_id = "get_conflict",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = ConflictView)))]
async fn show(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    Id(id): Id<String>,
) -> Result<Json<ConflictView>, Problem> {
    let id = names::conflict(&api, caller.organization, &id).await?;
    let found = api.store.get_conflict(caller.organization, id).await?;
    ConflictView::try_from(found.ok_or_else(|| refused(resolve::Error::NoConflict))?).map(Json)
}

/// Links the account to the user who has the name
///
/// For an entry that was made anew for the same person. The account that the user had, if it comes back, is a conflict then.
#[utoipa::path(post, path = "/api/v1/conflicts/{id}/link", tag = "conflicts", operation_id = "link_conflict",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = UserView)))]
async fn link(
    State(api): State<Api>,
    Operator(caller): Operator,
    Id(id): Id<String>,
) -> Result<Json<UserView>, Problem> {
    decide(&api, &caller, &id, Choice::Link).await
}

/// Creates a user for the account
///
/// For somebody new. The user who had the name is gone, and gives it up: a mark is put behind it.
#[utoipa::path(post, path = "/api/v1/conflicts/{id}/create-user", tag = "conflicts", operation_id = "create_conflict_user",
    params(("id" = String, Path, description = "Id of the account, or the user name that it claims")),
    responses((status = 200, body = UserView)))]
async fn create_user(
    State(api): State<Api>,
    Operator(caller): Operator,
    Id(id): Id<String>,
) -> Result<Json<UserView>, Problem> {
    decide(&api, &caller, &id, Choice::CreateUser).await
}

async fn decide(api: &Api, caller: &Caller, id: &str, choice: Choice) -> Result<Json<UserView>, Problem> {
    let id = names::conflict(api, caller.organization, id).await?;
    let user = resolve::run(&api.store, caller.organization, id, choice, api.now()).await.map_err(refused)?;
    tracing::info!(organization = %caller.organization, by = %caller.token, account = %id, user = %user, ?choice,
        "conflict.decided");
    let row = api.store.get_user(caller.organization, user).await?.ok_or_else(|| Problem::not_found("user"))?;
    UserView::try_from(row).map(Json)
}

fn refused(error: resolve::Error) -> Problem {
    match error {
        resolve::Error::Store(error) => error.into(),
        resolve::Error::NoConflict => Problem::new(Kind::NotFound, "There is no conflict about this account.")
            .cure("`postern conflicts list` shows those that there are."),
        resolve::Error::HasUser => {
            Problem::new(Kind::Conflict, "The account has a user of its own, who only waits for the name.")
                .cure("Change the login of one of the two in the directory, then import.")
        }
        resolve::Error::Present { dn } => {
            Problem::new(Kind::Conflict, format!("The user who has the name is there: {dn}."))
                .cure("Change the login of one of the two in the directory, then import.")
        }
        resolve::Error::PresentElsewhere => {
            Problem::new(Kind::Conflict, "Another directory has the user who has the name.")
                .cure("Link the account to that user, or change the login of one of the two, then import.")
        }
    }
}
