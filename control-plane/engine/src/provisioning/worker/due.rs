//! Decides about marks that are due, and begins what has to be done.

use jiff::Timestamp;
use postern_runtime::failpoint;
use postern_store::{
    AccountId, IdentityId, Mark, Operation, OperationFilter, OperationId, OperationState, PageRequest, PendingId,
};
use uuid::Uuid;

use super::{Line, RETRY_LONGEST, Result, TOGETHER, WINDOW, Worker, later};
use crate::provisioning::change::Change;
use crate::provisioning::compare::Lifted;
use crate::provisioning::decide::Decision;
use crate::provisioning::left::Left;

/// Users and groups that a comparison of all marks at a time.
const SWEPT: u32 = 1_000;

/// Nobody is let in again by an adoption alone.
const ADOPTED_DISABLED: &str = "the account that was there already is disabled, and would be enabled";

/// What was decided about some marks.
#[derive(Default)]
struct Decided {
    /// Marks with nothing to do, or whose operations are held, and when there will be something to do by itself.
    settled: Vec<(Mark, Option<Timestamp>)>,
    /// Marks whose rules fail, each with the reason.
    failed: Vec<(Mark, String)>,
    /// Users and groups with operations that are sent.
    lines: Vec<(IdentityId, Line)>,
    /// Accounts whose users have left or are back: since when users should have none any more.
    left: Vec<(AccountId, Option<Timestamp>)>,
    /// Those of them who have no operations.
    moved: Vec<IdentityId>,
    /// All operations.
    rows: Vec<Operation>,
    /// How many marks have operations that are held.
    held: usize,
    /// What somebody asked for and the target has already, or cannot get.
    done: Vec<PendingId>,
    refused: Vec<(PendingId, String)>,
}

impl Decided {
    /// How many operations will be sent.
    fn operations(&self) -> usize {
        self.lines.iter().map(|(.., line)| line.operations.len()).sum()
    }
}

impl Worker {
    /// Decides about marks that are due, as long as there is room. Returns whether there may be more.
    pub(super) async fn take_due(&mut self) -> Result<bool> {
        let room = self.room();
        if room == 0 || self.lines.len() + TOGETHER > WINDOW {
            return Ok(false);
        }
        let (organization, id, now) = (self.target.provisioning.organization, self.target.id(), self.clock.now());
        let limit = u32::try_from(self.lines.len() + WINDOW).unwrap_or(u32::MAX);
        let mut due = self.store.due_marks(organization, id, now, limit).await?;
        let full = due.len() >= limit as usize;
        if self.only_reports() {
            return self.forget(&due).await.map(|()| full);
        }
        self.target.spread(&due, now).await?;
        if due.is_empty() {
            return self.store.sweep(&self.target.provisioning, SWEPT, now).await;
        }
        due.retain(|mark| !self.lines.contains_key(&mark.identity));
        let mut decided = Decided::default();
        let mut due = due.as_slice();
        while !due.is_empty() {
            // What there is no room for would be decided in vain.
            let some = TOGETHER.min(room.saturating_sub(decided.operations()));
            let (marks, others) = due.split_at(some.min(due.len()));
            if marks.is_empty() {
                self.begin(decided, now).await?;
                return Ok(true);
            }
            due = others;
            let identities: Vec<IdentityId> = marks.iter().map(|mark| mark.identity).collect();
            let decisions = self.target.decide_many(&identities, now).await?;
            for (mark, decision) in marks.iter().zip(decisions) {
                if decided.operations() >= room {
                    self.begin(decided, now).await?;
                    return Ok(true);
                }
                self.settle(mark, decision, now, &mut decided).await?;
            }
        }
        self.begin(decided, now).await?;
        Ok(full)
    }

    /// Clears marks without a decision: nothing is sent by them.
    async fn forget(&self, due: &[Mark]) -> Result<()> {
        if due.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin_identities(self.target.provisioning.organization, self.clock.now()).await?;
        tx.clear_marks(self.target.id(), due).await?;
        tx.commit().await
    }

    /// What becomes of one mark.
    async fn settle(
        &mut self,
        mark: &Mark,
        mut decision: Decision,
        now: Timestamp,
        decided: &mut Decided,
    ) -> Result<()> {
        let identity = mark.identity;
        decided.done.append(&mut decision.done);
        decided.refused.append(&mut decision.refused);
        let (left, account) = (decision.left, decision.account);
        let waits_until = left.deletion(&self.target.settings, now);
        if decision.steps.is_empty() {
            if matches!(left, Left::Now | Left::Back) {
                decided.left.extend(account.map(|account| (account, (left == Left::Now).then_some(now))));
                decided.moved.push(identity);
            }
            if decision.failed.is_empty() {
                decided.settled.push((mark.clone(), waits_until));
            } else {
                decided.failed.push((mark.clone(), decision.failed.join("; ")));
            }
            return Ok(());
        }
        // An administrator's decision to lock somebody out does not wait, and another try of the same is no other change.
        let again = mark.failures > 0 && self.tried.has(mark.identity, &decision.steps);
        let counts = !again && !decision.suspended;
        let thresholds = &self.target.settings.thresholds;
        let steps = (decision.steps.as_slice(), decision.lifted.is_some());
        let admitted = match decision.lifted {
            Some(Lifted::Adopted) => Err(ADOPTED_DISABLED.to_owned()),
            _ if counts => self.pace.admit(steps, thresholds, self.accounts, now),
            _ => Ok(()),
        };
        let (outbound, mut operations) = self.operations(mark, decision, now).await?;
        if let Err(reason) = admitted {
            hold(&mut operations, &reason);
            decided.held += 1;
            // The days do not count before somebody has approved it.
            let waits_until = waits_until.filter(|_| left != Left::Now);
            decided.settled.push((mark.clone(), waits_until));
            decided.rows.append(&mut operations);
        } else {
            decided.rows.extend(operations.iter().cloned());
            decided.left.extend(account.filter(|_| left == Left::Now).map(|account| (account, Some(now))));
            let (mark, operations) = (Some(mark.clone()), operations.into());
            decided.lines.push((
                identity,
                Line { mark, outbound, account, left, operations, failed: false, own: 0, counted: counts },
            ));
        }
        Ok(())
    }

    /// Writes what was decided, and sends the first operation of each line.
    async fn begin(&mut self, decided: Decided, now: Timestamp) -> Result<()> {
        let Decided { settled, failed, lines, rows, left, moved, held, done, refused } = decided;
        if settled.is_empty() && failed.is_empty() && rows.is_empty() {
            return Ok(());
        }
        let id = self.target.id();
        if !rows.is_empty() {
            failpoint::reached("provisioning.decided");
        }
        let groups = self.groups_of(&moved).await?;
        let mut tx = self.store.begin_identities(self.target.provisioning.organization, now).await?;
        // What was held before is decided anew.
        let anew = settled.iter().map(|(mark, _)| mark.identity).chain(lines.iter().map(|(identity, _)| *identity));
        let anew: Vec<IdentityId> = anew.collect();
        tx.drop_waiting(id, &anew).await?;
        tx.forget_changes(&done).await?;
        for (pending, reason) in &refused {
            tx.refuse_changes(&[*pending], reason).await?;
        }
        tx.insert_operations(&rows).await?;
        let (over, waiting): (Vec<_>, Vec<_>) = settled.into_iter().partition(|(_, until)| until.is_none());
        tx.clear_marks(id, &over.into_iter().map(|(mark, _)| mark).collect::<Vec<_>>()).await?;
        for (mark, until) in waiting.iter().filter_map(|(mark, until)| Some((mark, (*until)?))) {
            tx.wait(id, mark.identity, Some(mark), until).await?;
        }
        for (account, at) in left {
            tx.note_left(account, at).await?;
        }
        tx.mark(id, &groups).await?;
        for (mark, problem) in &failed {
            tx.delay_mark(id, mark, later(now, mark.failures, RETRY_LONGEST), problem).await?;
        }
        tx.commit().await?;
        if held > 0 {
            tracing::warn!(target = %id, objects = held, "provisioning.held");
        }
        for (identity, line) in lines {
            self.lines.insert(identity, line);
            self.send(identity);
        }
        Ok(())
    }

    /// Why the account of a user or group is to change, and who caused it.
    async fn cause(&self, mark: &Mark) -> Result<(String, Option<String>)> {
        let is_membership = mark.marked_at == Timestamp::UNIX_EPOCH;
        let otherwise = if is_membership { "membership" } else { "comparison" };
        let nobody = Ok((otherwise.to_owned(), None));
        if is_membership && matches!(mark.identity, IdentityId::User(_)) {
            return nobody;
        }
        let identity = mark.identity.as_uuid();
        let last = self.store.last_change_of(self.target.provisioning.organization, identity).await?;
        let Some((at, action, actor)) = last else { return nobody };
        // The entry is written in the transaction that sets the mark, a moment later.
        let is_new = !is_membership && at >= mark.marked_at;
        // A later mark, as of a comparison, may have taken the place of the one that the change has set.
        if is_new || self.nothing_since(identity, at).await? { Ok((action, Some(actor))) } else { nobody }
    }

    /// Whether the settings are older than this time, and no operation about a user or group was decided since.
    async fn nothing_since(&self, identity: Uuid, at: Timestamp) -> Result<bool> {
        let provisioning = &self.target.provisioning;
        if at < provisioning.updated_at {
            return Ok(false);
        }
        let filter = OperationFilter {
            identity: Some(identity),
            target: Some(self.target.id()),
            from: Some(at),
            ..OperationFilter::default()
        };
        let since = self.store.list_operations(provisioning.organization, &filter, &PageRequest::first(1)).await?;
        Ok(since.items.is_empty())
    }

    /// Notes whether an earlier try, of which nobody knows the end, may have made a new account.
    async fn may_be_made(&self, identity: IdentityId, change: &mut Change) -> Result<()> {
        let Change::Create { sent_before, .. } = &mut *change else { return Ok(()) };
        let (organization, target) = (self.target.provisioning.organization, Some(self.target.id()));
        let filter = OperationFilter { identity: Some(identity.as_uuid()), target, ..OperationFilter::default() };
        let last = self.store.list_operations(organization, &filter, &PageRequest::first(1)).await?;
        let is_open =
            |last: &Operation| last.answer.as_ref().is_some_and(|answer| answer["error"]["retryable"] == true);
        *sent_before = last.items.first().is_some_and(|last| last.action == "create" && is_open(last));
        if *sent_before {
            self.target.note_others(change, identity).await?;
        }
        Ok(())
    }

    /// The rows of the operations that a decision means. The first is sent at once.
    async fn operations(&self, mark: &Mark, decision: Decision, now: Timestamp) -> Result<(bool, Vec<Operation>)> {
        let organization = self.target.provisioning.organization;
        let (cause, actor) = self.cause(mark).await?;
        let Decision { name, account, outbound, mut steps, .. } = decision;
        if mark.failures > 0 {
            for step in &mut steps {
                self.may_be_made(mark.identity, &mut step.change).await?;
            }
        }
        let rows = steps.into_iter().enumerate().map(|(place, step)| Operation {
            id: OperationId::new(),
            organization,
            target: self.target.id(),
            identity: mark.identity,
            name: name.clone(),
            account,
            place: u32::try_from(place).unwrap_or(u32::MAX),
            action: step.change.action().to_owned(),
            changes: step.before_and_after(|attribute| self.target.is_secret(attribute)),
            content: serde_json::to_value(&step).ok(),
            cause: cause.clone(),
            actor: actor.clone(),
            state: if place == 0 { OperationState::Sent } else { OperationState::Waiting },
            generation: u32::from(place == 0),
            created_at: now,
            sent_at: (place == 0).then_some(now),
            ended_at: None,
            elapsed_ms: None,
            answer: None,
            approved_by: None,
            plan: None,
        });
        Ok((outbound, rows.collect()))
    }
}

/// Makes operations wait for an administrator.
fn hold(operations: &mut [Operation], reason: &str) {
    for operation in operations {
        operation.state = OperationState::Held;
        (operation.generation, operation.sent_at) = (0, None);
        operation.answer = Some(serde_json::json!({ "held": reason }));
    }
}
