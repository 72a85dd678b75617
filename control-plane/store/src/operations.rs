//! Operations: changes of objects in targets. Their rows are the report, too.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{OperationId, OrganizationId, PlanId, TargetId};
use crate::records::{Ended, IdentityId, Operation, OperationFilter, OperationState, Page, PageRequest, Room};
use crate::sql::{Row, named, signed, sql};
use crate::wake::Wake;

macro_rules! select_operations {
    ($($rest:literal),+) => {
        concat!(
            "SELECT o.id, o.organization_id, (SELECT t.id FROM targets t WHERE t.seq = o.target), o.identity, o.kind, ",
            "o.name, o.account_id, o.place, o.action, o.content, o.changes, o.cause, o.actor, o.state, o.generation, ",
            "o.created_at, o.sent_at, o.ended_at, o.elapsed_ms, o.answer, o.approved_by, o.plan_id, o.plan_row FROM operations o ",
            $($rest),+
        )
    };
}

fn read(mut row: Row) -> Result<Operation> {
    let (id, organization, target) = (row.take()?, row.take()?, row.take()?);
    let (identity, kind) = (row.take()?, row.take()?);
    Ok(Operation {
        id,
        organization,
        target,
        identity: IdentityId::from_code(kind, identity)?,
        name: row.take()?,
        account: row.take()?,
        place: row.take()?,
        action: row.take()?,
        content: row.take()?,
        changes: row.take()?,
        cause: row.take()?,
        actor: row.take()?,
        state: named(&mut row)?,
        generation: row.take()?,
        created_at: row.take()?,
        sent_at: row.take()?,
        ended_at: row.take()?,
        elapsed_ms: row.take()?,
        answer: row.take()?,
        approved_by: row.take()?,
        plan: {
            let (plan, place): (Option<PlanId>, Option<u32>) = (row.take()?, row.take()?);
            plan.zip(place)
        },
    })
}

/// A page of the report, the latest first, that an index finds by `$first`: `$2` and `$3` are the time and the id before
/// which it begins, `$4` to `$9` are the filter, `$10` is the limit.
macro_rules! page {
    ($first:literal) => {
        select_operations!(
            "WHERE ",
            $first,
            " AND (o.created_at, o.id) < ($2, $3) AND o.created_at >= $8 AND ($4 IS NULL OR o.identity = $4) \
             AND ($5 IS NULL OR o.target = (SELECT seq FROM targets WHERE id = $5)) AND ($6 IS NULL OR o.action = $6) \
             AND ($7 IS NULL OR o.state = $7) AND ($9 IS NULL OR o.plan_id = $9) \
             ORDER BY o.created_at DESC, o.id DESC LIMIT $10"
        )
    };
}

/// The text of a page: one index serves each way to look, by the most selective part of the filter.
fn page_by(filter: &OperationFilter) -> &'static str {
    if filter.plan.is_some() {
        page!("o.plan_id = $9 AND o.plan_id IS NOT NULL AND (o.organization_id = $1) IS TRUE")
    } else if filter.identity.is_some() {
        page!("o.identity = $4 AND (o.organization_id = $1) IS TRUE")
    } else if filter.state.is_some_and(|state| state != OperationState::Succeeded) {
        page!("o.organization_id = $1 AND o.state = $7")
    } else if filter.action.is_some() {
        page!("o.organization_id = $1 AND o.action = $6")
    } else if filter.target.is_some() {
        page!("o.target = (SELECT seq FROM targets WHERE id = $5) AND (o.organization_id = $1) IS TRUE")
    } else {
        page!("o.organization_id = $1 AND o.kind >= 0")
    }
}

/// Where a page ends: the time and the id of its last operation.
struct Cursor(i64, OperationId);

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (at, id) = text.split_once(' ').ok_or(())?;
        Ok(Self(at.parse().map_err(|_| ())?, id.parse().map_err(|_| ())?))
    }
}

impl Identities {
    /// Records operations, each in the state that it has.
    pub async fn insert_operations(&mut self, operations: &[Operation]) -> Result<()> {
        let of = |text: fn(&Operation) -> String| Cells::Texts(operations.iter().map(text).collect());
        let maybe = |text: fn(&Operation) -> Option<String>| Cells::MaybeTexts(operations.iter().map(text).collect());
        let insert = Bulk::new(
            "WITH v(id, target, identity, kind, name, account_id, place, action, content, changes, cause, actor, state, \
             generation, sent_at, ended_at, answer, approved_by, plan_id, plan_row) AS ({rows}) INSERT INTO operations (id, organization_id, target, identity, \
             kind, name, account_id, place, action, content, changes, cause, actor, state, generation, created_at, \
             sent_at, ended_at, answer, approved_by, plan_id, plan_row) SELECT v.id, :1, (SELECT seq FROM targets WHERE id = v.target), v.identity, v.kind, \
             v.name, v.account_id, v.place, v.action, v.content, v.changes, v.cause, v.actor, v.state, v.generation, \
             :2, v.sent_at, v.ended_at, v.answer, v.approved_by, v.plan_id, v.plan_row FROM v WHERE TRUE",
        )
        .column(Cells::Uuids(operations.iter().map(|it| it.id.as_uuid()).collect()))
        .column(Cells::Uuids(operations.iter().map(|it| it.target.as_uuid()).collect()))
        .column(Cells::Uuids(operations.iter().map(|it| it.identity.as_uuid()).collect()))
        .column(Cells::Ints(operations.iter().map(|it| it.identity.code()).collect()))
        .column(of(|it| it.name.clone()))
        .column(Cells::MaybeUuids(operations.iter().map(|it| Some(it.account?.as_uuid())).collect()))
        .column(Cells::Ints(operations.iter().map(|it| it.place.into()).collect()))
        .column(of(|it| it.action.clone()))
        .column(maybe(|it| Some(it.content.as_ref()?.to_string())))
        .column(of(|it| it.changes.to_string()))
        .column(of(|it| it.cause.clone()))
        .column(maybe(|it| it.actor.clone()))
        .column(of(|it| it.state.as_str().to_owned()))
        .column(Cells::Ints(operations.iter().map(|it| it.generation.into()).collect()))
        .column(Cells::MaybeInts(operations.iter().map(|it| Some(it.sent_at?.as_millisecond())).collect()))
        .column(Cells::MaybeInts(operations.iter().map(|it| Some(it.ended_at?.as_millisecond())).collect()))
        .column(maybe(|it| Some(it.answer.as_ref()?.to_string())))
        .column(maybe(|it| it.approved_by.clone()))
        .column(Cells::MaybeUuids(operations.iter().map(|it| Some(it.plan?.0.as_uuid())).collect()))
        .column(Cells::MaybeInts(operations.iter().map(|it| Some(it.plan?.1.into())).collect()));
        self.tx.bulk(insert.shared(self.organization).shared(self.now)).await.map(|_| ())
    }

    /// Records an operation that somebody asked for, and wakes the replica that provisions its target.
    pub async fn ask_operation(&mut self, operation: &Operation) -> Result<()> {
        self.insert_operations(std::slice::from_ref(operation)).await?;
        self.tx.wake(Wake::Marked(operation.target));
        Ok(())
    }

    /// Notes that an operation is sent, as this generation. `false`: it is over.
    pub async fn send_operation(&mut self, id: OperationId, generation: u32) -> Result<bool> {
        let update = sql("UPDATE operations SET state = 'sent', generation = $1, sent_at = $2 \
             WHERE id = $3 AND organization_id = $4 AND state IN ('waiting', 'sent')")
        .bind(generation)
        .bind(self.now)
        .bind(id)
        .bind(self.organization);
        Ok(self.tx.execute(update).await? > 0)
    }

    /// Notes how an operation ended. `false`: it was over already.
    pub async fn end_operation(&mut self, ended: &Ended) -> Result<bool> {
        let update =
            sql("UPDATE operations SET state = $1, elapsed_ms = $2, answer = $3, ended_at = $4, content = NULL \
             WHERE id = $5 AND organization_id = $6 AND state IN ('waiting', 'sent')")
            .bind(ended.state.as_str())
            .bind(signed(ended.elapsed_ms))
            .bind(&ended.answer)
            .bind(self.now)
            .bind(ended.id)
            .bind(self.organization);
        Ok(self.tx.execute(update).await? > 0)
    }

    /// Drops the operations of users and groups in a target that were not sent yet, the held ones too. Those that somebody
    /// asked for stay.
    pub async fn drop_waiting(&mut self, target: TargetId, identities: &[IdentityId]) -> Result<u64> {
        let update = Bulk::new(
            "{update} operations SET state = 'dropped', ended_at = :1, content = NULL WHERE identity {in} \
             AND state IN ('waiting', 'held') AND action NOT IN ('set_password', 'unlock') AND (organization_id = :2) IS TRUE \
             AND (target = (SELECT seq FROM targets WHERE id = :3)) IS TRUE",
        )
        .column(Cells::Uuids(identities.iter().map(|identity| identity.as_uuid()).collect()));
        self.tx.bulk(update.shared(self.now).shared(self.organization).shared(target)).await
    }
}

impl Identities {
    /// Up to `limit` held operations of a target.
    pub async fn held_operations(&mut self, target: TargetId, limit: u32) -> Result<Vec<OperationId>> {
        let query = sql("SELECT id FROM operations WHERE state = 'held' AND organization_id = $1 \
             AND target = (SELECT seq FROM targets WHERE id = $2) ORDER BY id LIMIT $3");
        let query = query.bind(self.organization).bind(target).bind(limit);
        self.tx.rows(query, |mut row| row.take()).await
    }

    /// Lets held operations of a target be sent, or drops them. `None`: all that are held. Returns how many there were.
    pub async fn decide_held(
        &mut self,
        target: TargetId,
        operations: Option<&[OperationId]>,
        (approve, by): (bool, &str),
    ) -> Result<u64> {
        let (approved, rejected) = (
            "{update} operations SET state = 'waiting', approved_by = :3 \
             WHERE state = 'held' AND (organization_id = :1) IS TRUE \
             AND target = (SELECT seq FROM targets WHERE id = :2) AND id {in}",
            "{update} operations SET state = 'dropped', ended_at = :4, content = NULL, approved_by = :3 \
             WHERE state = 'held' AND (organization_id = :1) IS TRUE \
             AND target = (SELECT seq FROM targets WHERE id = :2) AND id {in}",
        );
        let ids: Vec<Uuid> = if let Some(operations) = operations {
            operations.iter().map(|operation| operation.as_uuid()).collect()
        } else {
            let query = sql("SELECT id FROM operations WHERE state = 'held' AND organization_id = $1 \
                 AND target = (SELECT seq FROM targets WHERE id = $2)");
            self.tx.rows(query.bind(self.organization).bind(target), |mut row| row.take()).await?
        };
        if !approve {
            self.refuse_held(target, &ids, by).await?;
        }
        let update = Bulk::new(if approve { approved } else { rejected }).column(Cells::Uuids(ids));
        let update = update.shared(self.organization).shared(target).shared(by);
        let update = if approve { update } else { update.shared(self.now) };
        let decided = self.tx.bulk(update).await?;
        self.tx.wake(crate::wake::Wake::Marked(target));
        Ok(decided)
    }

    /// What somebody wanted in the target is refused with the held operations that would have brought it there.
    async fn refuse_held(&mut self, target: TargetId, operations: &[Uuid], by: &str) -> Result<()> {
        let update = Bulk::new(
            "{update} pending_changes SET refused = :3, refused_at = :4 WHERE refused_at IS NULL \
             AND identity IN (SELECT o.identity FROM operations o WHERE o.state = 'held' AND o.id {in}) \
             AND (organization_id = :1) IS TRUE AND (target = (SELECT seq FROM targets WHERE id = :2)) IS TRUE",
        );
        let update = update.column(Cells::Uuids(operations.to_vec())).shared(self.organization).shared(target);
        self.tx.bulk(update.shared(format!("{by} rejected it.")).shared(self.now)).await.map(|_| ())
    }
}

impl Store {
    /// When operations of a target were decided that nobody had to approve and that have not failed, since this time: the
    /// action, and when.
    pub async fn recent_operations(
        &self,
        organization: OrganizationId,
        target: TargetId,
        since: Timestamp,
    ) -> Result<Vec<(String, Timestamp)>> {
        let query = sql("SELECT action, created_at FROM operations WHERE target = \
             (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) AND created_at >= $3 \
             AND approved_by IS NULL AND state NOT IN ('held', 'dropped', 'failed', 'refused') ORDER BY created_at DESC, id DESC LIMIT 100000");
        let query = query.bind(organization).bind(target).bind(since);
        self.database.rows(query, |mut row| Ok((row.take()?, row.take()?))).await
    }

    /// Approved operations of a target that were not sent yet, those of each user or group together and in their order.
    pub async fn approved_operations(
        &self,
        organization: OrganizationId,
        target: TargetId,
        limit: u32,
    ) -> Result<Vec<Operation>> {
        let query = sql(select_operations!(
            "WHERE o.target = (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) \
             AND o.state IN ('waiting', 'sent') AND o.approved_by IS NOT NULL AND o.generation = 0 \
             ORDER BY o.identity, o.id LIMIT $3"
        ));
        self.database.rows(query.bind(organization).bind(target).bind(limit), read).await
    }

    /// Up to `limit` operations of a target that have not ended, those of each user or group together and in their order.
    /// Without those that were approved and not sent yet.
    pub async fn open_operations(
        &self,
        organization: OrganizationId,
        target: TargetId,
        limit: u32,
    ) -> Result<Vec<Operation>> {
        let query = sql(select_operations!(
            "WHERE o.target = (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) \
             AND o.state IN ('waiting', 'sent') AND (o.approved_by IS NULL OR o.generation > 0) \
             ORDER BY o.identity, o.id LIMIT $3"
        ));
        self.database.rows(query.bind(organization).bind(target).bind(limit), read).await
    }

    /// Up to `limit` operations of a target that somebody has asked for and that were not sent yet, the oldest of each user.
    pub async fn asked_operations(
        &self,
        organization: OrganizationId,
        target: TargetId,
        limit: u32,
    ) -> Result<Vec<Operation>> {
        let query = sql(select_operations!(
            "WHERE o.target = (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) \
             AND o.state = 'waiting' AND o.action IN ('set_password', 'unlock') AND NOT EXISTS (SELECT 1 FROM operations e \
             WHERE e.target = o.target AND e.identity = o.identity AND e.id < o.id \
             AND e.state = 'waiting' AND e.action IN ('set_password', 'unlock')) ORDER BY o.id LIMIT $3"
        ));
        self.database.rows(query.bind(organization).bind(target).bind(limit), read).await
    }

    /// One operation.
    pub async fn get_operation(&self, organization: OrganizationId, id: OperationId) -> Result<Option<Operation>> {
        let query = sql(select_operations!("WHERE o.organization_id = $1 AND o.id = $2"));
        self.database.row(query.bind(organization).bind(id), read).await
    }

    /// The operations of an organization, the latest first.
    pub async fn list_operations(
        &self,
        organization: OrganizationId,
        filter: &OperationFilter,
        page: &PageRequest,
    ) -> Result<Page<Operation>> {
        // What was decided at the end of the timespan itself does not belong to it.
        let end = filter.until.map_or(i64::MAX, Timestamp::as_millisecond);
        let Cursor(at, id) = page.cursor()?.unwrap_or(Cursor(end, OperationId::from_uuid(Uuid::nil())));
        let query = sql(page_by(filter))
            .bind(organization)
            .bind(at)
            .bind(id)
            .bind(filter.identity)
            .bind(filter.target)
            .bind(filter.action.as_deref())
            .bind(filter.state.map(OperationState::as_str))
            .bind(filter.from.map_or(i64::MIN, Timestamp::as_millisecond))
            .bind(filter.plan)
            .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(found, page, &room, |last| format!("{} {}", last.created_at.as_millisecond(), last.id)))
    }

    /// Ends operations of all organizations that somebody asked for before this time and that have not ended, with this
    /// answer. What would be sent is dropped. Returns how many.
    pub async fn expire_asked_operations(&self, before: Timestamp, answer: &Value, now: Timestamp) -> Result<u64> {
        let update = sql("UPDATE operations SET state = 'failed', answer = $1, ended_at = $2, content = NULL \
             WHERE action IN ('set_password', 'unlock') AND state IN ('waiting', 'sent') AND created_at < $3");
        self.database.execute(update.bind(answer).bind(now).bind(before)).await
    }

    /// Deletes operations of all organizations that ended before this time, some at a time. Returns how many.
    pub async fn forget_operations(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let delete = sql("DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE ended_at < $1 \
             ORDER BY id LIMIT $2)");
        self.database.execute(delete.bind(before).bind(limit)).await
    }
}
