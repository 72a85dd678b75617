//! Mapping accounts anew, after the rules of their directory have changed. What is to be done is compared, not remembered:
//! the state of an account says by which version of the rules it was mapped.

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::accounts::{self, select_accounts};
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::ids::{AccountId, DirectoryId, OrganizationId};
use crate::imports::Intake;
use crate::records::{AccountKind, ExternalKey, MappingProgress, MappingRun, MappingStep, Restamp, Room, StaleAccount};
use crate::sql::sql;
use crate::transaction::Tx;

/// Accounts that are not missing and that another version than `$6` has mapped. Bytes 11 to 13 of the hash are the version.
macro_rules! stale {
    () => {
        select_accounts!(
            ", a.hash",
            "WHERE a.organization_id = $1 AND a.target = $2 AND a.kind = $3 AND a.external_key > $4 \
             AND a.missing_since IS NULL AND substr(a.hash, 11, 3) <> $6 ORDER BY a.external_key LIMIT $5"
        )
    };
}

/// Notes in the transaction that saves a version that accounts are to be mapped by it.
pub(crate) async fn begin(
    tx: &mut Tx,
    organization: OrganizationId,
    directory: DirectoryId,
    version: u32,
) -> Result<()> {
    let note = sql("INSERT INTO mapping_runs (organization_id, directory_id, version, kind, after_key, claimed_until, \
         done, failures, changed, samples) VALUES ($1, $2, $3, 1, $4, 0, FALSE, 0, 0, '[]') \
         ON CONFLICT (directory_id) DO UPDATE SET version = excluded.version, kind = 1, after_key = excluded.after_key, \
         claimed_until = 0, done = FALSE, failures = 0, changed = 0, samples = '[]', finished_at = NULL")
    .bind(organization)
    .bind(directory)
    .bind(version)
    .bind(Vec::new());
    tx.execute(note).await.map(|_| ())
}

impl Store {
    /// Claims a directory whose accounts are to be mapped anew, until then. `None`: there is none.
    pub async fn claim_mapping(&self, until: Timestamp, now: Timestamp) -> Result<Option<MappingRun>> {
        let query = sql("SELECT r.organization_id, r.directory_id, r.version, r.kind, r.after_key, r.claimed_until \
             FROM mapping_runs r JOIN directories d ON d.id = r.directory_id \
             WHERE NOT r.done AND r.claimed_until <= $1 AND d.deleted_at IS NULL LIMIT 1")
        .bind(now);
        let read = |mut row: crate::sql::Row| {
            let run = MappingRun {
                organization: row.take()?,
                directory: row.take()?,
                version: row.take()?,
                kind: AccountKind::from_code(row.take()?)?,
                after: row.take()?,
                claimed_until: until,
            };
            Ok((run, row.take::<Timestamp>()?))
        };
        let Some((run, before)) = self.database.row(query, read).await? else { return Ok(None) };
        let claim = sql("UPDATE mapping_runs SET claimed_until = $1 \
             WHERE directory_id = $2 AND organization_id = $3 AND version = $4 AND claimed_until = $5 AND NOT done")
        .bind(until)
        .bind(run.directory)
        .bind(run.organization)
        .bind(run.version)
        .bind(before);
        Ok((self.database.execute(claim).await? > 0).then_some(run))
    }

    /// Notes how far a run has come, and what was done since, and keeps the claim until then. The samples of the first
    /// failures stay. `false`: another version is to be mapped by now, or somebody else has the claim.
    pub async fn advance_mapping(&self, run: &mut MappingRun, step: &MappingStep, until: Timestamp) -> Result<bool> {
        let update = sql("UPDATE mapping_runs SET kind = $1, after_key = $2, claimed_until = $3, \
             failures = failures + $4, changed = changed + $9, \
             samples = CASE WHEN failures = 0 AND $4 > 0 THEN $10 ELSE samples END \
             WHERE directory_id = $5 AND organization_id = $6 AND version = $7 AND claimed_until = $8 AND NOT done")
        .bind(run.kind.code())
        .bind(run.after.clone())
        .bind(until)
        .bind(crate::sql::signed(step.failures.count))
        .bind(run.directory)
        .bind(run.organization)
        .bind(run.version)
        .bind(run.claimed_until)
        .bind(crate::sql::signed(step.changed))
        .bind(step.failures.samples.to_string());
        run.claimed_until = until;
        Ok(self.database.execute(update).await? > 0)
    }

    /// Ends a run that has come to the last account. Where an import is under way that may have begun with an older version,
    /// the run begins once more at `again`, until that import has ended. Returns whether the run has ended.
    pub async fn finish_mapping(&self, run: &MappingRun, again: Timestamp, now: Timestamp) -> Result<bool> {
        let finish = sql(
            "UPDATE mapping_runs SET done = TRUE, finished_at = $5 WHERE directory_id = $1 AND organization_id = $2 \
             AND version = $3 AND claimed_until = $4 AND NOT EXISTS (SELECT 1 FROM jobs j \
             WHERE j.directory_id = $1 AND j.exclusive AND (j.state = 'running' OR (j.state = 'queued' AND j.proven)) \
             AND j.started_at <= (SELECT v.created_at FROM mapping_versions v \
             WHERE v.directory_id = $1 AND v.direction = 1 AND v.version = $3))",
        )
        .bind(run.directory)
        .bind(run.organization)
        .bind(run.version)
        .bind(run.claimed_until)
        .bind(now);
        if self.database.execute(finish).await? > 0 {
            return Ok(true);
        }
        let wait = sql("UPDATE mapping_runs SET kind = 1, after_key = $1, claimed_until = $2 \
             WHERE directory_id = $3 AND organization_id = $4 AND version = $5 AND claimed_until = $6 AND NOT done")
        .bind(Vec::new())
        .bind(again)
        .bind(run.directory)
        .bind(run.organization)
        .bind(run.version)
        .bind(run.claimed_until);
        self.database.execute(wait).await.map(|_| false)
    }

    /// How far the accounts of a directory are mapped. `None`: no rules were ever saved.
    pub async fn mapping_progress(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
    ) -> Result<Option<MappingProgress>> {
        let query = sql("SELECT version, done, failures, changed, samples, finished_at FROM mapping_runs \
             WHERE organization_id = $1 AND directory_id = $2");
        let read = |mut row: crate::sql::Row| {
            Ok(MappingProgress {
                version: row.take()?,
                done: row.take()?,
                failures: row.take()?,
                changed: row.take()?,
                samples: row.take()?,
                finished_at: row.take()?,
            })
        };
        self.database.row(query.bind(organization).bind(directory), read).await
    }

    /// The next accounts that another version has mapped, by external id.
    pub async fn stale_accounts(&self, run: &MappingRun, version: [u8; 3], limit: u32) -> Result<Vec<StaleAccount>> {
        let Some(seq) = self.directory_seq(run.organization, run.directory).await? else { return Ok(Vec::new()) };
        let query = sql(stale!())
            .bind(run.organization)
            .bind(seq)
            .bind(run.kind.code())
            .bind(run.after.clone())
            .bind(limit)
            .bind(version.to_vec());
        let read =
            |mut row: crate::sql::Row| Ok(StaleAccount { account: accounts::read(&mut row)?, hash: row.take()? });
        self.database.rows_within(query, &mut Room::default(), read).await
    }
}

impl Intake {
    /// Gives accounts another state, where they have the one that is expected. Returns how many had it.
    pub async fn restamp(&mut self, restamps: &[Restamp]) -> Result<u64> {
        let column = |bytes: fn(&Restamp) -> [u8; 16]| {
            Cells::Blobs(restamps.iter().map(|restamp| bytes(restamp).to_vec()).collect())
        };
        let ids: Vec<Uuid> = restamps.iter().map(|restamp| AccountId::as_uuid(restamp.account)).collect();
        let update = Bulk::new(
            "WITH v(id, before, after) AS ({rows}) {update} accounts SET hash = v.after FROM v \
             WHERE accounts.id = v.id AND accounts.hash = v.before AND accounts.missing_since IS NULL \
             AND (accounts.organization_id = :1) IS TRUE AND (accounts.target = :2) IS TRUE",
        )
        .column(Cells::Uuids(ids))
        .column(column(|restamp| restamp.before))
        .column(column(|restamp| restamp.after))
        .shared(self.identities.organization)
        .shared(self.directory);
        self.identities.tx.bulk(update).await
    }
}

impl MappingRun {
    /// Goes on after this account.
    pub fn pass(&mut self, key: &ExternalKey) {
        self.after = key.as_bytes().to_vec();
    }
}
