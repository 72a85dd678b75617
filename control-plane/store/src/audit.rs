//! The audit log of an organization: listed, verified, and shortened when its entries are old enough.

use jiff::Timestamp;

use crate::Store;
use crate::audit_chain::{self, AuditHead};
use crate::counts::MOST_COUNTED;
use crate::error::{Error, Result};
use crate::ids::OrganizationId;
use crate::records::{AuditEntry, AuditFilter, AuditNote, Page, PageRequest, Room, Total};
use crate::sql::{Row, Statement, signed, sql};

/// Entries read or deleted at a time.
pub(crate) const AT_ONCE: u32 = 1_000;

macro_rules! select_entries {
    ($rest:literal) => {
        concat!(
            "SELECT seq, at, actor, actor_name, address, action, object_id, object, before, after, hash FROM audit \
             WHERE organization_id = $1 AND ",
            $rest
        )
    };
}
pub(crate) use select_entries;

/// The entries that a filter wants: `$1` is the organization, `$2` ends the range, `$3` to `$9` are the filter.
macro_rules! wanted {
    () => {
        "seq < $2 AND ($3 IS NULL OR actor = $3 OR actor_name = $3 OR actor_name = 'schedule ' || $3) AND ($4 IS NULL OR action = $4) \
         AND ($5 IS NULL OR action LIKE $5 ESCAPE '!') AND ($6 IS NULL OR object = $6) \
         AND ($7 IS NULL OR object_id = $7 OR object_id IN (SELECT m.id FROM merged_users m WHERE m.organization_id = $1 \
         AND m.into_id = $7)) AND ($8 IS NULL OR at >= $8) AND ($9 IS NULL OR at < $9)"
    };
}

impl Store {
    /// The log, the latest first.
    pub async fn list_audit(
        &self,
        organization: OrganizationId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditEntry>> {
        let before: Option<u64> = page.cursor()?;
        let query = sql(concat!(select_entries!(""), wanted!(), " ORDER BY seq DESC LIMIT $10"));
        let query = bound(query, organization, before, filter).bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read(organization)).await?;
        Ok(Page::within(found, page, &room, |last| last.seq.to_string()))
    }

    /// How many entries [`Store::list_audit`] has in all.
    pub async fn total_audit(&self, organization: OrganizationId, filter: &AuditFilter) -> Result<Total> {
        let query = sql(concat!(
            "SELECT count(*) FROM (SELECT 1 FROM audit WHERE organization_id = $1 AND ",
            wanted!(),
            " LIMIT $10) found"
        ));
        let query = bound(query, organization, None, filter).bind(signed(MOST_COUNTED + 1));
        let count: u64 = self.database.row(query, |mut row| row.take()).await?.unwrap_or_default();
        Ok(Total { count: count.min(MOST_COUNTED), more: count > MOST_COUNTED })
    }

    /// Deletes entries, of all organizations, that are older than their organization keeps them: some of one organization at
    /// a time, so the caller goes on until nothing is left. The hash of the last one stays as the anchor of the rest, and an
    /// entry says so. An organization's turn comes once a day, so that these entries stay few.
    pub async fn forget_audit(&self, now: Timestamp) -> Result<u64> {
        let query = sql("SELECT h.organization_id, $1 - o.audit_retention_days * 86400000 FROM audit_heads h \
             JOIN organizations o ON o.id = h.organization_id JOIN audit a ON a.organization_id = h.organization_id \
             AND a.seq = h.anchor_seq + 1 WHERE o.audit_retention_days > 0 \
             AND a.at < $1 - (o.audit_retention_days + 1) * 86400000 LIMIT 1");
        let due = self.database.row(query.bind(now), |mut row| Ok((row.take::<OrganizationId>()?, row.take::<i64>()?)));
        let Some((organization, before)) = due.await? else { return Ok(0) };
        let mut tx = self.database.begin().await?;
        let lock = sql("UPDATE audit_heads SET seq = seq WHERE organization_id = $1 RETURNING anchor_seq");
        let anchor: Option<i64> = tx.row(lock.bind(organization), |mut row| row.take()).await?;
        let query =
            sql("SELECT seq, hash, at FROM audit WHERE organization_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                .bind(organization)
                .bind(anchor.ok_or_else(|| Error::corrupt("the audit log"))?)
                .bind(AT_ONCE);
        let read = |mut row: Row| Ok((AuditHead { seq: row.take()?, hash: row.take()? }, row.take::<i64>()?));
        let found = tx.rows(query, read).await?;
        let Some((last, _)) = found.into_iter().take_while(|(_, at)| *at < before).last() else {
            tx.rollback().await?;
            return Ok(0);
        };
        let delete = sql("DELETE FROM audit WHERE organization_id = $1 AND seq <= $2");
        let deleted = tx.execute(delete.bind(organization).bind(signed(last.seq))).await?;
        let update = sql("UPDATE audit_heads SET anchor_seq = $1, anchor_hash = $2 WHERE organization_id = $3");
        tx.execute(update.bind(signed(last.seq)).bind(last.hash).bind(organization)).await?;
        tx.note(audit_chain::forgotten(organization, last, now));
        tx.commit().await?;
        Ok(deleted)
    }
}

pub(crate) fn read(organization: OrganizationId) -> impl FnMut(Row) -> Result<AuditEntry> {
    move |mut row| {
        let seq = row.take()?;
        let note = AuditNote {
            organization,
            at: row.take()?,
            actor: row.take()?,
            actor_name: row.take()?,
            address: row.take()?,
            action: row.take()?,
            object_id: row.take()?,
            object: row.take()?,
            before: row.take()?,
            after: row.take()?,
        };
        Ok(AuditEntry { seq, note, hash: row.take()? })
    }
}

fn bound(query: Statement, organization: OrganizationId, before: Option<u64>, filter: &AuditFilter) -> Statement {
    let (exact, prefix) = match filter.action.as_deref() {
        Some(action) if action.ends_with('.') => (None, Some(format!("{}%", escaped(action)))),
        action => (action.map(str::to_owned), None),
    };
    query
        .bind(organization)
        .bind(before.map_or(i64::MAX, signed))
        .bind(filter.actor.as_deref())
        .bind(exact)
        .bind(prefix)
        .bind(filter.object.as_deref())
        .bind(filter.object_id)
        .bind(filter.since)
        .bind(filter.until)
}

/// A text for LIKE that means itself.
fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
