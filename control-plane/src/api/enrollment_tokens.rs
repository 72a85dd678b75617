//! `/api/v1/enrollment-tokens`: one-time tokens with which agents enroll. The text of a token is answered once; it
//! carries the gateway's address and the pin of its certificate authority, so that an agent needs nothing else.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use postern_engine::records::{AgentId, EnrollmentToken, EnrollmentTokenId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id, Params};
use super::page::{List, Listing};
use super::problem::Problem;

/// An enrollment token, without its text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EnrollmentTokenView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: EnrollmentTokenId,
    /// Names of the directories that the agent may serve. Empty: those that nobody has announced before.
    pub directories: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The API token that made it, by name.
    pub created_by: String,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When an agent used it. `null`: not yet.
    pub used_at: Option<Timestamp>,
    /// The agent that used it. `null`: none yet.
    #[schema(value_type = Option<Uuid>)]
    pub used_by: Option<AgentId>,
    /// When it was revoked. `null`: it was not.
    pub revoked_at: Option<Timestamp>,
}

impl From<EnrollmentToken> for EnrollmentTokenView {
    fn from(token: EnrollmentToken) -> Self {
        Self {
            id: token.id,
            directories: token.directories,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            used_at: token.used_at,
            used_by: token.used_by,
            revoked_at: token.revoked_at,
        }
    }
}

/// An enrollment token to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollmentTokenRequest {
    /// Names, display names or ids of the directories that the agent may serve; a new name is one that no agent has announced
    /// yet. Absent or empty: those that nobody has announced before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub directories: Vec<String>,
    /// From when on it is refused, at most 30 days from now. Absent: a day from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An enrollment token that was just made; its text is not shown again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedEnrollmentToken {
    /// The text to give to `postern-agent enroll --token …`.
    pub token: String,
    /// The rest of it.
    #[serde(flatten)]
    pub view: EnrollmentTokenView,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EnrollmentTokenQuery {
    /// Most items of the page, 1 to 1000. Absent: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: the first page.
    cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, revoke))
}

/// Lists the enrollment tokens
#[utoipa::path(get, path = "/api/v1/enrollment-tokens", tag = "enrollment tokens", operation_id = "list_enrollment_tokens",
    params(EnrollmentTokenQuery), responses((status = 200, body = Listing<EnrollmentTokenView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<EnrollmentTokenQuery>,
) -> Result<Json<Listing<EnrollmentTokenView>>, Problem> {
    let tokens = api.services.enrollment_tokens(&caller.actor)?;
    let list = List::new("enrollment-tokens", &[]);
    let request = list.request(query.limit, query.cursor.as_deref())?;
    Ok(Json(list.answer(tokens.list(&request).await?, EnrollmentTokenView::from)))
}

/// Makes an enrollment token
#[utoipa::path(post, path = "/api/v1/enrollment-tokens", tag = "enrollment tokens", operation_id = "create_enrollment_token",
    request_body = EnrollmentTokenRequest, responses((status = 201, body = CreatedEnrollmentToken)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    body: Body<EnrollmentTokenRequest>,
) -> Result<(StatusCode, Json<CreatedEnrollmentToken>), Problem> {
    let tokens = api.services.change_enrollment_tokens(&caller.actor)?;
    let request = body.read()?;
    let (made, token) = tokens.create(request.directories, request.expires_at).await?;
    Ok((StatusCode::CREATED, Json(CreatedEnrollmentToken { token, view: made.into() })))
}

/// Shows an enrollment token
#[utoipa::path(get, path = "/api/v1/enrollment-tokens/{id}", tag = "enrollment tokens",
    operation_id = "get_enrollment_token",
    params(("id" = String, Path, description = "Id of the token, or its beginning")),
    responses((status = 200, body = EnrollmentTokenView)))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<EnrollmentTokenView>, Problem> {
    Ok(Json(api.services.enrollment_tokens(&caller.actor)?.get(&id).await?.into()))
}

/// Revokes an enrollment token
///
/// It can no longer be used, and stays in the list. An agent that used it before stays enrolled: the answer names it in
/// `used_by`, and `DELETE /api/v1/agents/{id}` cuts it off.
#[utoipa::path(delete, path = "/api/v1/enrollment-tokens/{id}", tag = "enrollment tokens",
    operation_id = "revoke_enrollment_token", params(("id" = String, Path, description = "Id of the token, or its beginning")),
    responses((status = 200, body = EnrollmentTokenView)))]
async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<EnrollmentTokenView>, Problem> {
    Ok(Json(api.services.change_enrollment_tokens(&caller.actor)?.revoke(&id).await?.into()))
}
