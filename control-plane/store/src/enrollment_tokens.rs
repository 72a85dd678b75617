//! Enrollment tokens: each is used once, in the transaction that creates the agent.

use jiff::Timestamp;

use crate::Store;
use crate::error::{ConsumeError, Error, Result};
use crate::ids::{EnrollmentTokenId, OrganizationId};
use crate::records::{Agent, EnrollmentToken, NewAgent, NewEnrollmentToken, Page, PageRequest};
use crate::sql::{Row, sql};

fn read(mut row: Row) -> Result<EnrollmentToken> {
    Ok(EnrollmentToken {
        id: row.take()?,
        organization: row.take()?,
        directories: row.take()?,
        created_at: row.take()?,
        created_by: row.take()?,
        expires_at: row.take()?,
        used_at: row.take()?,
        used_by: row.take()?,
        revoked_at: row.take()?,
    })
}

impl Store {
    /// Stores a new enrollment token.
    pub async fn create_enrollment_token(
        &self,
        organization: OrganizationId,
        new: NewEnrollmentToken,
        now: Timestamp,
    ) -> Result<EnrollmentToken> {
        let id = EnrollmentTokenId::new();
        let insert = sql("INSERT INTO enrollment_tokens \
             (id, organization_id, hash, directories, created_at, created_by, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(id)
        .bind(organization)
        .bind(new.hash)
        .bind(&serde_json::Value::from(new.directories.clone()))
        .bind(now)
        .bind(&new.created_by)
        .bind(new.expires_at);
        let mut tx = self.database.begin().await?;
        tx.execute(insert).await?;
        tx.made(id.as_uuid());
        tx.commit().await?;
        Ok(EnrollmentToken {
            id,
            organization,
            directories: new.directories,
            created_at: now,
            created_by: new.created_by,
            expires_at: new.expires_at,
            used_at: None,
            used_by: None,
            revoked_at: None,
        })
    }

    /// The token with the secret of this hash, of any organization, if it may still be used.
    pub async fn find_enrollment_token(&self, hash: [u8; 32], now: Timestamp) -> Result<EnrollmentToken, ConsumeError> {
        let query = sql("SELECT id, organization_id, directories, created_at, created_by, expires_at, used_at, \
             used_by, revoked_at FROM enrollment_tokens WHERE hash = $1")
        .bind(hash);
        let token = self.database.row(query, read).await?.ok_or(ConsumeError::Unknown)?;
        match token {
            EnrollmentToken { revoked_at: Some(_), .. } => Err(ConsumeError::Unknown),
            EnrollmentToken { used_at: Some(_), .. } => Err(ConsumeError::Used),
            EnrollmentToken { expires_at, .. } if expires_at <= now => Err(ConsumeError::Expired),
            token => Ok(token),
        }
    }

    /// Uses a token up and creates its agent; both or neither.
    pub async fn enroll_agent(&self, hash: [u8; 32], new: NewAgent, now: Timestamp) -> Result<Agent, ConsumeError> {
        let mut tx = self.database.begin().await?;
        let consume = sql("UPDATE enrollment_tokens SET used_at = $1, used_by = $2 \
             WHERE hash = $3 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $1 \
             RETURNING organization_id, directories")
        .bind(now)
        .bind(new.id)
        .bind(hash);
        let consumed = tx.row(consume, |mut row| Ok((row.take()?, row.take()?))).await?;
        let Some((organization, directories)) = consumed else {
            tx.rollback().await?;
            return match self.find_enrollment_token(hash, now).await {
                Ok(_) => Err(ConsumeError::Used),
                Err(error) => Err(error),
            };
        };
        let agent = new_agent(organization, directories, new, now);
        let insert = sql("INSERT INTO agents \
             (id, organization_id, name, version, allowed_directories, takes_new_directories, enrolled_at, serial, \
             not_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(agent.id)
        .bind(agent.organization)
        .bind(&agent.name)
        .bind(agent.version.clone())
        .bind(&serde_json::Value::from(agent.allowed_directories.clone()))
        .bind(agent.takes_new_directories)
        .bind(now)
        .bind(&agent.serial)
        .bind(agent.not_after);
        tx.execute(insert).await?;
        tx.commit().await?;
        Ok(agent)
    }

    /// The organization's enrollment tokens, oldest first, including used and revoked ones.
    pub async fn list_enrollment_tokens(
        &self,
        organization: OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<EnrollmentToken>> {
        let after: Option<EnrollmentTokenId> = page.cursor()?;
        let query = sql("SELECT id, organization_id, directories, created_at, created_by, expires_at, used_at, \
             used_by, revoked_at FROM enrollment_tokens WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(organization)
        .bind(after.unwrap_or(EnrollmentTokenId::from_uuid(uuid::Uuid::nil())))
        .bind(page.probe());
        Ok(Page::cut(self.database.rows(query, read).await?, page, |last| last.id.to_string()))
    }

    /// One enrollment token.
    pub async fn get_enrollment_token(
        &self,
        organization: OrganizationId,
        id: EnrollmentTokenId,
    ) -> Result<Option<EnrollmentToken>> {
        let query = sql("SELECT id, organization_id, directories, created_at, created_by, expires_at, used_at, \
             used_by, revoked_at FROM enrollment_tokens WHERE organization_id = $1 AND id = $2")
        .bind(organization)
        .bind(id);
        self.database.row(query, read).await
    }

    /// Revokes an enrollment token; repeating it changes nothing. [`Error::NotFound`]: there is no such token.
    pub async fn revoke_enrollment_token(
        &self,
        organization: OrganizationId,
        id: EnrollmentTokenId,
        now: Timestamp,
    ) -> Result<EnrollmentToken> {
        let update = sql("UPDATE enrollment_tokens SET revoked_at = $1 \
             WHERE id = $2 AND organization_id = $3 AND revoked_at IS NULL")
        .bind(now)
        .bind(id)
        .bind(organization);
        self.database.execute(update).await?;
        self.get_enrollment_token(organization, id).await?.ok_or(Error::NotFound { what: "the enrollment token" })
    }
}

fn new_agent(organization: OrganizationId, directories: Vec<String>, new: NewAgent, now: Timestamp) -> Agent {
    let NewAgent { id, name, version, serial, not_after } = new;
    Agent {
        id,
        organization,
        name,
        version,
        os: None,
        takes_new_directories: directories.is_empty(),
        allowed_directories: directories,
        enrolled_at: now,
        last_seen_at: None,
        serial,
        not_after,
        former_serial: None,
        identity_shared_at: None,
        last_error: None,
        last_error_at: None,
        password_key: None,
        revoked_at: None,
        session: None,
    }
}
