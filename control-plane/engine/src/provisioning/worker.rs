//! Provisions one target: takes marks, decides, sends operations in a bounded window, and writes their outcomes. The
//! operations of one object follow each other; objects do not wait for each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::SharedClock;
use postern_store::{AccountKind, IdentityId, Mark, Operation, OperationId, OperationState, Store};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::change::Step;
use super::connector::{Answer, Connector, Request};
use super::load::{Decision, Target};
use super::outcome::{self, Prepared};
use super::pace::{self, Pace};
use super::passwords;
use crate::jobs::failure::Failure;

/// Operations that are under way at a time.
pub(super) const WINDOW: usize = 16;
/// How long to wait while nobody can take operations.
const UNREACHABLE: Duration = Duration::from_secs(2);
/// The first pause after a failure, and the longest.
const RETRY_FIRST: i64 = 10;
const RETRY_LONGEST: i64 = 3_600;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// The operations of one user or group, in their order.
#[derive(Debug)]
struct Line {
    mark: Option<Mark>,
    outbound: bool,
    /// The first one is sent; the others wait.
    operations: VecDeque<Operation>,
}

/// What was decided about some marks.
#[derive(Default)]
struct Decided {
    /// Marks with nothing to do, or whose operations are held.
    settled: Vec<Mark>,
    /// Marks whose rules fail, each with the reason.
    failed: Vec<(Mark, String)>,
    /// Marks with operations that are sent, and whether the account gets nothing from the target.
    lines: Vec<(Mark, bool, Vec<Operation>)>,
    /// All operations.
    rows: Vec<Operation>,
    /// How many marks have operations that are held.
    held: usize,
}

/// One target while it is provisioned.
pub(super) struct Worker {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) target: Target,
    /// Woken when something may have to be done.
    pub(super) wake: Arc<Notify>,
    pace: Pace,
    /// How many users' accounts the target has, for thresholds.
    accounts: u64,
    lines: HashMap<IdentityId, Line>,
    under_way: JoinSet<(IdentityId, Answer)>,
    /// Operations that nobody could take, which wait.
    parked: Vec<IdentityId>,
}

impl Worker {
    pub(super) fn new(
        store: Store,
        clock: SharedClock,
        connector: Arc<dyn Connector>,
        target: Target,
        wake: Arc<Notify>,
    ) -> Self {
        let (lines, under_way, parked) = (HashMap::new(), JoinSet::new(), Vec::new());
        let (pace, accounts) = (Pace::default(), 0);
        Self { store, clock, connector, target, wake, pace, accounts, lines, under_way, parked }
    }

    /// Works until the settings change, or the caller drops it.
    pub(super) async fn run(&mut self) -> Result<()> {
        self.resume().await?;
        loop {
            let (organization, id) = (self.target.provisioning.organization, self.target.id());
            if self.store.provisioning_stamp(organization, id).await? != self.target.stamp {
                // Another worker goes on by what holds now.
                return Ok(());
            }
            let more = self.fill().await?;
            let pause = if self.parked.is_empty() { Duration::from_secs(2) } else { UNREACHABLE };
            let pause =
                if more && self.under_way.is_empty() && self.parked.is_empty() { Duration::ZERO } else { pause };
            tokio::select! {
                Some(first) = self.under_way.join_next() => {
                    let mut answers = vec![first];
                    // Outcomes that are there already are written together.
                    while let Some(next) = self.under_way.try_join_next() {
                        answers.push(next);
                    }
                    // One that has panicked is sent again once its operation is taken up.
                    self.answered(answers.into_iter().filter_map(std::result::Result::ok).collect()).await?;
                }
                () = self.wake.notified(), if self.lines.len() < WINDOW => {}
                () = self.clock.sleep(pause) => self.unpark().await?,
            }
        }
    }

    /// Takes up the operations that the last worker of this target has left.
    async fn resume(&mut self) -> Result<()> {
        let organization = self.target.provisioning.organization;
        let since = pace::an_hour_before(self.clock.now());
        self.pace = Pace::of(self.store.recent_operations(organization, self.target.id(), since).await?);
        let directory = self.target.directory.id;
        self.accounts = self.store.count_present(organization, directory, AccountKind::User).await?;
        let open = self.store.open_operations(organization, self.target.id(), 10_000).await?;
        // Those that were approved and not sent yet are compared again first.
        let open = open.into_iter().filter(|operation| operation.approved_by.is_none() || operation.generation > 0);
        let mut lines: Vec<(IdentityId, Line)> = Vec::new();
        // What was asked for and not sent waits for its turn.
        let asked = |it: &Operation| it.action == "set_password" && it.state == OperationState::Waiting;
        for operation in open.into_iter().filter(|operation| !asked(operation)) {
            let identity = operation.identity;
            match lines.last_mut() {
                Some((last, line)) if *last == identity => line.operations.push_back(operation),
                _ => {
                    // A password settles nothing that the mark stands for.
                    let mark = match operation.action.as_str() {
                        "set_password" => None,
                        _ => self.store.get_mark(organization, self.target.id(), identity).await?,
                    };
                    let outbound = self.is_outbound(&operation).await?;
                    lines.push((identity, Line { mark, outbound, operations: VecDeque::from([operation]) }));
                }
            }
        }
        for (identity, line) in lines {
            self.lines.insert(identity, line);
            self.parked.push(identity);
        }
        self.unpark().await
    }

    /// Whether the account that an operation changes gets nothing from the target.
    async fn is_outbound(&self, operation: &Operation) -> Result<bool> {
        let Some(account) = operation.account else { return Ok(true) };
        let known = self.store.get_account(self.target.provisioning.organization, account).await?;
        Ok(known.is_none_or(|account| account.outbound))
    }

    /// Takes up what somebody has asked for. A user who has operations under way waits.
    async fn take_asked(&mut self) -> Result<()> {
        let (organization, room) = (self.target.provisioning.organization, WINDOW.saturating_sub(self.lines.len()));
        let limit = u32::try_from(self.lines.len() + WINDOW).unwrap_or(u32::MAX);
        let mut asked = self.store.asked_operations(organization, self.target.id(), limit).await?;
        asked.retain(|operation| !self.lines.contains_key(&operation.identity));
        asked.truncate(room);
        if asked.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin_identities(organization, self.clock.now()).await?;
        let mut sent = Vec::with_capacity(asked.len());
        for mut operation in asked {
            operation.generation += 1;
            if tx.send_operation(operation.id, operation.generation).await? {
                sent.push(operation);
            }
        }
        tx.commit().await?;
        for operation in sent {
            let (identity, outbound) = (operation.identity, self.is_outbound(&operation).await?);
            self.lines.insert(identity, Line { mark: None, outbound, operations: VecDeque::from([operation]) });
            self.send(identity);
        }
        Ok(())
    }

    /// Sends what waits, as new generations.
    async fn unpark(&mut self) -> Result<()> {
        let parked = std::mem::take(&mut self.parked);
        if parked.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin_identities(self.target.provisioning.organization, self.clock.now()).await?;
        for identity in &parked {
            if let Some(operation) = self.lines.get_mut(identity).and_then(|line| line.operations.front_mut()) {
                operation.generation += 1;
                tx.send_operation(operation.id, operation.generation).await?;
            }
        }
        tx.commit().await?;
        for identity in parked {
            self.send(identity);
        }
        Ok(())
    }

    /// Decides about marks that are due, as long as there is room. Returns whether there may be more.
    async fn fill(&mut self) -> Result<bool> {
        if self.lines.len() >= WINDOW || !self.parked.is_empty() {
            return Ok(false);
        }
        self.take_asked().await?;
        let room = WINDOW.saturating_sub(self.lines.len());
        if room == 0 {
            return Ok(false);
        }
        let (organization, id, now) = (self.target.provisioning.organization, self.target.id(), self.clock.now());
        let limit = u32::try_from(self.lines.len() + 4 * WINDOW).unwrap_or(u32::MAX);
        let due = self.store.due_marks(organization, id, now, limit).await?;
        let full = due.len() >= limit as usize;
        self.approved(room).await?;
        if due.is_empty() {
            return self.store.sweep(&self.target.provisioning, 1_000, now).await;
        }
        let mut decided = Decided::default();
        let mut left = false;
        for mark in due {
            if self.lines.contains_key(&mark.identity) {
                continue;
            }
            if decided.lines.len() >= room {
                left = true;
                break;
            }
            self.decide(mark, now, &mut decided).await?;
        }
        self.begin(decided, now).await?;
        Ok(full || left)
    }

    /// Decides about one mark.
    async fn decide(&mut self, mark: Mark, now: Timestamp, decided: &mut Decided) -> Result<()> {
        let decision = self.target.decide(mark.identity, now).await?;
        if decision.steps.is_empty() {
            if decision.failed.is_empty() {
                decided.settled.push(mark);
            } else {
                decided.failed.push((mark, decision.failed.join("; ")));
            }
            return Ok(());
        }
        // An administrator's decision to lock somebody out does not wait, and another try of the same is no other change.
        let counts = mark.failures == 0 && !decision.suspended;
        let thresholds = &self.target.settings.thresholds;
        let admitted = if counts { self.pace.admit(&decision.steps, thresholds, self.accounts, now) } else { Ok(()) };
        let (outbound, mut operations) = self.operations(&mark, decision, now).await?;
        if let Err(reason) = admitted {
            hold(&mut operations, &reason);
            decided.held += 1;
            decided.settled.push(mark);
            decided.rows.append(&mut operations);
        } else {
            decided.rows.extend(operations.iter().cloned());
            decided.lines.push((mark, outbound, operations));
        }
        Ok(())
    }

    /// Writes what was decided, and sends the first operation of each line.
    async fn begin(&mut self, decided: Decided, now: Timestamp) -> Result<()> {
        let Decided { settled, failed, lines, rows, held } = decided;
        if settled.is_empty() && failed.is_empty() && rows.is_empty() {
            return Ok(());
        }
        let id = self.target.id();
        let mut tx = self.store.begin_identities(self.target.provisioning.organization, now).await?;
        // What was held before is decided anew.
        for mark in settled.iter().chain(lines.iter().map(|(mark, ..)| mark)) {
            tx.drop_waiting(id, mark.identity).await?;
        }
        tx.insert_operations(&rows).await?;
        tx.clear_marks(id, &settled).await?;
        for (mark, problem) in &failed {
            tx.delay_mark(id, mark, later(now, mark.failures), problem).await?;
        }
        tx.commit().await?;
        if held > 0 {
            tracing::warn!(target = %id, objects = held, "provisioning.held");
        }
        for (mark, outbound, operations) in lines {
            let identity = mark.identity;
            self.lines.insert(identity, Line { mark: Some(mark), outbound, operations: operations.into() });
            self.send(identity);
        }
        Ok(())
    }

    /// Sends approved operations, if they are still what has to be done. Otherwise their objects are decided anew.
    async fn approved(&mut self, room: usize) -> Result<()> {
        let (organization, id, now) = (self.target.provisioning.organization, self.target.id(), self.clock.now());
        let found = self.store.approved_operations(organization, id, 1_000).await?;
        let mut by_identity: Vec<(IdentityId, VecDeque<Operation>)> = Vec::new();
        for operation in found.into_iter().filter(|operation| !self.lines.contains_key(&operation.identity)) {
            match by_identity.last_mut() {
                Some((last, operations)) if *last == operation.identity => operations.push_back(operation),
                _ => by_identity.push((operation.identity, VecDeque::from([operation]))),
            }
        }
        by_identity.truncate(room);
        if by_identity.is_empty() {
            return Ok(());
        }
        let (mut changed, mut lines) = (Vec::new(), Vec::new());
        for (identity, mut operations) in by_identity {
            let decision = self.target.decide(identity, now).await?;
            let approved: Option<Vec<Step>> = operations.iter().map(step).collect();
            if approved.as_ref() != Some(&decision.steps) {
                changed.push(identity);
                continue;
            }
            if let Some(first) = operations.front_mut() {
                first.generation += 1;
            }
            let mark = self.store.get_mark(organization, id, identity).await?;
            lines.push((identity, Line { mark, outbound: decision.outbound, operations }));
        }
        let mut tx = self.store.begin_identities(organization, now).await?;
        for identity in &changed {
            tx.drop_waiting(id, *identity).await?;
        }
        tx.mark(id, &changed).await?;
        for first in lines.iter().filter_map(|(_, line)| line.operations.front()) {
            tx.send_operation(first.id, first.generation).await?;
        }
        tx.commit().await?;
        for (identity, line) in lines {
            self.lines.insert(identity, line);
            self.send(identity);
        }
        Ok(())
    }

    /// The rows of the operations that a decision means. The first is sent at once.
    async fn operations(&self, mark: &Mark, decision: Decision, now: Timestamp) -> Result<(bool, Vec<Operation>)> {
        let organization = self.target.provisioning.organization;
        let last = self.store.last_change_of(organization, mark.identity.as_uuid()).await?;
        // The entry is written in the transaction that sets the mark, a moment later.
        let (cause, actor) = match last.filter(|(at, ..)| *at >= mark.marked_at) {
            _ if mark.marked_at == Timestamp::UNIX_EPOCH => ("membership".to_owned(), None),
            Some((_, action, actor)) => (action, Some(actor)),
            None => ("comparison".to_owned(), None),
        };
        let Decision { name, account, outbound, steps, .. } = decision;
        let rows = steps.into_iter().enumerate().map(|(place, step)| Operation {
            id: OperationId::new(),
            organization,
            target: self.target.id(),
            identity: mark.identity,
            name: name.clone(),
            account,
            place: u32::try_from(place).unwrap_or(u32::MAX),
            action: step.change.action().to_owned(),
            changes: step.change.before_and_after(|attribute| self.target.is_secret(attribute)),
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
        });
        Ok((outbound, rows.collect()))
    }

    /// Sends the first operation of a line.
    fn send(&mut self, identity: IdentityId) {
        let Some(operation) = self.lines.get(&identity).and_then(|line| line.operations.front()) else { return };
        let request = self.request(operation);
        let connector = Arc::clone(&self.connector);
        self.under_way.spawn(async move {
            let answer = match request {
                Ok(request) => connector.carry_out(&request).await,
                Err(failure) => Answer::Failed(failure, Duration::ZERO),
            };
            (identity, answer)
        });
    }

    fn request(&self, operation: &Operation) -> std::result::Result<Request, Failure> {
        let step = step(operation).ok_or_else(Failure::unexpected)?;
        if let Some(refusal) = passwords::refusal(&step.change, self.target.settings.switches, self.clock.now()) {
            return Err(refusal);
        }
        let kind = match operation.identity {
            IdentityId::User(_) => AccountKind::User,
            IdentityId::Group(_) => AccountKind::Group,
        };
        let (id, generation, target) = (operation.id, operation.generation, operation.target);
        let target_name = self.target.directory.name.clone();
        Ok(Request { id, generation, target, target_name, kind, step })
    }

    /// Writes outcomes, and sends what follows.
    async fn answered(&mut self, answers: Vec<(IdentityId, Answer)>) -> Result<()> {
        let now = self.clock.now();
        let mut prepared: Vec<Prepared> = Vec::new();
        for (identity, answer) in answers {
            let Some(line) = self.lines.get(&identity) else { continue };
            let Some(operation) = line.operations.front().cloned() else { continue };
            let Some(step) = step(&operation) else { continue };
            let millis = |elapsed: Duration| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            match answer {
                Answer::Done(done, elapsed) => {
                    let done = (done, millis(elapsed));
                    prepared.push(outcome::done(&self.target, operation, line.outbound, step, done, now).await?);
                }
                Answer::Failed(failure, elapsed) => {
                    prepared.push(outcome::failed(operation, line.outbound, step, failure, millis(elapsed)));
                }
                Answer::Unknown | Answer::Unreachable => self.parked.push(identity),
            }
        }
        if prepared.is_empty() {
            return Ok(());
        }
        let (durable, next) = self.write(prepared, now).await?;
        for (id, generation) in durable {
            self.connector.durable(id, generation);
        }
        for identity in next {
            self.send(identity);
        }
        Ok(())
    }

    /// Writes outcomes in one transaction. Returns the operations that are over, and whose next one is sent now.
    async fn write(
        &mut self,
        prepared: Vec<Prepared>,
        now: Timestamp,
    ) -> Result<(Vec<(OperationId, u32)>, Vec<IdentityId>)> {
        let (organization, id) = (self.target.provisioning.organization, self.target.id());
        let mut tx = self.store.begin_intake(organization, self.target.directory.id, now).await?;
        let (mut durable, mut next, mut over) = (Vec::new(), Vec::new(), HashSet::new());
        let mut groups = Vec::new();
        for prepared in prepared {
            let (identity, operation, generation) =
                (prepared.operation.identity, prepared.operation.id, prepared.operation.generation);
            let created = prepared.operation.action == "create";
            durable.push((operation, generation));
            let failure = prepared.write(&self.target, &mut tx, now).await?;
            let Some(line) = self.lines.get_mut(&identity) else { continue };
            line.operations.pop_front();
            if let Some(failure) = failure {
                if let Some(mark) = &line.mark {
                    let at = if failure.retryable { later(now, mark.failures) } else { later(now, mark.failures + 4) };
                    tx.identities().delay_mark(id, mark, at, &failure.message).await?;
                }
                tx.identities().drop_waiting(id, identity).await?;
                over.insert(identity);
                continue;
            }
            if created {
                groups.extend(self.store.own_groups_of(organization, identity.as_uuid()).await?);
            }
            if let Some(following) = line.operations.front_mut() {
                following.generation += 1;
                tx.identities().send_operation(following.id, following.generation).await?;
                next.push(identity);
            } else {
                tx.identities().clear_marks(id, line.mark.as_slice()).await?;
                over.insert(identity);
            }
        }
        // Their members have got accounts.
        let groups: Vec<IdentityId> = groups.into_iter().map(IdentityId::Group).collect();
        tx.identities().mark(id, &groups).await?;
        tx.commit().await?;
        self.lines.retain(|identity, _| !over.contains(identity));
        Ok((durable, next))
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

fn step(operation: &Operation) -> Option<Step> {
    operation.content.clone().and_then(|content: Value| serde_json::from_value(content).ok())
}

/// When to try again after so many failures.
fn later(now: Timestamp, failures: u32) -> Timestamp {
    let seconds =
        RETRY_FIRST.saturating_mul(1_i64.checked_shl(failures.min(20)).unwrap_or(i64::MAX)).min(RETRY_LONGEST);
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}
