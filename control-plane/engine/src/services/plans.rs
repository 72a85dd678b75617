//! Plans: what would be done in a directory. They are made in the background, and nothing of them is sent until somebody
//! applies them.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::access::{Access, Services};
use super::actor::Actor;
use super::change::Change;
use super::error::{Error, Message, Result};
use super::known_directories::find;
use super::pages::{Listed, uncounted};
use super::provisioning::off;
use super::resolve;
use super::rights::Right;
use crate::provisioning::plan::Selection;
use crate::records::{
    Directory, PageRequest, Plan, PlanId, PlanState, PlannedOperation, Provisioning, TargetId, UserId,
};

/// The most users and groups that a plan is asked for by name.
const MOST_CHOSEN: usize = 1_000;
/// Plans of a directory that are being made at a time.
const MOST_MAKING: u64 = 5;
/// How long a plan can be applied, in hours, unless the request says otherwise; and the longest.
const HOURS: u32 = 24;
const MOST_HOURS: u32 = 168;

/// Plans, for somebody who may read reports.
#[derive(Debug)]
pub struct Plans<'s>(Access<'s>);

/// Plans, for somebody who may have them carried out.
#[derive(Debug)]
pub struct PlanRuns<'s>(Access<'s>);

/// What plan is wanted. Unset: all users and groups.
#[derive(Clone, Debug, Default)]
pub struct PlanRequest {
    /// Only these users, by name or id.
    pub users: Vec<String>,
    /// Only these groups, by name or id.
    pub groups: Vec<String>,
    /// What another plan has not carried out.
    pub again: Option<PlanId>,
    /// How long it can be applied, in hours.
    pub expires_in_hours: Option<u32>,
}

/// A plan with its directory.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOf {
    /// The directory.
    pub directory: Directory,
    /// The plan.
    pub plan: Plan,
}

impl Services {
    /// Opens plans, to read them.
    pub fn plans<'s>(&'s self, actor: &'s Actor) -> Result<Plans<'s>> {
        self.open(actor, Right::ReadReports).map(Plans)
    }

    /// Opens plans, to make, apply and discard them.
    pub fn run_plans<'s>(&'s self, actor: &'s Actor) -> Result<PlanRuns<'s>> {
        self.open(actor, Right::RunJobs).map(PlanRuns)
    }
}

/// A plan of a directory. One that nobody has applied in time has expired.
async fn plan(access: Access<'_>, directory: &Directory, id: PlanId) -> Result<Plan> {
    let found = access.store().get_plan(access.organization(), id).await?;
    let found = found.filter(|plan| plan.target.directory() == directory.id).ok_or_else(|| Error::no("plan"))?;
    Ok(as_of(found, access.now()))
}

fn as_of(mut plan: Plan, now: Timestamp) -> Plan {
    if matches!(plan.state, PlanState::Making | PlanState::Ready) && plan.expires_at <= now {
        plan.state = PlanState::Expired;
    }
    plan
}

impl Plans<'_> {
    /// The plans of a directory, the latest first.
    pub async fn list(&self, directory: &str, page: &PageRequest) -> Result<Listed<PlanOf>> {
        let directory = find(self.0, directory).await?;
        let found = self.0.store().list_plans(self.0.organization(), directory.id.into(), page).await?;
        let of = |plan| PlanOf { directory: directory.clone(), plan: as_of(plan, self.0.now()) };
        let items = found.items.into_iter().map(of).collect();
        Ok(uncounted(page, postern_store::Page { items, next: found.next }))
    }

    /// One plan.
    pub async fn get(&self, directory: &str, id: PlanId) -> Result<PlanOf> {
        let directory = find(self.0, directory).await?;
        let plan = plan(self.0, &directory, id).await?;
        Ok(PlanOf { directory, plan })
    }

    /// The operations of a plan, in their order.
    pub async fn operations(
        &self,
        directory: &str,
        id: PlanId,
        page: &PageRequest,
    ) -> Result<Listed<PlannedOperation>> {
        let directory = find(self.0, directory).await?;
        let plan = plan(self.0, &directory, id).await?;
        if plan.state == PlanState::Making {
            return Err(being_made(&plan));
        }
        Ok(uncounted(page, self.0.store().plan_operations(self.0.organization(), id, page).await?))
    }
}

impl PlanRuns<'_> {
    /// Asks for a plan. It is made in the background.
    pub async fn make(&self, directory: &str, request: &PlanRequest) -> Result<PlanOf> {
        let directory = find(self.0, directory).await?;
        self.provisioned(&directory).await?;
        let selection = self.selection(&directory, request).await?;
        let hours = request.expires_in_hours.unwrap_or(HOURS);
        if !(1..=MOST_HOURS).contains(&hours) {
            return Err(Error::field("expires_in_hours", format!("it must be from 1 to {MOST_HOURS}")));
        }
        let (store, organization) = (self.0.store(), self.0.organization());
        let target = TargetId::from(directory.id);
        if store.count_plans_being_made(organization, target).await? >= MOST_MAKING {
            let text = format!("{MOST_MAKING} plans of {} are being made already.", directory.name);
            return Err(Error::Busy(Message::new(text).cure("Try again when one of them is ready.")));
        }
        let now = self.0.now();
        let plan = Plan {
            id: PlanId::new(),
            organization,
            target,
            state: PlanState::Making,
            selection: json!(selection),
            stamp: None,
            summary: json!({}),
            problem: None,
            created_at: now,
            created_by: self.0.actor().who.name().to_owned(),
            made_at: None,
            expires_at: now.checked_add(SignedDuration::from_hours(hours.into())).unwrap_or(now),
            decided_at: None,
            decided_by: None,
        };
        let change = Change::new("plan.created", plan.id.as_uuid(), &directory.name);
        self.0.recording(change.after(&json!({ "expires_at": plan.expires_at }))).ask_plan(&plan).await?;
        Ok(PlanOf { directory, plan })
    }

    async fn provisioned(&self, directory: &Directory) -> Result<Provisioning> {
        let saved = self.0.store().get_provisioning(self.0.organization(), directory.id.into()).await?;
        saved.ok_or_else(|| off(directory))
    }

    async fn selection(&self, directory: &Directory, request: &PlanRequest) -> Result<Selection> {
        let PlanRequest { users: named_users, groups: named_groups, again, .. } = request;
        if let Some(again) = again {
            if !named_users.is_empty() || !named_groups.is_empty() {
                return Err(Error::field("again", "give either another plan, or users and groups"));
            }
            let other = plan(self.0, directory, *again).await?;
            return match other.state {
                PlanState::Making => Err(being_made(&other)),
                PlanState::Applied => Ok(Selection::Again { plan: other.id }),
                _ => Ok(serde_json::from_value(other.selection).unwrap_or_default()),
            };
        }
        if named_users.len() + named_groups.len() > MOST_CHOSEN {
            return Err(Error::field("users", format!("at most {MOST_CHOSEN} users and groups can be named")));
        }
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for user in named_users {
            // A deleted user can still be named by the id.
            let id = match user.parse::<UserId>() {
                Ok(id) => id,
                Err(_) => resolve::user(self.0, user).await?,
            };
            users.push(id.as_uuid());
        }
        for group in named_groups {
            groups.push(resolve::group(self.0, group).await?.as_uuid());
        }
        Ok(if users.is_empty() && groups.is_empty() { Selection::All } else { Selection::Chosen { users, groups } })
    }

    /// Has the operations of a plan carried out, exactly as it shows them. An object for which something else would have to
    /// be done by now gets nothing; the report and the plan say so.
    pub async fn apply(&self, directory: &str, id: PlanId) -> Result<PlanOf> {
        let directory = find(self.0, directory).await?;
        let found = plan(self.0, &directory, id).await?;
        self.check(&directory, &found).await?;
        let (now, by) = (self.0.now(), self.0.actor().who.name());
        let mut tx = self.0.store().begin_identities(self.0.organization(), now).await?;
        let Some(count) = tx.apply_plan(&found, by).await? else {
            tx.rollback().await?;
            // Somebody was faster.
            let now_is = plan(self.0, &directory, id).await?;
            return Err(over(&directory, &now_is).unwrap_or_else(|| Error::no("plan")));
        };
        let change = Change::new("plan.applied", id.as_uuid(), &directory.name).after(&json!({ "operations": count }));
        tx.note(self.0.note(change));
        tx.commit().await?;
        let plan = plan(self.0, &directory, id).await?;
        Ok(PlanOf { directory, plan })
    }

    /// Refuses to apply a plan that is over, or is about something else than what holds today.
    async fn check(&self, directory: &Directory, plan: &Plan) -> Result<()> {
        let name = &directory.name;
        if let Some(error) = over(directory, plan) {
            return Err(error);
        }
        if self.provisioned(directory).await?.paused {
            let message = Message::new(format!("{name} is paused: nothing is sent to it."));
            let cure = format!("`postern provisioning resume {name}` goes on; then apply the plan.");
            return Err(Error::Conflict(message.cure(cure)));
        }
        let stamp = self.0.store().plan_stamp(self.0.organization(), plan.target).await?;
        if stamp != plan.stamp {
            let message =
                Message::new(format!("The settings or rules of {name} have changed since the plan was made."));
            return Err(Error::Conflict(message.cure(again(name, plan))));
        }
        Ok(())
    }

    /// Discards a plan: it cannot be applied any more.
    pub async fn discard(&self, directory: &str, id: PlanId) -> Result<()> {
        let directory = find(self.0, directory).await?;
        let found = plan(self.0, &directory, id).await?;
        let (organization, by) = (self.0.organization(), self.0.actor().who.name());
        let store = self.0.recording(Change::new("plan.discarded", id.as_uuid(), &directory.name));
        if store.discard_plan(organization, id, by, self.0.now()).await? {
            return Ok(());
        }
        let now_is = if found.state == PlanState::Ready { plan(self.0, &directory, id).await? } else { found };
        Err(over(&directory, &now_is).unwrap_or_else(|| Error::no("plan")))
    }
}

fn being_made(plan: &Plan) -> Error {
    Error::Conflict(Message::new("The plan is still being made.").cure(format!("Read plan {} again soon.", plan.id)))
}

/// Why a plan cannot be applied any more, or not yet.
fn over(directory: &Directory, plan: &Plan) -> Option<Error> {
    let (at, by) = (plan.decided_at.unwrap_or(plan.expires_at), plan.decided_by.as_deref().unwrap_or("somebody"));
    let (text, cure) = match plan.state {
        PlanState::Ready => return None,
        PlanState::Making => return Some(being_made(plan)),
        PlanState::Failed => {
            let problem = plan.problem.as_deref().unwrap_or_default();
            (format!("The plan could not be made. {problem}"), again(&directory.name, plan))
        }
        PlanState::Applied => (
            format!("The plan was already applied, by {by} at {at}."),
            format!("`postern provisioning plans {} {}` shows what became of it.", directory.name, plan.id),
        ),
        PlanState::Discarded => (format!("The plan was discarded, by {by} at {at}."), again(&directory.name, plan)),
        PlanState::Expired => (format!("The plan has expired, at {at}."), again(&directory.name, plan)),
    };
    Some(Error::Conflict(Message::new(text).cure(cure)))
}

fn again(directory: &str, plan: &Plan) -> String {
    format!("Plan again: `postern provisioning plan {directory} --again {}`.", plan.id)
}
