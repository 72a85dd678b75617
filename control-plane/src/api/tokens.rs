//! `/api/v1/tokens`: the API tokens of an organization. The text of a token is answered once, when it is made.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::records::{ApiToken, ApiTokenId, OrganizationId, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;

/// An API token, without its text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ApiTokenId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused. `null`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute. `null`: not yet.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked. `null`: it was not.
    pub revoked_at: Option<Timestamp>,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// An API token to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// From when on it is refused. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token that was just made; its text is not shown again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The text to send as `Authorization: Bearer …`.
    pub token: String,
    /// The rest of it.
    #[serde(flatten)]
    pub view: TokenView,
}

/// The token of the request, and whose it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CurrentToken {
    /// The organization.
    #[schema(value_type = Uuid)]
    pub organization_id: OrganizationId,
    /// Its name.
    pub organization: String,
    /// The token.
    #[serde(flatten)]
    pub view: TokenView,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TokenQuery {
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(current)).routes(routes!(show, revoke))
}

/// Lists the API tokens
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens", params(TokenQuery),
    responses((status = 200, body = Listing<TokenView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<TokenQuery>,
) -> Result<Json<Listing<TokenView>>, Problem> {
    let tokens = api.services.api_tokens(&caller.actor)?;
    let list = List::new("tokens", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    Ok(Json(list.answer(tokens.list(&request).await?, TokenView::from)))
}

/// Makes an API token
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token", request_body = TokenRequest,
    responses((status = 201, body = CreatedToken)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Body<TokenRequest>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let tokens = api.services.change_api_tokens(&caller.actor)?;
    let request = body.read()?;
    let (made, token) = tokens.create(&request.name, request.role, request.expires_at).await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { token, view: made.into() })))
}

/// Shows the token of this request, and its organization
#[utoipa::path(get, path = "/api/v1/current-token", tag = "tokens", operation_id = "current_token",
    responses((status = 200, body = CurrentToken)))]
async fn current(State(api): State<Api>, caller: Caller) -> Result<Json<CurrentToken>, Problem> {
    let (token, organization) = api.services.own_token(&caller.actor)?.get(caller.token).await?;
    Ok(Json(CurrentToken { organization_id: organization.id, organization: organization.name, view: token.into() }))
}

/// Shows an API token
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "get_token",
    params(("id" = String, Path, description = "Id of the token, its beginning, or name of the token")),
    responses((status = 200, body = TokenView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<TokenView>, Problem> {
    Ok(Json(api.services.api_tokens(&caller.actor)?.get(&id).await?.into()))
}

/// Revokes an API token
///
/// It is refused from now on, and stays in the list. The last owner token that is good is not revoked: nobody could make
/// another one. Schedules that the token has made go on.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revoke_token",
    params(("id" = String, Path, description = "Id of the token, its beginning, or name of the token")),
    responses((status = 204)))]
async fn revoke(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<StatusCode, Problem> {
    api.services.change_api_tokens(&caller.actor)?.revoke(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
