//! `/api/v1/conflicts`: accounts that claim a user name which somebody else has. They go without it until one of the two
//! is changed in the directory; the next import notices.

use axum::Json;
use axum::extract::State;
use postern_store::{Conflict, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accounts::AccountView;
use super::auth::Auditor;
use super::extract::Params;
use super::page::{List, Listing, chained};
use super::problem::Problem;
use super::{Api, directories};

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
}

impl TryFrom<Conflict> for ConflictView {
    type Error = Problem;

    fn try_from(conflict: Conflict) -> Result<Self, Problem> {
        Ok(Self {
            user_name: conflict.name_key,
            account: conflict.account.try_into()?,
            holder_user_id: conflict.user,
            holder_dn: conflict.holder_dn,
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
    OpenApiRouter::new().routes(routes!(list))
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
    list.try_answer(page, ConflictView::try_from).map(Json)
}
