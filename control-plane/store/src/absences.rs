//! The results of an import's second look, for each account that did not come. Recorded before the import counts as
//! proven, so that any replica can finish it, now or after a decision.

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{AccountId, JobId, OrganizationId};
use crate::imports::{Intake, ids};
use crate::records::{AccountKind, ExternalKey, Sight, SoughtAccount, Unsettled};
use crate::sql::{named, sql};

impl Intake {
    /// Records the results for accounts. Recorded results are not changed.
    pub async fn record_sights(&mut self, job: JobId, generation: u32, sights: &[(AccountId, Sight)]) -> Result<()> {
        // Without a WHERE, SQLite would read ON as the condition of a join.
        let insert = Bulk::new(
            "WITH v(account_id, sight) AS ({rows}) INSERT INTO absences (organization_id, job_id, generation, \
             account_id, sight) SELECT :1, :2, :3, v.account_id, v.sight FROM v WHERE TRUE ON CONFLICT DO NOTHING",
        )
        .column(Cells::Uuids(sights.iter().map(|(account, _)| account.as_uuid()).collect()))
        .column(Cells::Texts(sights.iter().map(|(_, sight)| sight.as_str().to_owned()).collect()))
        .shared(self.identities.organization)
        .shared(job)
        .shared(generation);
        self.identities.tx.bulk(insert).await.map(|_| ())
    }
}

impl Store {
    /// The results for accounts that a generation of an import did not bring.
    pub async fn sights(
        &self,
        organization: OrganizationId,
        job: JobId,
        generation: u32,
    ) -> Result<Vec<(AccountId, Sight)>> {
        let query = sql("SELECT account_id, sight FROM absences \
             WHERE organization_id = $1 AND job_id = $2 AND generation = $3")
        .bind(organization)
        .bind(job)
        .bind(generation);
        self.database.rows(query, |mut row| Ok((row.take()?, named(&mut row)?))).await
    }

    /// Some of the accounts whose presence is unknown.
    pub async fn unsettled(
        &self,
        organization: OrganizationId,
        job: JobId,
        generation: u32,
        limit: u32,
    ) -> Result<Vec<Unsettled>> {
        let query = sql("SELECT a.dn, a.external_key, s.sight FROM absences s JOIN accounts a ON a.id = s.account_id \
             WHERE s.organization_id = $1 AND s.job_id = $2 AND s.generation = $3 \
             AND s.sight NOT IN ('absent', 'left_scope', 'left_scope_disabled') ORDER BY a.dn LIMIT $4")
        .bind(organization)
        .bind(job)
        .bind(generation)
        .bind(limit);
        let read = |mut row: crate::sql::Row| {
            let (dn, key) = (row.take()?, row.take::<Vec<u8>>()?);
            Ok(Unsettled { dn, external_key: ExternalKey::from_bytes(&key)?, sight: named(&mut row)? })
        };
        self.database.rows(query, read).await
    }

    /// What the agent needs to look for these accounts, in no certain order.
    pub async fn sought_accounts(
        &self,
        organization: OrganizationId,
        accounts: &[AccountId],
    ) -> Result<Vec<SoughtAccount>> {
        let query = Bulk::new(
            "SELECT id, kind, external_key, dn FROM accounts WHERE id {in} AND (organization_id = :1) IS TRUE",
        )
        .column(ids(accounts))
        .shared(organization);
        let read = |mut row: crate::sql::Row| {
            let (id, kind, key) = (row.take()?, row.take()?, row.take::<Vec<u8>>()?);
            Ok(SoughtAccount {
                id,
                kind: AccountKind::from_code(kind)?,
                external_key: ExternalKey::from_bytes(&key)?,
                dn: row.take()?,
            })
        };
        self.database.bulk_rows(query, read).await
    }
}
