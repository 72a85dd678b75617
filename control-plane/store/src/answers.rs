//! Answers to requests that carried an idempotency key: a request that comes again gets the same answer.

use jiff::{SignedDuration, Timestamp};

use crate::Store;
use crate::error::Result;
use crate::ids::OrganizationId;
use crate::records::{AnswerClaim, StoredAnswer};
use crate::sql::sql;

/// A request that has no answer after this long was lost with its process and may be carried out anew.
const LOST: SignedDuration = SignedDuration::from_secs(60);

impl Store {
    /// Claims a key (its hash) for a request (its hash), or returns the state of the request that has it.
    pub async fn claim_answer(
        &self,
        organization: OrganizationId,
        key: [u8; 32],
        request: [u8; 32],
        now: Timestamp,
    ) -> Result<AnswerClaim> {
        let mut tx = self.database.begin().await?;
        let claim = sql("INSERT INTO answers (organization_id, key, request, claimed_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (organization_id, key) DO UPDATE SET request = excluded.request, \
             claimed_at = excluded.claimed_at WHERE answers.status IS NULL AND answers.claimed_at <= $5")
        .bind(organization)
        .bind(key)
        .bind(request)
        .bind(now)
        .bind(now.saturating_sub(LOST).unwrap_or(Timestamp::MIN));
        if tx.execute(claim).await? > 0 {
            tx.commit().await?;
            return Ok(AnswerClaim::Claimed);
        }
        let query = sql("SELECT request, status, body FROM answers WHERE organization_id = $1 AND key = $2")
            .bind(organization)
            .bind(key);
        let found = tx
            .row(query, |mut row| {
                let request = row.take()?;
                let status: Option<u16> = row.take()?;
                let body: Option<Vec<u8>> = row.take()?;
                Ok(match status {
                    Some(status) => {
                        AnswerClaim::Answered(StoredAnswer { request, status, body: body.unwrap_or_default() })
                    }
                    None => AnswerClaim::Busy { request },
                })
            })
            .await?;
        tx.commit().await?;
        Ok(found.unwrap_or(AnswerClaim::Busy { request }))
    }

    /// Stores the answer to a claimed key, unless the claim was lost and another request has claimed the key.
    pub async fn store_answer(
        &self,
        organization: OrganizationId,
        (key, request): ([u8; 32], [u8; 32]),
        status: u16,
        body: &[u8],
        now: Timestamp,
    ) -> Result<()> {
        let update = sql("UPDATE answers SET status = $1, body = $2, claimed_at = $3 \
             WHERE organization_id = $4 AND key = $5 AND request = $6 AND status IS NULL")
        .bind(u32::from(status))
        .bind(body)
        .bind(now)
        .bind(organization)
        .bind(key)
        .bind(request);
        self.database.execute(update).await.map(|_| ())
    }

    /// Releases a claimed key, so that the request may be sent again. A key that has its answer, or that another
    /// request has claimed, is not changed.
    pub async fn drop_answer(&self, organization: OrganizationId, key: [u8; 32], request: [u8; 32]) -> Result<()> {
        let delete = "DELETE FROM answers WHERE organization_id = $1 AND key = $2 AND request = $3 AND status IS NULL";
        let delete = sql(delete).bind(organization).bind(key).bind(request);
        self.database.execute(delete).await.map(|_| ())
    }

    /// Deletes older answers of all organizations. Returns how many.
    pub async fn expire_answers(&self, older_than: Timestamp) -> Result<u64> {
        self.database.execute(sql("DELETE FROM answers WHERE claimed_at < $1").bind(older_than)).await
    }
}
