//! Makes plans: what would be done in a target, decided as provisioning decides, and written down.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_store::{AccountKind, GroupId, IdentityId, Plan, PlanId, PlanState, PlannedOperation, Store, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::decide::Decision;
use super::load::Target;
use super::pace::{self, Pace, Planned};

/// Users and groups that are decided about at a time.
const BATCH: u32 = 1_000;
/// How long a claim lasts without a sign of life.
const CLAIM: Duration = Duration::from_mins(1);
/// The most operations of a plan.
const MOST_OPERATIONS: u64 = 200_000;
/// The most users and groups whose rules fail that a plan names.
const MOST_FAILURES: usize = 100;

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Whom a plan is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Selection {
    /// All users and groups.
    #[default]
    All,
    /// These.
    Chosen {
        /// Users.
        users: Vec<Uuid>,
        /// Groups.
        groups: Vec<Uuid>,
    },
    /// Those of another plan that it has not carried out.
    Again {
        /// The other plan.
        plan: PlanId,
    },
}

/// A limit that the operations of a plan exceed: without a plan they would be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlanSafeguard)]
pub struct Safeguard {
    /// What is limited, such as `accounts disabled`.
    pub what: String,
    /// How many the plan has.
    pub planned: u64,
    /// How many were made within the hour before.
    pub within_the_hour: u64,
    /// How many are made within an hour without asking.
    pub limit: u64,
}

/// A user or group whose rules fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlanFailure)]
pub struct Failing {
    /// Id of the user or group.
    pub identity_id: Uuid,
    /// Its name.
    pub name: String,
    /// Which rules fail, and why.
    pub problem: String,
}

/// What a plan has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = PlanSummary)]
pub struct Summary {
    /// Users and groups that were compared.
    pub compared: u64,
    /// Users and groups with something to do.
    pub objects: u64,
    /// Operations.
    pub operations: u64,
    /// How many operations there are of each action.
    pub actions: BTreeMap<String, u64>,
    /// The limits that are exceeded. Applying the plan is the approval that they ask for.
    pub safeguards: Vec<Safeguard>,
    /// Users and groups whose rules fail.
    pub failing: u64,
    /// Some of them.
    pub failures: Vec<Failing>,
}

/// Makes a plan that somebody has asked for. `false`: nobody has.
pub async fn make(store: &Store, clock: &SharedClock) -> Result<bool> {
    let claimed = later(clock);
    let Some(plan) = store.claim_plan(claimed, clock.now()).await? else { return Ok(false) };
    let mut making = Making { store, clock, plan, claimed, summary: Summary::default(), counts: Planned::default() };
    match making.run().await? {
        Outcome::Ready(stamp) => (making.plan.state, making.plan.stamp) = (PlanState::Ready, Some(stamp)),
        Outcome::Failed(problem) => (making.plan.state, making.plan.problem) = (PlanState::Failed, Some(problem)),
        // Discarded, or made by somebody else.
        Outcome::Over => return Ok(true),
    }
    making.plan.summary = json!(making.summary);
    store.finish_plan(&making.plan, making.claimed, clock.now()).await?;
    Ok(true)
}

fn later(clock: &SharedClock) -> Timestamp {
    let now = clock.now();
    let until = now.checked_add(CLAIM).unwrap_or(now);
    // As the store keeps it, to be recognized.
    Timestamp::from_millisecond(until.as_millisecond()).unwrap_or(until)
}

enum Outcome {
    Ready(String),
    Failed(String),
    Over,
}

struct Making<'m> {
    store: &'m Store,
    clock: &'m SharedClock,
    plan: Plan,
    claimed: Timestamp,
    summary: Summary,
    counts: Planned,
}

impl Making<'_> {
    async fn run(&mut self) -> Result<Outcome> {
        let failed = |problem: &str| Ok(Outcome::Failed(problem.to_owned()));
        let (store, organization, id) = (self.store, self.plan.organization, self.plan.target);
        // First: what changes after it is noticed.
        let Some(stamp) = store.plan_stamp(organization, id).await? else {
            return failed("Nothing is provisioned there any more.");
        };
        let Some(provisioning) = store.get_provisioning(organization, id).await? else {
            return failed("Nothing is provisioned there any more.");
        };
        let target = match Target::open(store, provisioning).await? {
            Ok(target) => target,
            Err(reason) => return Ok(Outcome::Failed(format!("The settings cannot be used: {reason}."))),
        };
        let Ok(selection) = serde_json::from_value(self.plan.selection.clone()) else {
            return failed("The selection cannot be read.");
        };
        let mut after = Uuid::nil();
        loop {
            let batch = self.next(&selection, after).await?;
            let Some(last) = batch.last() else { break };
            after = last.as_uuid();
            if !self.compare(&target, &batch).await? {
                return Ok(Outcome::Over);
            }
            if self.summary.operations > MOST_OPERATIONS {
                return Ok(Outcome::Failed(format!(
                    "There are more than {MOST_OPERATIONS} operations. Plan chosen users and groups, or assign fewer."
                )));
            }
        }
        if store.plan_stamp(organization, id).await?.as_ref() != Some(&stamp) {
            return failed("The settings or rules have changed while the plan was made. Plan again.");
        }
        self.summary.safeguards = self.safeguards(&target).await?;
        Ok(Outcome::Ready(stamp))
    }

    /// The next users and groups, by id.
    async fn next(&self, selection: &Selection, after: Uuid) -> Result<Vec<IdentityId>> {
        let (organization, target) = (self.plan.organization, self.plan.target);
        match selection {
            Selection::All => self.store.comparable(organization, target, after, BATCH).await,
            Selection::Again { plan } => self.store.unfinished_of_plan(organization, *plan, after, BATCH).await,
            Selection::Chosen { users, groups } => {
                let users = users.iter().map(|id| IdentityId::User(UserId::from_uuid(*id)));
                let groups = groups.iter().map(|id| IdentityId::Group(GroupId::from_uuid(*id)));
                let mut chosen: Vec<IdentityId> =
                    users.chain(groups).filter(|identity| identity.as_uuid() > after).collect();
                chosen.sort_unstable_by_key(|identity| identity.as_uuid());
                chosen.dedup();
                chosen.truncate(BATCH as usize);
                Ok(chosen)
            }
        }
    }

    /// Decides about some, and writes down what is to be done. `false`: the plan is not this process's any more.
    async fn compare(&mut self, target: &Target, batch: &[IdentityId]) -> Result<bool> {
        let decisions = target.decide_many(batch, self.clock.now()).await?;
        let mut rows = Vec::new();
        for (identity, decision) in batch.iter().zip(decisions) {
            self.summary.compared += 1;
            self.note_failures(*identity, &decision);
            self.summary.objects += u64::from(!decision.steps.is_empty());
            if !decision.suspended {
                self.counts.add(&decision.steps);
                if decision.lifted.is_some() {
                    self.counts.add_lifted();
                }
            }
            for (place, step) in decision.steps.iter().enumerate() {
                let action = step.change.action().to_owned();
                *self.summary.actions.entry(action.clone()).or_default() += 1;
                rows.push(PlannedOperation {
                    seq: u32::try_from(self.summary.operations).unwrap_or(u32::MAX),
                    identity: *identity,
                    name: decision.name.clone(),
                    account: decision.account,
                    place: u32::try_from(place).unwrap_or(u32::MAX),
                    action,
                    content: serde_json::to_value(step).ok(),
                    changes: step.before_and_after(|attribute| target.is_secret(attribute)),
                    outcome: None,
                });
                self.summary.operations += 1;
            }
        }
        let until = later(self.clock);
        let kept = self.store.add_to_plan(&self.plan, rows, (self.claimed, until)).await?;
        self.claimed = until;
        Ok(kept)
    }

    fn note_failures(&mut self, identity: IdentityId, decision: &Decision) {
        if decision.failed.is_empty() {
            return;
        }
        self.summary.failing += 1;
        if self.summary.failures.len() < MOST_FAILURES {
            let (identity_id, name) = (identity.as_uuid(), decision.name.clone());
            self.summary.failures.push(Failing { identity_id, name, problem: decision.failed.join("; ") });
        }
    }

    /// The limits that the plan exceeds, together with what was done within the last hour.
    async fn safeguards(&self, target: &Target) -> Result<Vec<Safeguard>> {
        let (organization, now) = (self.plan.organization, self.clock.now());
        let recent = self.store.recent_operations(organization, target.id(), pace::an_hour_before(now)).await?;
        let accounts = self.store.count_present(organization, target.directory.id, AccountKind::User).await?;
        let exceeded = Pace::of(recent).exceeded(&self.counts, &target.settings.thresholds, accounts, now);
        let safeguard = |it: pace::Exceeded| Safeguard {
            what: it.what.to_owned(),
            planned: it.planned,
            within_the_hour: it.before,
            limit: it.limit,
        };
        Ok(exceeded.into_iter().map(safeguard).collect())
    }
}
