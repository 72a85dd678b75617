//! Sends what an administrator has approved, if it is still what has to be done.

use std::collections::VecDeque;

use postern_store::{IdentityId, Operation};
use serde_json::json;

use super::{Line, Result, TOGETHER, WINDOW, Worker, step};
use crate::jobs::failure::Failure;
use crate::provisioning::change::Step;
use crate::provisioning::decide::Decision;
use crate::provisioning::left::Left;

/// The most operations of one user or group that one decision gives.
const STEPS: usize = 64;

impl Worker {
    /// Sends approved operations, if they are still what has to be done. Otherwise their objects are decided anew.
    pub(super) async fn take_approved(&mut self) -> Result<()> {
        // Some room stays for what is due: nobody's disabling waits behind a bulk that was approved.
        let room = self.room().saturating_sub(TOGETHER);
        let approved = self.next_approved(room).await?;
        if approved.is_empty() {
            return Ok(());
        }
        let (organization, id, now) = (self.target.provisioning.organization, self.target.id(), self.clock.now());
        let identities: Vec<IdentityId> = approved.iter().map(|(identity, _)| *identity).collect();
        let decisions = self.target.decide_many(&identities, now).await?;
        let (mut changed, mut refused, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for ((identity, mut operations), decision) in approved.into_iter().zip(decisions) {
            let of_plan = operations.iter().any(|operation| operation.plan.is_some());
            let approved: Option<Vec<Step>> = operations.iter().map(step).collect();
            let is_same = approved.is_some_and(|approved| {
                approved.len() == decision.steps.len()
                    && approved.iter().zip(&decision.steps).all(|(one, other)| one.does_the_same(other))
            });
            if !is_same || (self.only_reports() && !of_plan) {
                // A plan does only what it has shown; what else was approved is decided anew.
                if of_plan {
                    refused.extend(operations.iter().map(|operation| operation.id));
                } else {
                    changed.push(identity);
                }
                continue;
            }
            // With the names that members have now.
            for (operation, step) in operations.iter_mut().zip(&decision.steps) {
                operation.content = serde_json::to_value(step).ok();
            }
            if let Some(first) = operations.front_mut() {
                first.generation += 1;
            }
            let mark = self.store.get_mark(organization, id, identity).await?;
            let Decision { outbound, account, left, .. } = decision;
            lines.push((
                identity,
                Line { mark, outbound, account, left, operations, failed: false, own: 0, counted: false },
            ));
        }
        let mut tx = self.store.begin_identities(organization, now).await?;
        tx.drop_waiting(id, &changed).await?;
        tx.mark(id, &changed).await?;
        tx.refuse_operations(&refused, &json!({ "error": changed_since_plan() })).await?;
        for first in lines.iter().filter_map(|(_, line)| line.operations.front()) {
            tx.send_operation(first.id, first.generation).await?;
        }
        for account in lines.iter().filter(|(_, line)| line.left == Left::Now).filter_map(|(_, line)| line.account) {
            tx.note_left(account, Some(now)).await?;
        }
        tx.commit().await?;
        for (identity, line) in lines {
            self.lines.insert(identity, line);
            self.send(identity);
        }
        Ok(())
    }

    /// The approved operations of up to `room` users and groups without other ones under way.
    async fn next_approved(&self, room: usize) -> Result<Vec<(IdentityId, VecDeque<Operation>)>> {
        if room == 0 {
            return Ok(Vec::new());
        }
        let limit = STEPS * (WINDOW + 1);
        let (organization, id) = (self.target.provisioning.organization, self.target.id());
        let found = self.store.approved_operations(organization, id, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
        let full = found.len() >= limit;
        let mut by_identity: Vec<(IdentityId, VecDeque<Operation>)> = Vec::new();
        for operation in found {
            match by_identity.last_mut() {
                Some((last, operations)) if *last == operation.identity => operations.push_back(operation),
                _ => by_identity.push((operation.identity, VecDeque::from([operation]))),
            }
        }
        if full {
            // There may be more of the last one.
            by_identity.pop();
        }
        by_identity.retain(|(identity, _)| !self.lines.contains_key(identity));
        by_identity.truncate(room);
        Ok(by_identity)
    }
}

fn changed_since_plan() -> Failure {
    Failure::new(
        "changed_since_plan",
        "It has changed since the plan was made: something else has to be done now, or nothing.",
        "Plan it again: postern provisioning plan DIRECTORY --again PLAN.",
    )
}
