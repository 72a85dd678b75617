//! Writes what came back, and sends what follows.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::failpoint;
use postern_store::{Identities, IdentityId, Intake, Mark, OperationId, TargetId};

use super::{Line, Pace, RETRY_LONGEST, RETRY_OUTAGE, Result, Tried, Worker, later, step};
use crate::jobs::failure::Failure;
use crate::provisioning::connector::Answer;
use crate::provisioning::left::Left;
use crate::provisioning::load::Target;
use crate::provisioning::outcome::{self, Prepared};

impl Worker {
    /// Writes outcomes, and sends what follows.
    pub(super) async fn answered(&mut self, answers: Vec<(IdentityId, Answer)>) -> Result<()> {
        let now = self.clock.now();
        let mut prepared: Vec<Prepared> = Vec::new();
        let reading = self.target.reading().await?;
        for (identity, answer) in answers {
            let Some(line) = self.lines.get(&identity) else { continue };
            let Some(operation) = line.operations.front().cloned() else { continue };
            let Some(step) = step(&operation) else { continue };
            let millis = |elapsed: Duration| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            match answer {
                Answer::Done(done, elapsed) => {
                    let done = (done, millis(elapsed));
                    let told = (operation, line.outbound, step);
                    prepared.push(outcome::done(&self.target, &reading, told, done, now).await?);
                }
                Answer::Failed(failure, elapsed) => {
                    prepared.push(outcome::failed(
                        &self.target,
                        operation,
                        line.outbound,
                        step,
                        failure,
                        millis(elapsed),
                    ));
                }
                Answer::Unknown | Answer::Unreachable => self.parked.push(identity),
            }
        }
        if prepared.is_empty() {
            return Ok(());
        }
        failpoint::reached("provisioning.answered");
        let (durable, next) = self.write(prepared, now).await?;
        failpoint::reached("provisioning.written");
        for (id, generation) in durable {
            self.connector.durable(id, generation);
        }
        failpoint::reached("provisioning.acknowledged");
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
        let (mut groups, mut moved) = (Vec::new(), Vec::new());
        for prepared in prepared {
            let (identity, operation, generation) =
                (prepared.operation.identity, prepared.operation.id, prepared.operation.generation);
            let named = matches!(prepared.operation.action.as_str(), "create" | "move");
            let password = prepared.operation.action == "set_password";
            let is_approved = prepared.operation.approved_by.is_some() && prepared.operation.plan.is_none();
            let is_begun = prepared.is_begun();
            durable.push((operation, generation));
            let before = tx.identities().times_marked(id, identity).await?;
            let failure = prepared.write(&self.target, &mut tx, now).await?;
            let Some(line) = self.lines.get_mut(&identity) else { continue };
            if let Some(failure) = failure {
                let counts = (&mut self.tried, &mut self.pace);
                failed(&mut tx, (id, identity), (line, before, is_approved), (&failure, now), counts).await?;
            } else {
                line.operations.pop_front();
                if let (false, Some(before)) = (line.operations.is_empty(), before) {
                    line.own += tx.identities().times_marked(id, identity).await?.map_or(0, |now| now - before);
                }
            }
            if password && !line.failed {
                // A new account of Active Directory waits for it, to be enabled.
                tx.identities().mark(id, &[identity]).await?;
            }
            if named && !line.failed {
                groups.extend(self.target.groups_above(identity.as_uuid()).await?);
            }
            if is_begun && !line.failed {
                groups.push(identity);
            }
            if let Some(following) = line.operations.front_mut() {
                following.generation += 1;
                tx.identities().send_operation(following.id, following.generation).await?;
                next.push(identity);
            } else {
                if line.left != Left::No {
                    moved.push(identity);
                }
                if !line.failed {
                    self.tried.forget(identity);
                    settle(&self.target, tx.identities(), identity, line, now).await?;
                }
                over.insert(identity);
            }
        }
        groups.extend(self.groups_of(&moved).await?);
        // Their members have got accounts, or other names, have left or come back, or are more than one operation holds.
        tx.identities().mark(id, &groups).await?;
        tx.commit().await?;
        self.lines.retain(|identity, _| !over.contains(identity));
        Ok((durable, next))
    }
}

/// Whether the target as a whole cannot be used.
fn is_outage(failure: &Failure) -> bool {
    ["unreachable", "timeout"].contains(&failure.code.as_str())
}

/// What becomes of a user or group after a failure.
async fn failed(
    tx: &mut Intake,
    (target, identity): (TargetId, IdentityId),
    (line, before, is_approved): (&mut Line, Option<i64>, bool),
    (failure, now): (&Failure, Timestamp),
    (tried, pace): (&mut Tried, &mut Pace),
) -> Result<()> {
    tried.note(identity, line.operations.iter().map(|operation| operation.action.as_str()));
    for step in line.operations.iter().filter(|_| line.counted).filter_map(step) {
        pace.give_back(&step);
    }
    line.counted = false;
    if !line.failed {
        delay_line(tx, (target, identity), (line, before, is_approved), failure, now).await?;
    }
    line.failed = true;
    line.operations.pop_front();
    if !is_of_one_step(failure) {
        tx.identities().drop_waiting(target, &[identity]).await?;
        line.operations.clear();
    }
    Ok(())
}

/// Makes a user or group wait after the first failure among its operations.
async fn delay_line(
    tx: &mut Intake,
    (target, identity): (TargetId, IdentityId),
    (line, before, is_approved): (&Line, Option<i64>, bool),
    failure: &Failure,
    now: Timestamp,
) -> Result<()> {
    if let Some(mark) = line.mark.clone() {
        // What the operations before have changed of the account is no reason to try at once.
        return delay(tx, target, (mark, before.map(|times| times - line.own)), failure, now).await;
    }
    if is_approved {
        // What was held has no mark any more. It is tried again as everything else that fails.
        tx.identities().mark(target, &[identity]).await?;
        let times = tx.identities().times_marked(target, identity).await?;
        return delay(tx, target, (fresh(identity, times, now), times), failure, now).await;
    }
    Ok(())
}

/// A mark that was set just now.
fn fresh(identity: IdentityId, times: Option<i64>, now: Timestamp) -> Mark {
    Mark {
        identity,
        times: times.unwrap_or_default(),
        marked_at: now,
        failures: 0,
        not_before: now,
        problem: None,
        members_changed: false,
        has_moved: false,
    }
}

/// Makes a mark wait after a failure.
async fn delay(
    tx: &mut Intake,
    target: TargetId,
    (mark, before): (Mark, Option<i64>),
    failure: &Failure,
    now: Timestamp,
) -> Result<()> {
    let at = if failure.retryable {
        let longest = if is_outage(failure) { RETRY_OUTAGE } else { RETRY_LONGEST };
        later(now, mark.failures, longest)
    } else {
        later(now, mark.failures + 4, RETRY_LONGEST)
    };
    // What this outcome itself has changed of the account is no reason to try at once.
    let times = tx.identities().times_marked(target, mark.identity).await?.filter(|_| before == Some(mark.times));
    let mark = Mark { times: times.unwrap_or(mark.times), ..mark };
    tx.identities().delay_mark(target, &mark, at, &failure.message).await
}

/// What becomes of the mark of a user or group all of whose operations were carried out.
async fn settle(target: &Target, tx: &mut Identities, identity: IdentityId, line: &Line, now: Timestamp) -> Result<()> {
    match line.left.deletion(&target.settings, now) {
        Some(until) => tx.wait(target.id(), identity, line.mark.as_ref(), until).await?,
        None => drop(tx.clear_marks(target.id(), line.mark.as_slice()).await?),
    }
    match line.account.filter(|_| line.left == Left::Back) {
        Some(account) => tx.note_left(account, None).await,
        None => Ok(()),
    }
}

/// Whether the target refuses this step, and may take those that follow: one bad value keeps nobody locked out.
fn is_of_one_step(failure: &Failure) -> bool {
    let codes = ["directory", "invalid", "conflict", "denied_by_site_policy"];
    !failure.retryable && codes.contains(&failure.code.as_str())
}
