//! API tokens: only their hashes are stored.

use jiff::{SignedDuration, Timestamp};

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{ApiTokenId, OrganizationId};
use crate::records::{ApiToken, NewApiToken, Page, PageRequest, Role};
use crate::sql::{Row, named, sql};
use crate::transaction::Tx;
use crate::wake::Wake;

/// The time of last use is kept no finer than this, to save writes.
const TOUCH: SignedDuration = SignedDuration::from_mins(1);

fn read(mut row: Row) -> Result<ApiToken> {
    Ok(ApiToken {
        id: row.take()?,
        organization: row.take()?,
        name: row.take()?,
        role: named(&mut row)?,
        created_at: row.take()?,
        expires_at: row.take()?,
        last_used_at: row.take()?,
        revoked_at: row.take()?,
    })
}

/// Another owner token counts only if it is valid for at least this long, enough to create a new one in time.
const LASTING: SignedDuration = SignedDuration::from_hours(24);

/// Whether this owner token is valid and no other one lasts. Locks, so that two callers check one after the other.
async fn is_last_owner(tx: &mut Tx, organization: OrganizationId, id: ApiTokenId, now: Timestamp) -> Result<bool> {
    tx.lock(sql("UPDATE organizations SET name = name WHERE id = $1").bind(organization)).await?;
    let query = sql("SELECT id FROM api_tokens WHERE organization_id = $1 AND role = $2 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $3) AND (id = $4 OR expires_at IS NULL OR expires_at >= $5) LIMIT 2")
    .bind(organization)
    .bind(Role::Owner.as_str())
    .bind(now)
    .bind(id)
    .bind(now.saturating_add(LASTING).unwrap_or(Timestamp::MAX));
    let owners: Vec<ApiTokenId> = tx.rows(query, |mut row| row.take()).await?;
    Ok(owners == [id])
}

impl Store {
    /// Stores a new token.
    pub async fn create_api_token(
        &self,
        organization: OrganizationId,
        new: NewApiToken,
        now: Timestamp,
    ) -> Result<ApiToken> {
        let id = ApiTokenId::new();
        let insert = sql("INSERT INTO api_tokens (id, organization_id, name, hash, role, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(id)
        .bind(organization)
        .bind(&new.name)
        .bind(new.hash)
        .bind(new.role.as_str())
        .bind(now)
        .bind(new.expires_at);
        let mut tx = self.database.begin().await?;
        tx.execute(insert).await?;
        tx.made(id.as_uuid());
        tx.commit().await?;
        Ok(ApiToken {
            id,
            organization,
            name: new.name,
            role: new.role,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        })
    }

    /// The token with the secret of this hash, of any organization, even if expired or revoked: the caller decides.
    pub async fn find_api_token_by_hash(&self, hash: [u8; 32]) -> Result<Option<ApiToken>> {
        let query = sql("SELECT id, organization_id, name, role, created_at, expires_at, last_used_at, revoked_at \
             FROM api_tokens WHERE hash = $1")
        .bind(hash);
        self.database.row(query, read).await
    }

    /// Records that a token was used, unless that was recorded within the last minute.
    pub async fn touch_api_token(&self, token: &ApiToken, now: Timestamp) -> Result<()> {
        if token.last_used_at.is_some_and(|last| now.duration_since(last) < TOUCH) {
            return Ok(());
        }
        let update = sql("UPDATE api_tokens SET last_used_at = $1 \
             WHERE id = $2 AND organization_id = $3 AND (last_used_at IS NULL OR last_used_at < $1)")
        .bind(now)
        .bind(token.id)
        .bind(token.organization);
        self.database.execute(update).await.map(|_| ())
    }

    /// The organization's tokens, oldest first, including revoked ones.
    pub async fn list_api_tokens(&self, organization: OrganizationId, page: &PageRequest) -> Result<Page<ApiToken>> {
        let after: Option<ApiTokenId> = page.cursor()?;
        let query = sql("SELECT id, organization_id, name, role, created_at, expires_at, last_used_at, revoked_at \
             FROM api_tokens WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(organization)
        .bind(after.unwrap_or(ApiTokenId::from_uuid(uuid::Uuid::nil())))
        .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }

    /// One token.
    pub async fn get_api_token(&self, organization: OrganizationId, id: ApiTokenId) -> Result<Option<ApiToken>> {
        let query = sql("SELECT id, organization_id, name, role, created_at, expires_at, last_used_at, revoked_at \
             FROM api_tokens WHERE organization_id = $1 AND id = $2")
        .bind(organization)
        .bind(id);
        self.database.row(query, read).await
    }

    /// Revokes a token and wakes every replica; repeating it changes nothing. [`Error::NotFound`]: there is no such
    /// token. [`Error::Conflict`]: it is the last lasting owner token, without which nobody could create another one.
    pub async fn revoke_api_token(
        &self,
        organization: OrganizationId,
        id: ApiTokenId,
        now: Timestamp,
    ) -> Result<ApiToken> {
        let update = sql("UPDATE api_tokens SET revoked_at = $1 \
             WHERE id = $2 AND organization_id = $3 AND revoked_at IS NULL")
        .bind(now)
        .bind(id)
        .bind(organization);
        let mut tx = self.database.begin().await?;
        if is_last_owner(&mut tx, organization, id, now).await? {
            tx.rollback().await?;
            return Err(Error::conflict("this is the last owner token of the organization"));
        }
        if tx.execute(update).await? > 0 {
            tx.wake(Wake::TokenRevoked(id));
        }
        tx.commit().await?;
        self.get_api_token(organization, id).await?.ok_or(Error::NotFound { what: "the token" })
    }
}
