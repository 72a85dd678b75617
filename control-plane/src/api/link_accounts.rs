//! `POST /api/v1/users/{id}/link`: an entry that a directory has already becomes the user's account.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::problem::Problem;

/// Which account a user gets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// Name or id of the directory.
    pub target: String,
    /// Id or external id of the account. Nobody has it, or its user was deleted.
    pub account: String,
}

/// An account that a user has got.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LinkedAccount {
    /// Id of the user.
    pub user_id: Uuid,
    /// Id of the account.
    pub account_id: Uuid,
    /// The DN of its entry.
    pub dn: String,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(link))
}

/// Links an account to a user
///
/// For an entry that is in a directory already, where provisioning would otherwise report a conflict. From then on the
/// user decides what the entry holds, and whether it is enabled.
#[utoipa::path(post, path = "/api/v1/users/{id}/link", tag = "provisioning", operation_id = "link_account",
    params(("id" = String, Path, description = "Name or id of the user")),
    request_body = LinkRequest, responses((status = 200, body = LinkedAccount)))]
async fn link(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<LinkRequest>,
) -> Result<Json<LinkedAccount>, Problem> {
    let links = api.services.link_accounts(&caller.actor)?;
    let LinkRequest { target, account } = body.read()?;
    let (user, account) = links.link(&id, &target, &account).await?;
    Ok(Json(LinkedAccount { user_id: user.as_uuid(), account_id: account.id.as_uuid(), dn: account.dn }))
}
