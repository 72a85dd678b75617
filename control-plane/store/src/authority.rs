//! The certificate authority, which all replicas on one database share: otherwise one replica would refuse the agents
//! of another.

use jiff::Timestamp;

use crate::Store;
use crate::error::{Error, Result};
use crate::sql::sql;

/// SHA-256 of an authority's certificate.
pub type AuthorityPin = [u8; 32];

impl Store {
    /// The authority of this database. `None`: no control plane has served it yet.
    pub async fn authority(&self) -> Result<Option<AuthorityPin>> {
        let found: Option<Vec<u8>> =
            self.database.row(sql("SELECT sha256 FROM authority"), |mut row| row.take()).await?;
        let pin = |sha256: Vec<u8>| sha256.try_into().map_err(|_| corrupt());
        found.map(pin).transpose()
    }

    /// Sets the authority of a database that has none, and returns the one that it has afterwards.
    pub async fn enter_authority(&self, own: AuthorityPin, now: Timestamp) -> Result<AuthorityPin> {
        let insert = sql("INSERT INTO authority (one, sha256, since) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING")
            .bind(own.to_vec())
            .bind(now);
        self.database.execute(insert).await?;
        self.authority().await?.ok_or_else(corrupt)
    }

    /// Replaces the authority by this one; all agents must enroll again.
    pub async fn replace_authority(&self, own: AuthorityPin, now: Timestamp) -> Result<()> {
        let replace = sql("INSERT INTO authority (one, sha256, since) VALUES (1, $1, $2) \
             ON CONFLICT (one) DO UPDATE SET sha256 = $1, since = $2")
        .bind(own.to_vec())
        .bind(now);
        self.database.execute(replace).await.map(drop)
    }
}

fn corrupt() -> Error {
    Error::Corrupt { what: "the certificate authority".to_owned(), source: None }
}
