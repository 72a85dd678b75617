//! Writes of an import: one transaction compares, writes accounts, users and groups, and records the chunk that brought
//! them. Without [`Intake::commit`] nothing is stored.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::identities::Identities;
use crate::ids::{AccountId, DirectoryId, JobId, OrganizationId};
use crate::leases::{fenced, may_write};
use crate::member_names::member_hash;
use crate::records::{Lease, MemberForm, NewAccount};
use crate::sql::{Row, named, sql};

/// A write transaction on one directory's accounts and on the users and groups that they belong to.
pub struct Intake {
    pub(crate) identities: Identities,
    /// The directory's internal number.
    pub(crate) directory: i64,
    /// Its place in the order of directories.
    pub(crate) rank: i64,
    /// Its matching rules, in the caller's form.
    pub(crate) matching: Option<serde_json::Value>,
    pub(crate) form: MemberForm,
}

impl fmt::Debug for Intake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Intake").field("organization", &self.identities.organization).finish_non_exhaustive()
    }
}

impl Store {
    /// Starts a transaction. `SQLite` has one writer at a time: keep it short. [`Error::NotFound`]: the organization
    /// has no such directory.
    pub async fn begin_intake(
        &self,
        organization: OrganizationId,
        directory: DirectoryId,
        now: Timestamp,
    ) -> Result<Intake> {
        let mut tx = self.database.begin().await?;
        let query =
            sql("SELECT seq, rank, matching, member_form FROM directories WHERE organization_id = $1 AND id = $2");
        let read = |mut row: Row| Ok((row.take()?, row.take()?, row.take()?, named(&mut row)?));
        let found = tx.row(query.bind(organization).bind(directory), read).await?;
        let Some((directory, rank, matching, form)) = found else {
            tx.rollback().await?;
            return Err(Error::NotFound { what: "the directory" });
        };
        let mut identities = Identities::over(tx, organization, now);
        identities.check_unique().await?;
        Ok(Intake { identities, directory, rank, matching, form })
    }
}

impl Intake {
    /// The organization's users, groups and links, in the same transaction.
    pub fn identities(&mut self) -> &mut Identities {
        &mut self.identities
    }

    /// How the groups of this directory name their members.
    pub fn member_form(&self) -> MemberForm {
        self.form
    }

    /// Makes everything durable.
    pub async fn commit(self) -> Result<()> {
        self.identities.commit().await
    }

    /// Undoes everything. Dropping it does the same.
    pub async fn rollback(self) -> Result<()> {
        self.identities.rollback().await
    }

    /// Whether the caller still owns the job, and the job may still write; both hold until this transaction ends.
    pub async fn check_owner(&mut self, lease: &Lease) -> Result<bool> {
        // An update that changes nothing locks the row on PostgreSQL; SQLite has one writer anyway.
        let lock = sql(concat!(
            "UPDATE jobs SET attempt = attempt WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' \
             AND organization_id = $4 AND ",
            may_write!()
        ));
        Ok(self.identities.tx.execute(fenced(lock, lease).bind(self.identities.organization)).await? > 0)
    }

    /// Writes new accounts. [`Error::Conflict`]: one of them exists already.
    pub async fn insert_accounts(&mut self, accounts: Vec<NewAccount>) -> Result<()> {
        self.write_accounts(
            "WITH v(id, kind, external_key, hash, identity, on_until, member_hash, conflict, dn, unique_value, \
             attributes) AS ({rows}) {insert} accounts (id, organization_id, target, kind, external_key, hash, \
             identity, on_until, switch_hidden, member_hash, updated_at, conflict, dn, unique_value, attributes) \
             SELECT v.id, :1, :2, v.kind, v.external_key, v.hash, v.identity, v.on_until, \
             v.kind = 1 AND v.on_until IS NULL, v.member_hash, :3, \
             v.conflict, v.dn, v.unique_value, v.attributes FROM v",
            accounts,
        )
        .await
    }

    /// Writes changed accounts, and they are no longer missing. An unknown switch keeps the last known one. But of an
    /// account that was missing it keeps only "off": too much may have changed.
    pub async fn update_accounts(&mut self, accounts: Vec<NewAccount>) -> Result<()> {
        self.update_indexed(&accounts).await?;
        self.write_accounts(
            "WITH v(id, kind, external_key, hash, identity, on_until, member_hash, conflict, dn, unique_value, \
             attributes) AS ({rows}) {update} accounts SET hash = v.hash, \
             on_until = COALESCE(v.on_until, CASE WHEN accounts.missing_since IS NULL \
              OR accounts.on_until <= accounts.missing_since THEN accounts.on_until END), \
              switch_hidden = (v.kind = 1 AND v.on_until IS NULL), \
             disabled_here = (accounts.disabled_here AND COALESCE(v.on_until, 0) <= 0), \
             updated_at = :3, conflict = v.conflict, dn = v.dn, \
             unique_value = v.unique_value, attributes = v.attributes, missing_since = NULL, missing_job = NULL FROM v \
             WHERE accounts.id = v.id AND (accounts.organization_id = :1) IS TRUE AND (accounts.target = :2) IS TRUE",
            accounts,
        )
        .await
    }

    /// Writes the columns of the large indexes where they differ: `SQLite` writes pages of every index that a statement
    /// names, changed or not.
    async fn update_indexed(&mut self, accounts: &[NewAccount]) -> Result<()> {
        let form = self.form;
        let hash = |account: &NewAccount| {
            member_hash(form, account.kind, &account.dn_key, account.unique_value.as_deref(), &account.external_key)
                .map(Vec::from)
        };
        let update = Bulk::new(
            "WITH v(id, identity, member_hash) AS ({rows}) {update} accounts SET identity = v.identity, \
             member_hash = v.member_hash FROM v \
             WHERE accounts.id = v.id AND (accounts.organization_id = :1) IS TRUE AND (accounts.target = :2) IS TRUE \
             AND (accounts.identity IS DISTINCT FROM v.identity \
             OR accounts.member_hash IS DISTINCT FROM v.member_hash)",
        )
        .column(Cells::Uuids(accounts.iter().map(|account| account.id.as_uuid()).collect()))
        .column(Cells::MaybeUuids(accounts.iter().map(|account| account.identity).collect()))
        .column(Cells::MaybeBlobs(accounts.iter().map(hash).collect()));
        self.identities.tx.bulk(update.shared(self.identities.organization).shared(self.directory)).await.map(|_| ())
    }

    async fn write_accounts(&mut self, template: &'static str, accounts: Vec<NewAccount>) -> Result<()> {
        let Self { identities: Identities { organization, now, .. }, directory, form, .. } = *self;
        let make = |accounts: Vec<NewAccount>| {
            let mut columns = AccountColumns::with_capacity(accounts.len());
            for account in accounts {
                columns.push(account, form);
            }
            columns.into_bulk(Bulk::new(template)).shared(organization).shared(directory).shared(now)
        };
        self.identities.tx.bulk(make(accounts)).await.map(|_| ())
    }

    /// Marks accounts as missing since now by this import, and updates their users and groups. Skips those that are
    /// missing already. Returns how many were marked.
    pub async fn mark_missing(&mut self, job: JobId, accounts: &[AccountId]) -> Result<u64> {
        let update = Bulk::new(
            "{update} accounts SET missing_since = :1, missing_job = :4 \
             WHERE id {in} AND (organization_id = :2) IS TRUE AND (target = :3) IS TRUE \
             AND missing_since IS NULL",
        )
        .column(ids(accounts))
        .shared(self.identities.now)
        .shared(self.identities.organization)
        .shared(self.directory)
        .shared(job);
        let marked = self.identities.tx.bulk(update).await?;
        self.settle_missing(accounts).await?;
        Ok(marked)
    }
}

pub(crate) fn ids(accounts: &[AccountId]) -> Cells {
    Cells::Uuids(accounts.iter().map(|account| account.as_uuid()).collect())
}

#[derive(Default)]
struct AccountColumns {
    ids: Vec<Uuid>,
    kinds: Vec<i64>,
    keys: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    identities: Vec<Option<Uuid>>,
    on_until: Vec<Option<i64>>,
    member_hashes: Vec<Option<Vec<u8>>>,
    conflicts: Vec<Option<String>>,
    dns: Vec<String>,
    unique_values: Vec<Option<String>>,
    attributes: Vec<String>,
}

impl AccountColumns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            ids: Vec::with_capacity(rows),
            kinds: Vec::with_capacity(rows),
            keys: Vec::with_capacity(rows),
            hashes: Vec::with_capacity(rows),
            identities: Vec::with_capacity(rows),
            on_until: Vec::with_capacity(rows),
            member_hashes: Vec::with_capacity(rows),
            conflicts: Vec::with_capacity(rows),
            dns: Vec::with_capacity(rows),
            unique_values: Vec::with_capacity(rows),
            attributes: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, account: NewAccount, form: MemberForm) {
        let NewAccount { kind, dn_key, unique_value, external_key, .. } = &account;
        let hash = member_hash(form, *kind, dn_key, unique_value.as_deref(), external_key);
        self.member_hashes.push(hash.map(Vec::from));
        self.ids.push(account.id.as_uuid());
        self.kinds.push(account.kind.code());
        self.keys.push(account.external_key.as_bytes().to_vec());
        self.hashes.push(account.hash.to_vec());
        self.identities.push(account.identity);
        self.on_until.push(account.switch.on_until());
        self.conflicts.push(account.conflict);
        self.dns.push(account.dn);
        self.unique_values.push(account.unique_value);
        self.attributes.push(account.attributes);
    }

    fn into_bulk(self, bulk: Bulk) -> Bulk {
        bulk.column(Cells::Uuids(self.ids))
            .column(Cells::Ints(self.kinds))
            .column(Cells::Blobs(self.keys))
            .column(Cells::Blobs(self.hashes))
            .column(Cells::MaybeUuids(self.identities))
            .column(Cells::MaybeInts(self.on_until))
            .column(Cells::MaybeBlobs(self.member_hashes))
            .column(Cells::MaybeTexts(self.conflicts))
            .column(Cells::Texts(self.dns))
            .column(Cells::MaybeTexts(self.unique_values))
            .column(Cells::Texts(self.attributes))
    }
}
