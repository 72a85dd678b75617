//! Plans and their operations. A plan is made under a claim, by one process; applying it copies its operations.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::Store;
use crate::dialect::{Bulk, Cells};
use crate::error::Result;
use crate::identities::Identities;
use crate::ids::{OperationId, OrganizationId, PlanId, TargetId};
use crate::provisioning::COMPARABLE;
use crate::records::{IdentityId, Operation, OperationState, Page, PageRequest, Plan, PlannedOperation, Room};
use crate::sql::{Row, named, sql};
use crate::wake::Wake;

/// Operations that are copied at a time.
const COPIED: u32 = 1_000;

macro_rules! select_plans {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.organization_id, (SELECT t.id FROM targets t WHERE t.seq = p.target), p.state, p.selection, ",
            "p.stamp, p.summary, p.problem, p.created_at, p.created_by, p.made_at, p.expires_at, p.decided_at, ",
            "p.decided_by FROM plans p ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Plan> {
    Ok(Plan {
        id: row.take()?,
        organization: row.take()?,
        target: row.take()?,
        state: named(&mut row)?,
        selection: row.take()?,
        stamp: row.take()?,
        summary: row.take()?,
        problem: row.take()?,
        created_at: row.take()?,
        created_by: row.take()?,
        made_at: row.take()?,
        expires_at: row.take()?,
        decided_at: row.take()?,
        decided_by: row.take()?,
    })
}

fn read_operation(mut row: Row) -> Result<PlannedOperation> {
    let (seq, identity, kind) = (row.take()?, row.take()?, row.take()?);
    let planned = PlannedOperation {
        seq,
        identity: IdentityId::from_code(kind, identity)?,
        name: row.take()?,
        account: row.take()?,
        place: row.take()?,
        action: row.take()?,
        content: row.take()?,
        changes: row.take()?,
        outcome: None,
    };
    let (state, answer): (Option<String>, Option<Value>) = (row.take()?, row.take()?);
    let outcome = state.map(|state| Ok::<_, crate::Error>((state.parse()?, answer))).transpose()?;
    Ok(PlannedOperation { outcome, ..planned })
}

/// The operations of a plan after a place, each with what became of it.
const OPERATIONS: &str = "SELECT p.seq, p.identity, p.kind, p.name, p.account_id, p.place, p.action, p.content, p.changes, \
     o.state, o.answer FROM plan_operations p \
     LEFT JOIN operations o ON o.plan_id = p.plan_id AND o.plan_row = p.seq AND o.plan_id IS NOT NULL \
     WHERE p.plan_id = $1 AND p.seq > $2 AND p.organization_id = $3 ORDER BY p.seq LIMIT $4";

impl Store {
    /// Asks for a plan. One with the same id that is there stays as it is.
    pub async fn ask_plan(&self, plan: &Plan) -> Result<()> {
        let mut tx = self.database.begin().await?;
        let insert = sql("INSERT INTO plans (id, organization_id, target, state, selection, summary, created_at, \
             created_by, expires_at, claimed_until) VALUES ($1, $2, (SELECT seq FROM targets WHERE id = $3 \
             AND organization_id = $2), $4, $5, $6, $7, $8, $9, 0) ON CONFLICT (id) DO NOTHING")
        .bind(plan.id)
        .bind(plan.organization)
        .bind(plan.target)
        .bind(plan.state.as_str())
        .bind(&plan.selection)
        .bind(&plan.summary)
        .bind(plan.created_at)
        .bind(&plan.created_by)
        .bind(plan.expires_at);
        tx.execute(insert).await?;
        tx.wake(Wake::PlanAsked(plan.id));
        tx.commit().await
    }

    /// One plan.
    pub async fn get_plan(&self, organization: OrganizationId, id: PlanId) -> Result<Option<Plan>> {
        let query = sql(select_plans!("WHERE p.organization_id = $1 AND p.id = $2"));
        self.database.row(query.bind(organization).bind(id), read).await
    }

    /// The plans of a target, the latest first.
    pub async fn list_plans(
        &self,
        organization: OrganizationId,
        target: TargetId,
        page: &PageRequest,
    ) -> Result<Page<Plan>> {
        let before: Option<PlanId> = page.cursor()?;
        let query = sql(select_plans!(
            "WHERE p.target = (SELECT seq FROM targets WHERE id = $2 AND organization_id = $1) AND p.id < $3 \
             ORDER BY p.id DESC LIMIT $4"
        ))
        .bind(organization)
        .bind(target)
        .bind(before.map_or(Uuid::max(), PlanId::as_uuid))
        .bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read).await?;
        Ok(Page::within(found, page, &room, |last| last.id.to_string()))
    }

    /// How many plans of a target are being made.
    pub async fn count_plans_being_made(&self, organization: OrganizationId, target: TargetId) -> Result<u64> {
        let query = sql("SELECT count(*) FROM plans WHERE state = 'making' AND organization_id = $1 \
             AND target = (SELECT seq FROM targets WHERE id = $2)");
        let count = self.database.row(query.bind(organization).bind(target), |mut row| row.take()).await?;
        Ok(count.unwrap_or_default())
    }

    /// The operations of a plan, in their order.
    pub async fn plan_operations(
        &self,
        organization: OrganizationId,
        plan: PlanId,
        page: &PageRequest,
    ) -> Result<Page<PlannedOperation>> {
        let after: Option<i64> = page.cursor()?;
        let query = sql(OPERATIONS).bind(plan).bind(after.unwrap_or(-1)).bind(organization).bind(page.probe());
        let mut room = Room::default();
        let found = self.database.rows_within(query, &mut room, read_operation).await?;
        Ok(Page::within(found, page, &room, |last| last.seq.to_string()))
    }

    /// The users and groups of a plan after this one whose operations have not all succeeded, by id. Of a plan that was not
    /// applied, all of them.
    pub async fn unfinished_of_plan(
        &self,
        organization: OrganizationId,
        plan: PlanId,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<IdentityId>> {
        let query = sql("SELECT DISTINCT p.identity, p.kind FROM plan_operations p \
             WHERE p.plan_id = $1 AND p.organization_id = $2 AND p.identity > $3 AND NOT EXISTS (SELECT 1 FROM operations o \
             WHERE o.plan_id = p.plan_id AND o.plan_row = p.seq AND o.plan_id IS NOT NULL AND o.state = 'succeeded') \
             ORDER BY p.identity LIMIT $4")
        .bind(plan)
        .bind(organization)
        .bind(after)
        .bind(limit);
        self.database
            .rows(query, |mut row| {
                let (id, kind) = (row.take()?, row.take()?);
                IdentityId::from_code(kind, id)
            })
            .await
    }

    /// Claims a plan that is to be made, until then, and forgets what was found of it before. `None`: there is none.
    pub async fn claim_plan(&self, until: Timestamp, now: Timestamp) -> Result<Option<Plan>> {
        let query = sql(select_plans!("WHERE p.state = 'making' AND p.claimed_until <= $1 ORDER BY p.id LIMIT 1"));
        let Some(plan) = self.database.row(query.bind(now), read).await? else { return Ok(None) };
        let mut tx = self.database.begin().await?;
        let claim =
            sql("UPDATE plans SET claimed_until = $1 WHERE id = $2 AND state = 'making' AND claimed_until <= $3");
        if tx.execute(claim.bind(until).bind(plan.id).bind(now)).await? == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.execute(sql("DELETE FROM plan_operations WHERE plan_id = $1").bind(plan.id)).await?;
        tx.commit().await?;
        Ok(Some(plan))
    }

    /// Adds operations to a plan that is being made, and keeps the claim until then. `false`: it was discarded, or somebody
    /// else makes it.
    pub async fn add_to_plan(
        &self,
        plan: &Plan,
        operations: Vec<PlannedOperation>,
        (claimed, until): (Timestamp, Timestamp),
    ) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        let renew =
            sql("UPDATE plans SET claimed_until = $1 WHERE id = $2 AND state = 'making' AND claimed_until = $3");
        if tx.execute(renew.bind(until).bind(plan.id).bind(claimed)).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        let of = |text: fn(&PlannedOperation) -> String| Cells::Texts(operations.iter().map(text).collect());
        let insert = Bulk::new(
            "WITH v(seq, identity, kind, name, account_id, place, action, content, changes) AS ({rows}) \
             {insert} plan_operations (organization_id, plan_id, seq, identity, kind, name, account_id, place, action, \
             content, changes) SELECT :1, :2, v.seq, v.identity, v.kind, v.name, v.account_id, v.place, v.action, v.content, \
             v.changes FROM v",
        )
        .column(Cells::Ints(operations.iter().map(|it| it.seq.into()).collect()))
        .column(Cells::Uuids(operations.iter().map(|it| it.identity.as_uuid()).collect()))
        .column(Cells::Ints(operations.iter().map(|it| it.identity.code()).collect()))
        .column(of(|it| it.name.clone()))
        .column(Cells::MaybeUuids(operations.iter().map(|it| Some(it.account?.as_uuid())).collect()))
        .column(Cells::Ints(operations.iter().map(|it| it.place.into()).collect()))
        .column(of(|it| it.action.clone()))
        .column(Cells::MaybeTexts(operations.iter().map(|it| Some(it.content.as_ref()?.to_string())).collect()))
        .column(of(|it| it.changes.to_string()));
        tx.bulk(insert.shared(plan.organization).shared(plan.id)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the making of a plan: it is ready, or has failed with a problem. `false`: it was discarded, or somebody else
    /// makes it.
    pub async fn finish_plan(&self, plan: &Plan, claimed: Timestamp, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE plans SET state = $1, stamp = $2, summary = $3, problem = $4, made_at = $5, \
             claimed_until = 0 WHERE id = $6 AND state = 'making' AND claimed_until = $7")
        .bind(plan.state.as_str())
        .bind(plan.stamp.as_deref())
        .bind(&plan.summary)
        .bind(plan.problem.as_deref())
        .bind(now)
        .bind(plan.id)
        .bind(claimed);
        Ok(self.database.execute(update).await? > 0)
    }

    /// Discards a plan that is being made or is ready. `false`: it is neither.
    pub async fn discard_plan(
        &self,
        organization: OrganizationId,
        id: PlanId,
        by: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.database.begin().await?;
        let update = sql("UPDATE plans SET state = 'discarded', decided_at = $1, decided_by = $2 \
             WHERE id = $3 AND organization_id = $4 AND state IN ('making', 'ready')");
        let discarded = tx.execute(update.bind(now).bind(by).bind(id).bind(organization)).await? > 0;
        if discarded {
            tx.execute(sql(NO_CONTENT).bind(id)).await?;
        }
        tx.commit().await?;
        Ok(discarded)
    }

    /// Ends plans of all organizations that nobody applied in time. What they would have sent is dropped. Returns how many.
    pub async fn expire_plans(&self, now: Timestamp) -> Result<u64> {
        let query = sql("SELECT id FROM plans WHERE state IN ('making', 'ready') AND expires_at <= $1 LIMIT 100");
        let due: Vec<PlanId> = self.database.rows(query.bind(now), |mut row| row.take()).await?;
        for id in &due {
            let mut tx = self.database.begin().await?;
            let update = sql("UPDATE plans SET state = 'expired' WHERE id = $1 AND state IN ('making', 'ready')");
            if tx.execute(update.bind(*id)).await? > 0 {
                tx.execute(sql(NO_CONTENT).bind(*id)).await?;
            }
            tx.commit().await?;
        }
        Ok(due.len() as u64)
    }

    /// Deletes plans of all organizations that ended before this time, one at a time. Returns how many, 0 or 1.
    pub async fn forget_plan(&self, before: Timestamp) -> Result<u64> {
        let query = sql("SELECT id FROM plans WHERE expires_at < $1 AND state NOT IN ('making', 'ready') \
             ORDER BY expires_at LIMIT 1");
        let due: Option<PlanId> = self.database.row(query.bind(before), |mut row| row.take()).await?;
        let Some(id) = due else { return Ok(0) };
        let mut tx = self.database.begin().await?;
        tx.execute(sql("DELETE FROM plan_operations WHERE plan_id = $1").bind(id)).await?;
        let deleted = tx.execute(sql("DELETE FROM plans WHERE id = $1").bind(id)).await?;
        tx.commit().await?;
        Ok(deleted)
    }

    /// The settings and rules that decisions about a target depend on. `None`: nothing is provisioned there. It differs once
    /// one of them has changed; pausing changes nothing.
    pub async fn plan_stamp(&self, organization: OrganizationId, target: TargetId) -> Result<Option<String>> {
        let query = sql("SELECT p.settings, COALESCE((SELECT max(m.version) FROM mapping_versions m \
             WHERE m.organization_id = $1 AND m.directory_id = $2 AND m.direction = 2), 0), \
             (SELECT count(*) FROM attribute_definitions d WHERE d.organization_id = $1), \
             COALESCE((SELECT max(d.created_at) FROM attribute_definitions d WHERE d.organization_id = $1), 0) \
             FROM provisioning p WHERE p.organization_id = $1 \
             AND p.target = (SELECT seq FROM targets WHERE id = $2)");
        let read = |mut row: Row| {
            let settings: String = row.take()?;
            let (rules, definitions, last): (i64, i64, i64) = (row.take()?, row.take()?, row.take()?);
            let settings = blake3::hash(settings.as_bytes()).to_hex();
            Ok(format!("{settings} {rules} {definitions} {last}"))
        };
        self.database.row(query.bind(organization).bind(target), read).await
    }

    /// Up to `limit` users and groups that a comparison of all looks at, after this one, by id: all of the organization, and
    /// those that are deleted and have an account that provisioning has made.
    pub async fn comparable(
        &self,
        organization: OrganizationId,
        target: TargetId,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<IdentityId>> {
        let query = sql(COMPARABLE).bind(organization).bind(target).bind(after).bind(limit);
        self.database
            .rows(query, |mut row| {
                let (id, kind) = (row.take()?, row.take()?);
                IdentityId::from_code(kind, id)
            })
            .await
    }
}

/// Drops what the operations of a plan would send.
const NO_CONTENT: &str = "UPDATE plan_operations SET content = NULL WHERE plan_id = $1";

impl Identities {
    /// Applies a plan that is ready: its operations wait to be sent, as approved by `by`, in place of those of the same users
    /// and groups that were held or approved before. Returns how many. `None`: it is not ready, or has expired.
    pub async fn apply_plan(&mut self, plan: &Plan, by: &str) -> Result<Option<u64>> {
        let apply = sql("UPDATE plans SET state = 'applied', decided_at = $1, decided_by = $2 \
             WHERE id = $3 AND organization_id = $4 AND state = 'ready' AND expires_at > $1");
        if self.tx.execute(apply.bind(self.now).bind(by).bind(plan.id).bind(self.organization)).await? == 0 {
            return Ok(None);
        }
        self.drop_undecided(plan).await?;
        let (mut after, mut total) = (-1, 0);
        loop {
            let query = sql(OPERATIONS).bind(plan.id).bind(after).bind(self.organization).bind(COPIED);
            let planned = self.tx.rows(query, read_operation).await?;
            let Some(last) = planned.last() else { break };
            after = i64::from(last.seq);
            total += planned.len() as u64;
            let copies: Vec<Operation> = planned.into_iter().map(|planned| copy(plan, planned, by, self.now)).collect();
            self.insert_operations(&copies).await?;
        }
        self.tx.execute(sql(NO_CONTENT).bind(plan.id)).await?;
        self.tx.wake(Wake::Marked(plan.target));
        Ok(Some(total))
    }

    /// Drops operations of the users and groups of a plan that are held, or approved and not begun.
    async fn drop_undecided(&mut self, plan: &Plan) -> Result<()> {
        let update = sql("UPDATE operations SET state = 'dropped', ended_at = $1, content = NULL \
             WHERE identity IN (SELECT identity FROM plan_operations WHERE plan_id = $2) AND (state = 'held' \
             OR (state = 'waiting' AND approved_by IS NOT NULL AND generation = 0 AND NOT EXISTS (SELECT 1 FROM operations s \
             WHERE s.identity = operations.identity AND s.target = operations.target AND s.state = 'sent'))) \
             AND organization_id = $3 AND target = (SELECT seq FROM targets WHERE id = $4)");
        let update = update.bind(self.now).bind(plan.id).bind(self.organization).bind(plan.target);
        self.tx.execute(update).await.map(|_| ())
    }

    /// Ends operations that were not sent, with this answer.
    pub async fn refuse_operations(&mut self, operations: &[OperationId], answer: &Value) -> Result<u64> {
        let update = Bulk::new(
            "{update} operations SET state = 'refused', answer = :1, ended_at = :2, content = NULL WHERE id {in} \
             AND state = 'waiting' AND (organization_id = :3) IS TRUE",
        )
        .column(Cells::Uuids(operations.iter().map(|id| id.as_uuid()).collect()));
        self.tx.bulk(update.shared(answer.to_string()).shared(self.now).shared(self.organization)).await
    }
}

/// The operation that a planned one becomes.
fn copy(plan: &Plan, planned: PlannedOperation, by: &str, now: Timestamp) -> Operation {
    Operation {
        id: OperationId::new(),
        organization: plan.organization,
        target: plan.target,
        identity: planned.identity,
        name: planned.name,
        account: planned.account,
        place: planned.place,
        action: planned.action,
        content: planned.content,
        changes: planned.changes,
        cause: "plan.applied".to_owned(),
        actor: Some(by.to_owned()),
        state: OperationState::Waiting,
        generation: 0,
        created_at: now,
        sent_at: None,
        ended_at: None,
        elapsed_ms: None,
        answer: None,
        approved_by: Some(by.to_owned()),
        plan: Some((plan.id, planned.seq)),
    }
}
