//! API tokens of administrators and scripts.

use jiff::Timestamp;
use postern_store::NewApiToken;
use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Result};
use super::pages::{Listed, listed};
use super::rights::Right;
use super::{names, resolve};
use crate::records::{ApiToken, ApiTokenId, Organization, PageRequest, Role};
use crate::secrets;

/// Prefix of API tokens, so that scanners for leaked secrets find them.
const PREFIX: &str = "pst_";

/// Read access to API tokens.
#[derive(Debug)]
pub struct ApiTokens<'s>(Access<'s>);

/// Read access to the token of the request.
#[derive(Debug)]
pub struct OwnToken<'s>(Access<'s>);

/// Access to create and revoke API tokens.
#[derive(Debug)]
pub struct ApiTokenChanges<'s>(Access<'s>);

impl Services {
    /// Opens the API tokens.
    pub fn api_tokens<'s>(&'s self, actor: &'s Actor) -> Result<ApiTokens<'s>> {
        self.open(actor, Right::ReadTokens).map(ApiTokens)
    }

    /// Opens the token of the request, whatever its role.
    pub fn own_token<'s>(&'s self, actor: &'s Actor) -> Result<OwnToken<'s>> {
        self.open(actor, Right::ReadOwnToken).map(OwnToken)
    }

    /// Opens the API tokens, to create and revoke them.
    pub fn change_api_tokens<'s>(&'s self, actor: &'s Actor) -> Result<ApiTokenChanges<'s>> {
        self.open(actor, Right::ChangeTokens).map(ApiTokenChanges)
    }
}

impl ApiTokens<'_> {
    /// API tokens, oldest first.
    pub async fn list(&self, request: &PageRequest) -> Result<Listed<ApiToken>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_api_tokens(organization, request).await?;
        listed(request, page, store.total_api_tokens(organization)).await
    }

    /// The token of this id or name.
    pub async fn get(&self, named: &str) -> Result<ApiToken> {
        let id = resolve::api_token(self.0, named).await?;
        let found = self.0.store().get_api_token(self.0.organization(), id).await?;
        found.ok_or_else(|| Error::no("token"))
    }
}

impl OwnToken<'_> {
    /// The token with its organization.
    pub async fn get(&self, id: ApiTokenId) -> Result<(ApiToken, Organization)> {
        let token = self.0.store().get_api_token(self.0.organization(), id).await?;
        let organization = self.0.store().get_organization(self.0.organization()).await?;
        token.zip(organization).ok_or_else(|| Error::no("token"))
    }
}

impl ApiTokenChanges<'_> {
    /// Creates a token, and returns its text, which cannot be read again.
    pub async fn create(&self, name: &str, role: Role, expires_at: Option<Timestamp>) -> Result<(ApiToken, String)> {
        let now = self.0.now();
        if expires_at.is_some_and(|end| end <= now) {
            return Err(Error::field("expires_at", "it is in the past"));
        }
        let text = format!("{PREFIX}{}", secrets::draw());
        let new = NewApiToken { name: names::valid("name", name)?, hash: secrets::hash(&text), role, expires_at };
        let change = Change::new("token.created", None, &new.name);
        let change = change.after(&json!({ "role": role, "expires_at": expires_at }));
        let made = self.0.recording(change).create_api_token(self.0.organization(), new, now).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, token = %made.id,
            "token.created");
        Ok((made, text))
    }

    /// Revokes a token, unless it is the last valid owner token.
    pub async fn revoke(&self, named: &str) -> Result<()> {
        let id = resolve::api_token(self.0, named).await?;
        let token = self.0.store().get_api_token(self.0.organization(), id).await?.ok_or_else(|| Error::no("token"))?;
        let change = Change::new("token.revoked", id.as_uuid(), token.name);
        let change = change.before(&json!({ "role": token.role, "expires_at": token.expires_at }));
        let revoked = self.0.recording(change).revoke_api_token(self.0.organization(), id, self.0.now()).await;
        revoked.map_err(|error| match error.into() {
            Error::Conflict(message) => Error::Conflict(message.cure(
                "Make another one first: `postern tokens create NAME --role owner`. Where all owner tokens are lost, \
                 `postern organizations create-token` makes one on the control plane's machine.",
            )),
            other => other,
        })?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, token = %id, "token.revoked");
        Ok(())
    }
}
