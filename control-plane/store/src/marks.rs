//! Marks: users and groups whose accounts in a target may have to change. Triggers of the database set a mark with every
//! change of a user, a group or its own members; provisioning reads marks and clears them.

use jiff::Timestamp;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::{Error, Result};
use crate::identities::Identities;
use crate::ids::{OrganizationId, TargetId};
use crate::records::{IdentityId, Mark, Page, PageRequest};
use crate::sql::{Row, sql};

/// The bits of `spread`, as the triggers set them.
const MEMBERS_CHANGED: i64 = 1;
const HAS_MOVED: i64 = 2;

macro_rules! select_marks {
    ($rest:literal) => {
        concat!(
            "SELECT identity, kind, times, marked_at, failures, not_before, problem, spread FROM marks WHERE target = \
             (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) AND ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Mark> {
    let (id, kind) = (row.take()?, row.take()?);
    let identity = IdentityId::from_code(kind, id)?;
    let (times, marked_at, failures) = (row.take()?, row.take()?, row.take()?);
    let (not_before, problem, spread): (_, _, i64) = (row.take()?, row.take()?, row.take()?);
    let (members_changed, has_moved) = (spread & MEMBERS_CHANGED != 0, spread & HAS_MOVED != 0);
    Ok(Mark { identity, times, marked_at, failures, not_before, problem, members_changed, has_moved })
}

impl Identities {
    /// Marks users and groups for a target. Marking again counts, and ends a wait after failures. [`Error::NotFound`]: the
    /// organization has no such target.
    pub async fn mark(&mut self, target: TargetId, identities: &[IdentityId]) -> Result<()> {
        let mut identities = identities.to_vec();
        identities.sort_unstable();
        identities.dedup();
        let query = sql("SELECT seq FROM targets WHERE organization_id = $1 AND id = $2");
        let query = query.bind(self.organization).bind(target);
        let Some(seq) = self.tx.row(query, |mut row| row.take::<i64>()).await? else {
            return Err(Error::NotFound { what: "the target" });
        };
        let insert = Bulk::new(
            "WITH v(identity, kind) AS ({rows}) \
             INSERT INTO marks (organization_id, target, identity, kind, times, marked_at) \
             SELECT :1, :2, v.identity, v.kind, 1, :3 FROM v WHERE TRUE ON CONFLICT (target, identity) DO UPDATE \
             SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0",
        )
        .column(Cells::Uuids(identities.iter().map(|identity| identity.as_uuid()).collect()))
        .column(Cells::Ints(identities.iter().map(|identity| identity.code()).collect()));
        self.tx.bulk(insert.shared(self.organization).shared(seq).shared(self.now)).await.map(|_| ())
    }

    /// Clears marks of a target that were carried out. A mark that was set again stays, but without its failures. Returns
    /// how many were cleared.
    pub async fn clear_marks(&mut self, target: TargetId, marks: &[Mark]) -> Result<u64> {
        let delete = Bulk::new(
            "WITH v(identity, times) AS ({rows}) DELETE FROM marks \
             WHERE (identity, times) IN (SELECT v.identity, v.times FROM v) \
             AND target = (SELECT seq FROM targets WHERE id = :2 AND organization_id = :1)",
        )
        .column(Cells::Uuids(marks.iter().map(|mark| mark.identity.as_uuid()).collect()))
        .column(Cells::Ints(marks.iter().map(|mark| mark.times).collect()));
        let cleared = self.tx.bulk(delete.shared(self.organization).shared(target)).await?;
        let failed: Vec<Uuid> =
            marks.iter().filter(|mark| mark.failures > 0).map(|mark| mark.identity.as_uuid()).collect();
        let update = Bulk::new(
            "{update} marks SET failures = 0, problem = NULL WHERE identity {in} AND target = \
             (SELECT seq FROM targets WHERE id = :2 AND organization_id = :1)",
        );
        self.tx.bulk(update.column(Cells::Uuids(failed)).shared(self.organization).shared(target)).await?;
        Ok(cleared)
    }

    /// Lets a user or group wait until there is something to do: it is due by itself then. `known` is the mark that was
    /// carried out, if there was one. One that was set again meanwhile does not wait.
    pub async fn wait(
        &mut self,
        target: TargetId,
        identity: IdentityId,
        known: Option<&Mark>,
        until: Timestamp,
    ) -> Result<()> {
        let insert = sql("INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, not_before) \
             SELECT t.organization_id, t.seq, $1, $2, 1, $3, $4 FROM targets t WHERE t.id = $5 AND t.organization_id = $6 \
             ON CONFLICT (target, identity) DO UPDATE SET not_before = excluded.not_before, failures = 0, problem = NULL \
             WHERE marks.times = $7")
        .bind(identity.as_uuid())
        .bind(identity.code())
        .bind(self.now)
        .bind(until)
        .bind(target)
        .bind(self.organization)
        .bind(known.map_or(0, |mark| mark.times));
        self.tx.execute(insert).await.map(|_| ())
    }

    /// Notes that a mark could not be carried out, why, and when it is tried again. One that was set again meanwhile is
    /// tried at once.
    pub async fn delay_mark(
        &mut self,
        target: TargetId,
        mark: &Mark,
        not_before: Timestamp,
        problem: &str,
    ) -> Result<()> {
        let update = sql("UPDATE marks SET failures = failures + 1, problem = $1, \
             not_before = CASE WHEN times = $2 THEN $3 ELSE 0 END WHERE identity = $4 AND target = \
             (SELECT seq FROM targets WHERE id = $5 AND organization_id = $6)")
        .bind(problem)
        .bind(mark.times)
        .bind(not_before)
        .bind(mark.identity.as_uuid())
        .bind(target)
        .bind(self.organization);
        self.tx.execute(update).await.map(|_| ())
    }
}

impl Identities {
    /// How often a mark was set, as this transaction sees it.
    pub async fn times_marked(&mut self, target: TargetId, identity: IdentityId) -> Result<Option<i64>> {
        let query = sql("SELECT times FROM marks WHERE identity = $1 \
             AND target = (SELECT seq FROM targets WHERE id = $2 AND organization_id = $3)");
        let query = query.bind(identity.as_uuid()).bind(target).bind(self.organization);
        self.tx.row(query, |mut row| row.take()).await
    }

    /// Notes that those whom the changes of groups may concern were marked, too. A group that has changed again stays as it is.
    pub async fn end_spread(&mut self, target: TargetId, marks: &[Mark]) -> Result<u64> {
        let update = Bulk::new(
            "WITH v(identity, times) AS ({rows}) {update} marks SET spread = 0 FROM v \
             WHERE marks.identity = v.identity AND marks.times = v.times \
             AND marks.target = (SELECT seq FROM targets WHERE id = :2 AND organization_id = :1)",
        )
        .column(Cells::Uuids(marks.iter().map(|mark| mark.identity.as_uuid()).collect()))
        .column(Cells::Ints(marks.iter().map(|mark| mark.times).collect()));
        self.tx.bulk(update.shared(self.organization).shared(target)).await
    }
}

impl Store {
    /// Up to `limit` marks of a target that are due, those that waited for longest first.
    pub async fn due_marks(
        &self,
        organization: OrganizationId,
        target: TargetId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Mark>> {
        let query = sql(select_marks!("not_before <= $3 ORDER BY not_before, identity LIMIT $4"));
        let query = query.bind(organization).bind(target).bind(now).bind(limit);
        self.database.rows(query, read).await
    }

    /// The mark of a user or group.
    pub async fn get_mark(
        &self,
        organization: OrganizationId,
        target: TargetId,
        identity: IdentityId,
    ) -> Result<Option<Mark>> {
        let query = sql(select_marks!("identity = $3")).bind(organization).bind(target).bind(identity.as_uuid());
        self.database.row(query, read).await
    }

    /// The users and groups whose accounts could not be changed and that are tried again, by id.
    pub async fn failed_marks(
        &self,
        organization: OrganizationId,
        target: TargetId,
        page: &PageRequest,
    ) -> Result<Page<Mark>> {
        let after: Option<Uuid> = page.cursor()?;
        let query = sql(select_marks!("failures > 0 AND identity > $3 ORDER BY identity LIMIT $4"));
        let query = query.bind(organization).bind(target).bind(after.unwrap_or_default()).bind(page.probe());
        let found = self.database.rows(query, read).await?;
        Ok(Page::cut(found, page, |last| last.identity.as_uuid().to_string()))
    }
}
