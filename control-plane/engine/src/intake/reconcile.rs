//! What follows an import that was asked to reconcile: everybody is compared with what is really there.

use jiff::{SignedDuration, Timestamp};
use postern_store::{Job, Plan, PlanId, PlanState, Store};
use serde_json::json;

/// The field of an import's input that asks for it.
pub const INPUT: &str = "reconcile";
/// What differs is carried out.
pub const ENFORCE: &str = "enforce";
/// What differs is shown in a plan.
pub const REPORT: &str = "report";

/// How long the plan can be applied.
const EXPIRES: SignedDuration = SignedDuration::from_hours(24);

/// Begins the comparison that an import was asked for. It may be repeated: the plan has the id of the job.
pub(super) async fn begin(store: &Store, job: &Job, now: Timestamp) -> Result<(), postern_store::Error> {
    let Some(asked) = job.input[INPUT].as_str() else { return Ok(()) };
    let (organization, target) = (job.organization, job.directory.into());
    let Some(provisioning) = store.get_provisioning(organization, target).await? else { return Ok(()) };
    // Where only plans are carried out, a plan shows what differs.
    if asked == ENFORCE && provisioning.settings["mode"] != REPORT {
        return store.compare_all(organization, target).await.map(|_| ());
    }
    let plan = Plan {
        id: PlanId::from_uuid(job.id.as_uuid()),
        organization,
        target,
        state: PlanState::Making,
        selection: json!({ "kind": "all" }),
        stamp: None,
        summary: json!({}),
        problem: None,
        created_at: now,
        created_by: job.created_by.clone(),
        made_at: None,
        expires_at: now.checked_add(EXPIRES).unwrap_or(now),
        decided_at: None,
        decided_by: None,
    };
    store.ask_plan(&plan).await
}
