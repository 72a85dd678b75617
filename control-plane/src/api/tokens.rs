//! `/api/v1/tokens`: the API tokens of an organization. The text of a token is answered once, when it is made.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::records::{ApiToken, ApiTokenId, OrganizationId, Role};
use postern_store::NewApiToken;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Auditor, Owner, new_token};
use super::extract::{Body, Id, Params};
use super::page::{List, Listing, total};
use super::problem::Problem;
use super::{Api, named, resolve};
use crate::secrets;

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
    Auditor(caller): Auditor,
    Params(query): Params<TokenQuery>,
) -> Result<Json<Listing<TokenView>>, Problem> {
    let list = List::new("tokens", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    let page = api.store.list_api_tokens(caller.organization, &request).await?;
    let total = total(&request, &page, api.store.total_api_tokens(caller.organization)).await?;
    Ok(Json(list.answer(page, total, TokenView::from)))
}

/// Makes an API token
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token", request_body = TokenRequest,
    responses((status = 201, body = CreatedToken)))]
async fn create(
    State(api): State<Api>,
    Owner(caller): Owner,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let now = api.now();
    if request.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::body_field("expires_at", "it is in the past"));
    }
    let token = new_token();
    let new = NewApiToken {
        name: named("name", &request.name)?,
        hash: secrets::hash(&token),
        role: request.role,
        expires_at: request.expires_at,
    };
    let made = api.store.create_api_token(caller.organization, new, now).await?;
    tracing::info!(organization = %caller.organization, by = %caller.token, token = %made.id, "token.created");
    Ok((StatusCode::CREATED, Json(CreatedToken { token, view: made.into() })))
}

/// Shows the token of this request, and its organization
#[utoipa::path(get, path = "/api/v1/tokens/current", tag = "tokens", operation_id = "current_token",
    responses((status = 200, body = CurrentToken)))]
async fn current(State(api): State<Api>, Auditor(caller): Auditor) -> Result<Json<CurrentToken>, Problem> {
    let missing = || Problem::not_found("token");
    let organization = api.store.get_organization(caller.organization).await?.ok_or_else(missing)?;
    let token = api.store.get_api_token(caller.organization, caller.token).await?.ok_or_else(missing)?;
    Ok(Json(CurrentToken { organization_id: organization.id, organization: organization.name, view: token.into() }))
}

/// Shows an API token
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "get_token",
    params(("id" = String, Path, description = "Id of the token, its beginning, or name of the token")),
    responses((status = 200, body = TokenView)))]
async fn show(
    State(api): State<Api>,
    Auditor(caller): Auditor,
    Id(id): Id<String>,
) -> Result<Json<TokenView>, Problem> {
    let id = resolve::api_token(&api, caller.organization, &id).await?;
    let found = api.store.get_api_token(caller.organization, id).await?;
    Ok(Json(found.ok_or_else(|| Problem::not_found("token"))?.into()))
}

/// Revokes an API token
///
/// It is refused from now on, and stays in the list. The last owner token that is good is not revoked: nobody could make
/// another one.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revoke_token",
    params(("id" = String, Path, description = "Id of the token, its beginning, or name of the token")),
    responses((status = 204)))]
async fn revoke(State(api): State<Api>, Owner(caller): Owner, Id(id): Id<String>) -> Result<StatusCode, Problem> {
    let id = resolve::api_token(&api, caller.organization, &id).await?;
    api.store.revoke_api_token(caller.organization, id, api.now()).await.map_err(|error| match error {
        postern_store::Error::Conflict { .. } => Problem::from(error).cure(
            "Make another one first: `postern tokens create NAME --role owner`. Where all owner tokens are lost, \
             `postern organizations create-token` makes one on the control plane's machine.",
        ),
        other => other.into(),
    })?;
    tracing::info!(organization = %caller.organization, by = %caller.token, token = %id, "token.revoked");
    Ok(StatusCode::NO_CONTENT)
}
