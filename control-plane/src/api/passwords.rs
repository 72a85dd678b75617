//! `/api/v1/users/{id}/password`: passwords of users in directories. They come sealed, and only the agents can open them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use postern_engine::records::OperationId;
use postern_engine::services::passwords::{Key, NewPassword};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Id};
use super::problem::Problem;
use super::provisioning_report::OperationView;

/// The keys that passwords for a directory are sealed to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PasswordKeys {
    /// Name of the directory. A sealed password is bound to it.
    pub directory: String,
    /// When a password that is sealed now should expire.
    pub expires_at: Timestamp,
    /// One for each agent that can set passwords there. Seal the password to each of them.
    pub keys: Vec<PasswordKeyView>,
}

/// The key of an agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PasswordKey)]
pub struct PasswordKeyView {
    /// Id of the agent.
    pub agent_id: Uuid,
    /// Its name.
    pub agent: String,
    /// SHA-256 digest of the public key, hexadecimal. The agent logs it when it makes the key.
    pub key_id: String,
    /// The public key: a point of P-256, uncompressed, 65 bytes in base64.
    pub public_key: String,
}

impl From<Key> for PasswordKeyView {
    fn from(key: Key) -> Self {
        Self {
            agent_id: key.agent.as_uuid(),
            agent: key.name,
            key_id: key.id.to_string(),
            public_key: STANDARD.encode(key.public.to_bytes()),
        }
    }
}

/// A password that is to be set. It is sealed: the control plane cannot read it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// Name or id of the directory.
    pub target: String,
    /// The password, sealed to each key of the directory as the protocol's description says; base64.
    #[schema(max_items = 100)]
    pub sealed: Vec<String>,
    /// Whether the user must change it at the next sign-in. It must be sealed with the same value.
    #[serde(default)]
    pub must_change: bool,
}

/// Where a user is unlocked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockRequest {
    /// Name or id of the directory.
    pub target: String,
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(keys)).routes(routes!(set)).routes(routes!(unlock)).routes(routes!(show))
}

/// Unlocks a user in a directory
///
/// Wrong passwords do not keep the user out any more. It is done in the background; the answer's `id` shows what has become
/// of it (`/api/v1/password-changes/{id}`).
#[utoipa::path(post, path = "/api/v1/users/{id}/unlock", tag = "passwords", operation_id = "unlock_user",
    params(("id" = String, Path, description = "Name or id of the user")),
    request_body = UnlockRequest, responses((status = 202, body = OperationView)))]
async fn unlock(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<UnlockRequest>,
) -> Result<(StatusCode, Json<OperationView>), Problem> {
    let passwords = api.services.passwords(&caller.actor)?;
    let operation = passwords.unlock(&id, &body.read()?.target).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// Lists the keys that passwords for a directory are sealed to
#[utoipa::path(get, path = "/api/v1/directories/{id}/password-keys", tag = "passwords", operation_id = "get_password_keys",
    params(("id" = String, Path, description = "Name or id of the directory")),
    responses((status = 200, body = PasswordKeys)))]
async fn keys(State(api): State<Api>, caller: Caller, Id(id): Id<String>) -> Result<Json<PasswordKeys>, Problem> {
    let found = api.services.passwords(&caller.actor)?.keys(&id).await?;
    Ok(Json(PasswordKeys {
        directory: found.directory.name,
        expires_at: found.expires_at,
        keys: found.keys.into_iter().map(PasswordKeyView::from).collect(),
    }))
}

/// Sets the password of a user in a directory
///
/// It is set in the background; the answer's `id` shows what has become of it. A password that no agent takes before it
/// expires is not set.
#[utoipa::path(post, path = "/api/v1/users/{id}/password", tag = "passwords", operation_id = "set_password",
    params(("id" = String, Path, description = "Name or id of the user")),
    request_body = PasswordRequest, responses((status = 202, body = OperationView)))]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<String>,
    body: Body<PasswordRequest>,
) -> Result<(StatusCode, Json<OperationView>), Problem> {
    let passwords = api.services.passwords(&caller.actor)?;
    let PasswordRequest { target, sealed, must_change } = body.read()?;
    let sealed = sealed.iter().map(|text| STANDARD.decode(text)).collect::<Result<Vec<_>, _>>();
    let sealed = sealed.map_err(|_| Problem::body_field("sealed", "it must be base64"))?;
    let operation = passwords.set(&id, &NewPassword { target, sealed, must_change }).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// Shows what has become of a password, or of unlocking
#[utoipa::path(get, path = "/api/v1/password-changes/{id}", tag = "passwords", operation_id = "get_password_change",
    params(("id" = Uuid, Path, description = "Id of the operation, as the request was answered")),
    responses((status = 200, body = OperationView)))]
async fn show(State(api): State<Api>, caller: Caller, Id(id): Id<OperationId>) -> Result<Json<OperationView>, Problem> {
    Ok(Json(api.services.passwords(&caller.actor)?.get(id).await?.into()))
}
