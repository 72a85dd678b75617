//! The stored answers to requests with an idempotency key.

use super::access::Services;
use super::actor::Actor;
use super::error::Result;
use crate::records::AnswerClaim;

/// The stored answers of an actor's organization. They need no right, because each is sealed for its caller.
#[derive(Debug)]
pub struct Answers<'s> {
    services: &'s Services,
    actor: &'s Actor,
}

impl Services {
    /// Opens the kept answers.
    pub fn answers<'s>(&'s self, actor: &'s Actor) -> Answers<'s> {
        Answers { services: self, actor }
    }
}

impl Answers<'_> {
    /// Claims a key for a request.
    pub async fn claim(&self, key: [u8; 32], request: [u8; 32]) -> Result<AnswerClaim> {
        let now = self.services.now();
        Ok(self.services.store.claim_answer(self.actor.organization, key, request, now).await?)
    }

    /// Stores the answer to a request with a claimed key.
    pub async fn keep(&self, key: [u8; 32], request: [u8; 32], status: u16, sealed: &[u8]) -> Result<()> {
        let now = self.services.now();
        Ok(self.services.store.store_answer(self.actor.organization, (key, request), status, sealed, now).await?)
    }

    /// Releases a claimed key.
    pub async fn free(&self, key: [u8; 32], request: [u8; 32]) -> Result<()> {
        Ok(self.services.store.drop_answer(self.actor.organization, key, request).await?)
    }
}
