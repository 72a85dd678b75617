//! Entries that an import keeps aside until it is proven, and queries about their accounts to judge them.

use crate::Store;
use crate::dialect::{self, Bulk, Cells};
use crate::error::Result;
use crate::ids::{AccountId, DirectoryId, JobId, OrganizationId};
use crate::imports::{Intake, ids};
use crate::records::{AccountKind, Deferred, DeferredPart, ExternalKey, KnownContent, NamedAccount, Switch};
use crate::sql::{signed, sql};

/// Texts counted by one statement: databases limit the columns of a row.
const MOST_TEXTS: usize = 200;

impl Intake {
    /// Keeps entries aside, in the transaction that records their chunks. Entries that are kept already are not
    /// changed.
    pub async fn defer(&mut self, job: JobId, generation: u32, deferred: Vec<Deferred>) -> Result<()> {
        if deferred.is_empty() {
            return Ok(());
        }
        let insert = Bulk::new(
            "WITH v(sequence, kinds, entries, counts, payload) AS ({rows}) \
             INSERT INTO deferred_entries (organization_id, job_id, generation, sequence, kinds, entries, counts, payload) \
             SELECT :1, :2, :3, v.sequence, v.kinds, v.entries, v.counts, v.payload FROM v WHERE TRUE \
             ON CONFLICT DO NOTHING",
        );
        let parts = || deferred.iter().map(|deferred| &deferred.part);
        let insert = insert
            .column(Cells::Ints(parts().map(|part| signed(part.sequence)).collect()))
            .column(Cells::Ints(parts().map(|part| part.kinds.into()).collect()))
            .column(Cells::Ints(parts().map(|part| signed(part.entries)).collect()))
            .column(Cells::Texts(parts().map(|part| part.counts.to_string()).collect()))
            .column(Cells::Blobs(deferred.into_iter().map(|deferred| deferred.payload).collect()))
            .shared(self.identities.organization)
            .shared(job)
            .shared(generation);
        self.identities.tx.bulk(insert).await?;
        Ok(())
    }

    /// Deletes entries that were kept aside, in the transaction that applies them.
    pub async fn drop_deferred(&mut self, job: JobId, generation: u32, part: &DeferredPart) -> Result<()> {
        let delete = sql("DELETE FROM deferred_entries WHERE organization_id = $1 AND job_id = $2 \
             AND generation = $3 AND sequence = $4 AND kinds = $5")
        .bind(self.identities.organization)
        .bind(job)
        .bind(generation)
        .bind(signed(part.sequence))
        .bind(part.kinds);
        self.identities.tx.execute(delete).await.map(|_| ())
    }
}

impl Store {
    /// What an import keeps aside, in order of arrival.
    pub async fn deferred(
        &self,
        organization: OrganizationId,
        job: JobId,
        generation: u32,
    ) -> Result<Vec<DeferredPart>> {
        let query = sql("SELECT sequence, kinds, entries, counts FROM deferred_entries \
             WHERE organization_id = $1 AND job_id = $2 AND generation = $3 ORDER BY sequence, kinds")
        .bind(organization)
        .bind(job)
        .bind(generation);
        self.database
            .rows(query, |mut row| {
                Ok(DeferredPart {
                    sequence: row.take()?,
                    kinds: row.take()?,
                    entries: row.take()?,
                    counts: row.take()?,
                })
            })
            .await
    }

    /// The entries of one part. `None`: they are no longer kept.
    pub async fn deferred_payload(
        &self,
        organization: OrganizationId,
        job: JobId,
        generation: u32,
        part: &DeferredPart,
    ) -> Result<Option<Vec<u8>>> {
        let query = sql("SELECT payload FROM deferred_entries WHERE organization_id = $1 AND job_id = $2 \
             AND generation = $3 AND sequence = $4 AND kinds = $5")
        .bind(organization)
        .bind(job)
        .bind(generation)
        .bind(signed(part.sequence))
        .bind(part.kinds);
        self.database.row(query, |mut row| row.take()).await
    }

    /// The contents of these accounts, in no certain order, as last committed.
    pub async fn known_contents(
        &self,
        organization: OrganizationId,
        accounts: &[AccountId],
    ) -> Result<Vec<KnownContent>> {
        // One query for each user: without statistics, PostgreSQL would join with the whole table.
        let query = Bulk::new(
            "SELECT a.id, a.dn, a.unique_value, a.attributes, a.on_until, (SELECT u.name_key FROM users u WHERE u.id = a.identity), \
             (SELECT u.active FROM users u WHERE u.id = a.identity), a.missing_since IS NOT NULL, \
             EXISTS (SELECT 1 FROM shared_ids s WHERE s.target = a.target AND s.account_id = a.id) \
             FROM accounts a WHERE a.id {in} AND (a.organization_id = :1) IS TRUE",
        );
        self.database
            .bulk_rows(query.column(ids(accounts)).shared(organization), |mut row| {
                Ok(KnownContent {
                    account: row.take()?,
                    dn: row.take()?,
                    unique_value: row.take()?,
                    attributes: row.take()?,
                    switch: Switch::from_on_until(row.take()?),
                    name_key: row.take()?,
                    active: row.take()?,
                    missing: row.take()?,
                    shared: row.take()?,
                })
            })
            .await
    }

    /// These accounts with their names for people, in no certain order.
    pub async fn named_accounts(
        &self,
        organization: OrganizationId,
        accounts: &[AccountId],
    ) -> Result<Vec<NamedAccount>> {
        let query = Bulk::new(
            "SELECT a.id, a.dn, COALESCE((SELECT COALESCE(u.display_name, u.user_name) FROM users u \
             WHERE u.id = a.identity), (SELECT g.display_name FROM groups g WHERE g.id = a.identity)) \
             FROM accounts a WHERE a.id {in} AND (a.organization_id = :1) IS TRUE",
        );
        self.database
            .bulk_rows(query.column(ids(accounts)).shared(organization), |mut row| {
                Ok(NamedAccount { id: row.take()?, dn: row.take()?, display_name: row.take()? })
            })
            .await
    }

    /// The ids, keys and DNs of up to `limit` accounts that are not missing, ordered by key, after this one.
    pub async fn present_dns(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        kind: AccountKind,
        after: Option<&ExternalKey>,
        limit: u32,
    ) -> Result<Vec<(AccountId, ExternalKey, String)>> {
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(Vec::new()) };
        let query = sql("SELECT id, external_key, dn FROM accounts WHERE target = $1 AND kind = $2 \
             AND external_key > $3 AND missing_since IS NULL ORDER BY external_key LIMIT $4")
        .bind(seq)
        .bind(kind.code())
        .bind(after.map_or(Vec::new(), |key| key.as_bytes().to_vec()))
        .bind(limit);
        self.database
            .rows(query, |mut row| Ok((row.take()?, ExternalKey::from_bytes(&row.take::<Vec<u8>>()?)?, row.take()?)))
            .await
    }

    /// How many accounts that are not missing have an attribute of each of these names, in the order of the names.
    /// Reads all accounts of the kind once for every `MOST_TEXTS` names.
    pub async fn count_with_attributes(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        kind: AccountKind,
        names: &[&str],
    ) -> Result<Vec<u64>> {
        let mut counts = Vec::with_capacity(names.len());
        let Some(seq) = self.directory_seq(organization, directory).await? else { return Ok(vec![0; names.len()]) };
        for names in names.chunks(MOST_TEXTS) {
            let mut query = dialect::accounts_with(self.backend(), names.len()).bind(seq).bind(kind.code());
            for name in names {
                // No value can contain this, because its quotes are escaped.
                query = query.bind(format!("{}:[", serde_json::Value::from(*name)));
            }
            let found = self.database.row(query, |mut row| names.iter().map(|_| row.take()).collect());
            counts.extend(found.await?.unwrap_or_else(|| vec![0_u64; names.len()]));
        }
        Ok(counts)
    }
}
