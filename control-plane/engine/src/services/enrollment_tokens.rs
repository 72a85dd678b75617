//! Enrollment tokens: one-time tokens with which agents enroll.

use jiff::{SignedDuration, Timestamp};
use postern_proto::enrollment_token::EnrollmentToken as TokenText;
use postern_store::NewEnrollmentToken;

use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Result};
use super::pages::{Listed, listed};
use super::resolve;
use super::rights::Right;
use crate::records::{EnrollmentToken, PageRequest};
use crate::secrets;

/// Default lifetime of a token.
const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Longest lifetime of a token.
const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
const MAX_DIRECTORIES: usize = 100;

/// Read access to enrollment tokens.
#[derive(Debug)]
pub struct EnrollmentTokens<'s>(Access<'s>);

/// Access to create and revoke enrollment tokens.
#[derive(Debug)]
pub struct EnrollmentTokenChanges<'s>(Access<'s>);

impl Services {
    /// Opens the enrollment tokens.
    pub fn enrollment_tokens<'s>(&'s self, actor: &'s Actor) -> Result<EnrollmentTokens<'s>> {
        self.open(actor, Right::ReadEnrollmentTokens).map(EnrollmentTokens)
    }

    /// Opens the enrollment tokens, to create and revoke them.
    pub fn change_enrollment_tokens<'s>(&'s self, actor: &'s Actor) -> Result<EnrollmentTokenChanges<'s>> {
        self.open(actor, Right::ChangeEnrollmentTokens).map(EnrollmentTokenChanges)
    }
}

impl EnrollmentTokens<'_> {
    /// Enrollment tokens, oldest first.
    pub async fn list(&self, request: &PageRequest) -> Result<Listed<EnrollmentToken>> {
        let (store, organization) = (self.0.store(), self.0.organization());
        let page = store.list_enrollment_tokens(organization, request).await?;
        listed(request, page, store.total_enrollment_tokens(organization)).await
    }

    /// The token with this id or this beginning of an id.
    pub async fn get(&self, named: &str) -> Result<EnrollmentToken> {
        let id = resolve::enrollment_token(self.0, named).await?;
        let found = self.0.store().get_enrollment_token(self.0.organization(), id).await?;
        found.ok_or_else(|| Error::no("enrollment token"))
    }
}

impl EnrollmentTokenChanges<'_> {
    /// Creates a token for an agent that may serve these directories, or only new ones if there are none. Returns its
    /// text, which cannot be read again.
    pub async fn create(
        &self,
        directories: Vec<String>,
        expires_at: Option<Timestamp>,
    ) -> Result<(EnrollmentToken, String)> {
        let (now, secret) = (self.0.now(), secrets::draw());
        let new = NewEnrollmentToken {
            hash: secrets::hash(&secret),
            directories: self.directories(directories).await?,
            expires_at: expiry(expires_at, now)?,
            created_by: self.0.actor().who.name().to_owned(),
        };
        let change = Change::new("enrollment_token.created", None, "");
        let change = change.after(&json!({ "directories": new.directories, "expires_at": new.expires_at }));
        let made = self.0.recording(change).create_enrollment_token(self.0.organization(), new, now).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, token = %made.id,
            "enrollment_token.created");
        let door = self.0.gate().door();
        let text = TokenText { address: door.address, ca_sha256: door.ca_sha256, secret }.to_string();
        Ok((made, text))
    }

    /// Revokes a token. An agent that has used it stays enrolled.
    pub async fn revoke(&self, named: &str) -> Result<EnrollmentToken> {
        let id = resolve::enrollment_token(self.0, named).await?;
        let found = self.0.store().get_enrollment_token(self.0.organization(), id).await?;
        let token = found.ok_or_else(|| Error::no("enrollment token"))?;
        let change = Change::new("enrollment_token.revoked", id.as_uuid(), "");
        let change = change.before(&json!({
            "created_by": token.created_by, "directories": token.directories, "expires_at": token.expires_at,
        }));
        let recording = self.0.recording(change);
        let revoked = recording.revoke_enrollment_token(self.0.organization(), id, self.0.now()).await?;
        tracing::info!(organization = %self.0.organization(), by = %self.0.actor().who, token = %id,
            "enrollment_token.revoked");
        Ok(revoked)
    }

    /// Checks directory names: others could never match, and would lock the agent out silently.
    async fn directories(&self, wanted: Vec<String>) -> Result<Vec<String>> {
        if wanted.len() > MAX_DIRECTORIES {
            return Err(Error::field("directories", format!("at most {MAX_DIRECTORIES} names")));
        }
        let mut names = Vec::new();
        for name in wanted {
            names.push(resolve::directory_name(self.0, "directories", &name).await?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn expiry(wanted: Option<Timestamp>, now: Timestamp) -> Result<Timestamp> {
    let end = wanted.unwrap_or(now.saturating_add(DEFAULT_LIFETIME).unwrap_or(now));
    if end <= now || end.duration_since(now) > MAX_LIFETIME {
        return Err(Error::field("expires_at", "it must be within the next 30 days"));
    }
    Ok(end)
}
