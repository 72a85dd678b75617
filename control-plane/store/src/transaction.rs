//! A write transaction on either engine.

use std::sync::Arc;

use sqlx::Postgres;
use uuid::Uuid;

use crate::audit_chain;
use crate::dialect::Bulk;
use crate::error::{EngineError, Error, Result};
use crate::ids::OrganizationId;
use crate::records::AuditNote;
use crate::sql::{Row, Statement, signed, sql};
use crate::sqlite::{self, Outcome, Writing};
use crate::wake::{Wake, Wakes};

/// A write transaction. Without [`Tx::commit`] nothing is stored.
pub(crate) struct Tx {
    inner: Inner,
    /// A statement over many rows failed halfway, so the transaction cannot continue.
    failed: bool,
    pending: Vec<Wake>,
    /// Rows that it has changed.
    changed: u64,
    /// Goes into the audit log if it changes something.
    note: Option<Arc<AuditNote>>,
    /// The object of the note, where the transaction has made it.
    made: Option<Uuid>,
    /// Goes into the audit log as well.
    noted: Vec<AuditNote>,
}

/// The connection of a transaction.
pub(crate) enum Inner {
    /// No connection once the transaction is over.
    Sqlite {
        writing: Option<Writing>,
        wakes: Wakes,
    },
    Postgres(Box<sqlx::Transaction<'static, Postgres>>),
}

impl Tx {
    /// One that has just begun.
    pub(crate) fn new(inner: Inner, note: Option<Arc<AuditNote>>) -> Self {
        Self { inner, failed: false, pending: Vec::new(), changed: 0, note, made: None, noted: Vec::new() }
    }

    /// The object that the note of this transaction is about: it was just made.
    pub(crate) fn made(&mut self, object: Uuid) {
        self.made = Some(object);
    }

    /// Writes this into the audit log, too.
    pub(crate) fn note(&mut self, note: AuditNote) {
        self.noted.push(note);
    }

    fn open(&mut self) -> Result<&mut Inner> {
        if self.failed { Err(Error::Other(EngineError::Over)) } else { Ok(&mut self.inner) }
    }

    /// Locks the rows that an update names, which changes nothing of them.
    pub(crate) async fn lock(&mut self, update: Statement) -> Result<()> {
        let changed = self.changed;
        self.execute(update).await?;
        self.changed = changed;
        Ok(())
    }

    /// Keeps the definitions of an organization as they are until the transaction ends: other changes of them wait. Not a lock
    /// of a row: new ones of this kind would go ahead of who waits. `SQLite` has one writer at a time.
    pub(crate) async fn share_definitions(&mut self, organization: OrganizationId) -> Result<()> {
        self.advise(
            "SELECT pg_advisory_xact_lock_shared(1, seq::int)::text FROM organizations WHERE id = $1",
            organization,
        )
        .await
    }

    /// The same, and no other transaction that keeps them goes on meanwhile.
    pub(crate) async fn hold_definitions(&mut self, organization: OrganizationId) -> Result<()> {
        self.advise("SELECT pg_advisory_xact_lock(1, seq::int)::text FROM organizations WHERE id = $1", organization)
            .await
    }

    /// Lets one transaction of an organization after another ask for values that nobody else may have.
    pub(crate) async fn hold_asked_values(&mut self, organization: OrganizationId) -> Result<()> {
        self.advise("SELECT pg_advisory_xact_lock(2, seq::int)::text FROM organizations WHERE id = $1", organization)
            .await
    }

    async fn advise(&mut self, lock: &'static str, organization: OrganizationId) -> Result<()> {
        if let Inner::Postgres(_) = self.inner {
            self.rows(sql(lock).bind(organization), |_| Ok(())).await?;
        }
        Ok(())
    }

    /// The same as [`Self::lock`] for many rows.
    pub(crate) async fn lock_many(&mut self, update: Bulk) -> Result<()> {
        let changed = self.changed;
        self.bulk(update).await?;
        self.changed = changed;
        Ok(())
    }

    /// Carries a statement out and returns the number of rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64> {
        let changed = match self.open()? {
            Inner::Sqlite { writing, .. } => {
                Writing::work(writing, move |connection| sqlite::execute(connection, &statement)).await?
            }
            Inner::Postgres(tx) => statement.for_postgres()?.execute(&mut ***tx).await?.rows_affected(),
        };
        self.changed += changed;
        Ok(changed)
    }

    /// All rows of a statement.
    pub(crate) async fn rows<T>(&mut self, statement: Statement, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        match self.open()? {
            Inner::Sqlite { writing, .. } => {
                let rows = Writing::work(writing, move |connection| sqlite::rows(connection, &statement)).await?;
                rows.into_iter().map(read).collect()
            }
            Inner::Postgres(tx) => {
                let rows = statement.for_postgres()?.fetch_all(&mut ***tx).await?;
                rows.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    /// The first row of a statement.
    pub(crate) async fn row<T>(
        &mut self,
        statement: Statement,
        read: impl FnMut(Row) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(statement, read).await?.into_iter().next())
    }

    /// Runs a statement over many rows and returns the number of rows it changed.
    pub(crate) async fn bulk(&mut self, bulk: Bulk) -> Result<u64> {
        if bulk.is_empty() {
            return Ok(0);
        }
        let changed = match self.open()? {
            Inner::Sqlite { .. } => self.on_sqlite(bulk).await?.changed,
            Inner::Postgres(tx) => bulk.for_postgres()?.execute(&mut ***tx).await?.rows_affected(),
        };
        self.changed += changed;
        Ok(changed)
    }

    /// All rows of a statement over many rows.
    pub(crate) async fn bulk_rows<T>(&mut self, bulk: Bulk, read: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
        if bulk.is_empty() {
            return Ok(Vec::new());
        }
        match self.open()? {
            Inner::Sqlite { .. } => self.on_sqlite(bulk).await?.rows.into_iter().map(read).collect(),
            Inner::Postgres(tx) => {
                let rows = bulk.for_postgres()?.fetch_all(&mut ***tx).await?;
                rows.into_iter().map(Row::from).map(read).collect()
            }
        }
    }

    async fn on_sqlite(&mut self, bulk: Bulk) -> Result<Outcome> {
        let Inner::Sqlite { writing, .. } = &mut self.inner else { return Ok(Outcome::default()) };
        let done = Writing::work(writing, move |connection| sqlite::bulk(connection, &bulk)).await;
        self.failed = done.is_err();
        done
    }

    /// Wakes listeners after the commit.
    pub(crate) fn wake(&mut self, wake: Wake) {
        if !self.pending.contains(&wake) {
            self.pending.push(wake);
        }
    }

    /// Undoes everything. Dropping a transaction does the same, but loses its connection.
    pub(crate) async fn rollback(self) -> Result<()> {
        match self.inner {
            Inner::Sqlite { writing: Some(writing), .. } => writing.rollback().await?,
            // Over already.
            Inner::Sqlite { writing: None, .. } => {}
            Inner::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// Appends notes of one organization to its audit log. The last write of a transaction: the next one on this log
    /// waits for it.
    async fn append(&mut self, notes: Vec<AuditNote>) -> Result<()> {
        let Some(organization) = notes.first().map(|note| note.organization) else { return Ok(()) };
        // The conflict locks the row, so two transactions never take one place.
        let head = sql("INSERT INTO audit_heads (organization_id, seq, hash, anchor_seq, anchor_hash) \
             VALUES ($1, 0, $2, 0, $2) ON CONFLICT (organization_id) DO UPDATE SET seq = audit_heads.seq \
             RETURNING seq, hash");
        let read = |mut row: Row| Ok((row.take::<u64>()?, row.take::<[u8; 32]>()?));
        let head = self.row(head.bind(organization).bind(audit_chain::START), read).await?;
        let (seq, last) = head.ok_or_else(|| Error::corrupt("the end of the audit log"))?;
        let (entries, seq, last) = audit_chain::entries(notes, seq, last);
        self.bulk(audit_chain::rows(&entries).shared(organization)).await?;
        let update = sql("UPDATE audit_heads SET seq = $1, hash = $2 WHERE organization_id = $3");
        self.execute(update.bind(signed(seq)).bind(last).bind(organization)).await.map(|_| ())
    }

    /// Makes everything durable.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.open()?;
        if let Some(note) = self.note.take().filter(|_| self.changed > 0) {
            let mut note = AuditNote::clone(&note);
            note.object_id = self.made.or(note.object_id);
            self.noted.insert(0, note);
        }
        let noted = std::mem::take(&mut self.noted);
        self.append(noted).await?;
        let pending = std::mem::take(&mut self.pending);
        if let Inner::Postgres(_) = self.inner {
            for wake in &pending {
                let notify = sql("SELECT pg_notify($1, $2)").bind(crate::wake::CHANNEL).bind(wake.to_string());
                self.execute(notify).await?;
            }
        }
        match self.inner {
            Inner::Sqlite { writing, wakes } => {
                let marked = writing.ok_or(Error::Other(EngineError::Over))?.commit().await?;
                for wake in pending.into_iter().chain(marked.into_iter().map(Wake::Marked)) {
                    wakes.send(wake);
                }
            }
            Inner::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
