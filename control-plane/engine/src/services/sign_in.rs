//! Identifies a caller by token.

use std::net::IpAddr;

use jiff::Timestamp;
use postern_runtime::supervise::chain;

use super::access::Services;
use super::actor::{Actor, Who};
use super::error::Result;
use crate::records::ApiTokenId;
use crate::secrets;

/// A caller with a valid token.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The actor.
    pub actor: Actor,
    /// The token.
    pub token: ApiTokenId,
    /// When the token expires.
    pub expires_at: Option<Timestamp>,
}

impl Services {
    /// Who has this API token, and calls from this address. `None`: it is unknown, expired or revoked.
    pub async fn sign_in(&self, token: &str, address: Option<IpAddr>) -> Result<Option<SignedIn>> {
        let now = self.now();
        let found = self.store.find_api_token_by_hash(secrets::hash(token)).await?;
        let valid = found.filter(|token| token.revoked_at.is_none() && token.expires_at.is_none_or(|end| now < end));
        let Some(token) = valid else { return Ok(None) };
        if let Err(error) = self.store.touch_api_token(&token, now).await {
            // A database that accepts no writes, as on a full disk, can still be read.
            tracing::warn!(error = chain(&error), "api.token_use_not_recorded");
        }
        let who = Who::Token { id: token.id, name: token.name.into() };
        let actor = Actor { organization: token.organization, who, role: token.role, address, probe: None };
        Ok(Some(SignedIn { actor, token: token.id, expires_at: token.expires_at }))
    }
}
