//! `/api/v1/users/{id}/merge` and `/split`: two users that are one person become one, and a user whose accounts are of two
//! persons becomes two.

use axum::Json;
use axum::extract::State;
use postern_engine::records::{Account, AccountId};
use postern_engine::services::merge_users::{Merge, Split};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::problem::Problem;
use super::users::{ChangedUser, GroupRef, Tag, UserView};
use super::versions::{IfMatch, etag};

/// Another user that is the same person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// Id of the other user, or user name, display name or e-mail address. It goes, and what it has moves.
    pub user: String,
    /// Only show what would happen; nothing is written.
    #[serde(default)]
    pub preview: bool,
}

/// Accounts that are of another person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// The accounts that the new user gets.
    #[schema(value_type = Vec<Uuid>)]
    pub accounts: Vec<AccountId>,
    /// The name of the new user. If the login in its first directory is free, that becomes its name.
    pub user_name: String,
    /// Only show what would happen; nothing is written.
    #[serde(default)]
    pub preview: bool,
}

/// An account that moves.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MovedAccount {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: AccountId,
    /// Its DN.
    pub dn: String,
    /// Name of its directory.
    pub directory: String,
}

/// What merging did, or would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Merge)]
pub struct MergeView {
    /// Nothing was written.
    pub preview: bool,
    /// The user that stays, as it is afterwards.
    pub user: ChangedUser,
    /// The user that goes, as it was. Its id goes on to name the one that stays.
    pub merged: UserView,
    /// The accounts that move.
    pub accounts: Vec<MovedAccount>,
    /// The groups of the organization that the user that stays comes into.
    pub groups: Vec<GroupRef>,
}

/// What splitting did, or would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Split)]
pub struct SplitView {
    /// Nothing was written.
    pub preview: bool,
    /// The user, as it is afterwards.
    pub user: ChangedUser,
    /// The new user.
    pub new_user: ChangedUser,
    /// The accounts that move to it.
    pub accounts: Vec<MovedAccount>,
}

fn moved(accounts: Vec<Account>) -> Vec<MovedAccount> {
    let moved = |account: Account| MovedAccount { id: account.id, dn: account.dn, directory: account.target_name };
    accounts.into_iter().map(moved).collect()
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(merge)).routes(routes!(split))
}

/// Merges another user into this one
///
/// For two users that are one person. Accounts and memberships of the organization's groups move; values of the
/// organization's own stay, and those of the other user fill what is open. A decision to disable one of the two holds for
/// both. The other user's id answers 410 from then on, with the id of this one. The two must not have accounts in the same
/// directory.
#[utoipa::path(post, path = "/api/v1/users/{id}/merge", tag = "users", operation_id = "merge_users",
    params(("id" = String, Path, description = "Id of the user that stays, or user name, display name or e-mail address"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the decision is based on. Absent: any")),
    request_body = MergeRequest, responses((status = 200, body = MergeView)))]
async fn merge(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<MergeRequest>,
) -> Result<(Tag, Json<MergeView>), Problem> {
    let users = api.services.merge_users(&caller.actor)?;
    let MergeRequest { user: other, preview } = body.read()?;
    let Merge { user, merged, accounts, groups } = users.merge(&id, &other, known.known(), preview).await?;
    let groups = groups.into_iter().map(|(id, display_name)| GroupRef { id, display_name }).collect();
    let pending = api.services.change_users(&caller.actor)?.pending(user.row.id).await?;
    let tag = etag(&(&user, &pending));
    let (user, merged) = (ChangedUser::new(user, pending)?, merged.try_into()?);
    Ok((tag, Json(MergeView { preview, user, merged, accounts: moved(accounts), groups })))
}

/// Gives accounts of a user to a new user
///
/// For accounts that are of another person. No import joins them again. Memberships of the organization's groups and its own
/// values stay with the user. If the user is disabled, so is the new one.
#[utoipa::path(post, path = "/api/v1/users/{id}/split", tag = "users", operation_id = "split_user",
    params(("id" = String, Path, description = "Id of the user, or user name, display name or e-mail address"),
        ("If-Match" = Option<String>, Header, description = "The version (ETag) that the decision is based on. Absent: any")),
    request_body = SplitRequest, responses((status = 200, body = SplitView)))]
async fn split(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    known: IfMatch,
    body: Body<SplitRequest>,
) -> Result<(Tag, Json<SplitView>), Problem> {
    let users = api.services.merge_users(&caller.actor)?;
    let SplitRequest { accounts, user_name, preview } = body.read()?;
    let Split { user, new_user, accounts } = users.split(&id, (&accounts, &user_name), known.known(), preview).await?;
    let pending = api.services.change_users(&caller.actor)?.pending(user.row.id).await?;
    let tag = etag(&(&user, &pending));
    let (user, new_user) = (ChangedUser::new(user, pending)?, ChangedUser::new(new_user, Vec::new())?);
    Ok((tag, Json(SplitView { preview, user, new_user, accounts: moved(accounts) })))
}
