//! Periodic upkeep: releases memory and deletes what is too old.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use postern_engine::intake::{remap, reorder};
use postern_engine::jobs::dispatch::Dispatcher;
use postern_engine::provisioning::{passwords, plan};
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::{OnCancel, Supervisor, chain};
use postern_store::{Store, Wake};

/// What upkeep works on.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    /// The database.
    pub(crate) store: Store,
    /// The time.
    pub(crate) clock: SharedClock,
    /// Knows whether jobs run.
    pub(crate) dispatcher: Arc<Dispatcher>,
}

/// How often chunks of jobs that were rejected or canceled while held are deleted.
const TIDY: Duration = Duration::from_mins(10);
/// How long a deleted user or group can be restored.
const DELETED: Duration = Duration::from_hours(30 * 24);
/// How long the report of provisioning keeps an operation.
const OPERATIONS: Duration = Duration::from_hours(400 * 24);
/// How long it is shown that a directory refused a change.
const REFUSED: Duration = Duration::from_hours(7 * 24);
/// Operations that are forgotten in one transaction.
const AT_ONCE: u32 = 1_000;
/// How long the answer to a request with an Idempotency-Key is kept.
const ANSWERS: Duration = Duration::from_hours(24);
/// How often memory is released.
const RELEASE: Duration = Duration::from_mins(1);

/// How often new rules of directories are looked for.
const MAPPING: Duration = Duration::from_secs(1);

/// How long a plan is kept after it can no longer be applied.
const PLANS: Duration = Duration::from_hours(30 * 24);
/// How often plans are looked for without a wake-up.
const PLANNING: Duration = Duration::from_secs(2);

/// Starts the tasks.
pub(crate) fn start(upkeep: Upkeep, supervisor: &Supervisor) {
    let planning = upkeep.clone();
    supervisor.spawn_restarting("provisioning.plans", OnCancel::Abort, move || make_plans(planning.clone()));
    let releasing = upkeep.clone();
    supervisor.spawn_restarting("store.memory", OnCancel::Abort, move || release(releasing.clone()));
    let mapping = upkeep.clone();
    supervisor.spawn_restarting("mapping.anew", OnCancel::Abort, move || map_anew(mapping.clone()));
    let order = upkeep.clone();
    supervisor.spawn_restarting("directories.order", OnCancel::Abort, move || apply_order(order.clone()));
    supervisor.spawn_restarting("intake.tidy", OnCancel::Abort, move || tidy(upkeep.clone()));
}

/// Forgets users and groups that were deleted long ago.
pub(crate) async fn purge(store: &Store, clock: &SharedClock) {
    let Ok(before) = clock.now().checked_sub(DELETED) else { return };
    match store.purge_users(before).await {
        Ok(0) => {}
        Ok(users) => tracing::info!(users, "users.purged"),
        Err(error) => tracing::warn!(error = chain(&error), "users.not_purged"),
    }
    match store.purge_groups(before).await {
        Ok(0) => {}
        Ok(groups) => tracing::info!(groups, "groups.purged"),
        Err(error) => tracing::warn!(error = chain(&error), "groups.not_purged"),
    }
}

/// Forgets operations of provisioning that ended long ago.
async fn forget_operations(upkeep: &Upkeep) {
    let Ok(before) = upkeep.clock.now().checked_sub(OPERATIONS) else { return };
    loop {
        match upkeep.store.forget_operations(before, AT_ONCE).await {
            Ok(forgotten) if forgotten >= u64::from(AT_ONCE) => {}
            Ok(_) => return,
            Err(error) => return tracing::warn!(error = chain(&error), "operations.not_forgotten"),
        }
    }
}

/// Forgets what directories refused long ago.
async fn forget_refused(upkeep: &Upkeep) {
    let Ok(before) = upkeep.clock.now().checked_sub(REFUSED) else { return };
    if let Err(error) = upkeep.store.forget_refused_changes(before).await {
        tracing::warn!(error = chain(&error), "pending_changes.not_forgotten");
    }
}

/// Makes the plans that somebody asks for.
async fn make_plans(upkeep: Upkeep) {
    loop {
        let Err(error) = make_plans_for_ever(&upkeep).await;
        tracing::warn!(error = chain(&error), "provisioning.plans_not_made");
        upkeep.clock.sleep(PLANNING).await;
    }
}

async fn make_plans_for_ever(upkeep: &Upkeep) -> Result<Infallible, postern_store::Error> {
    let mut wakeups = upkeep.store.listen().await?;
    loop {
        while plan::make(&upkeep.store, &upkeep.clock).await? {}
        let sleep = upkeep.clock.sleep(PLANNING);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                wake = wakeups.recv() => if matches!(wake?, Wake::PlanAsked(_) | Wake::Resync) { break },
                () = &mut sleep => break,
            }
        }
    }
}

/// Ends plans that nobody applied in time, and forgets old ones.
async fn forget_plans(upkeep: &Upkeep) -> Result<(), postern_store::Error> {
    let now = upkeep.clock.now();
    while upkeep.store.expire_plans(now).await? > 0 {}
    let Ok(before) = now.checked_sub(PLANS) else { return Ok(()) };
    while upkeep.store.forget_plan(before).await? > 0 {}
    Ok(())
}

/// Maps accounts anew whose directory has other rules than before.
async fn map_anew(upkeep: Upkeep) {
    loop {
        match remap::run(&upkeep.store, &upkeep.clock).await {
            Ok(true) => {}
            Ok(false) => upkeep.clock.sleep(MAPPING).await,
            Err(error) => {
                tracing::warn!(error = chain(&error), "mapping.not_mapped_anew");
                upkeep.clock.sleep(MAPPING).await;
            }
        }
    }
}

/// Maps users of several directories anew after the order of the directories has changed.
async fn apply_order(upkeep: Upkeep) {
    loop {
        match reorder::run(&upkeep.store, &upkeep.clock).await {
            Ok(true) => {}
            Ok(false) => upkeep.clock.sleep(MAPPING).await,
            Err(error) => {
                tracing::warn!(error = chain(&error), "directories.order_not_applied");
                upkeep.clock.sleep(MAPPING).await;
            }
        }
    }
}

/// Releases memory while no job runs.
async fn release(upkeep: Upkeep) {
    loop {
        upkeep.clock.sleep(RELEASE).await;
        if upkeep.dispatcher.is_idle()
            && let Err(error) = upkeep.store.release_memory().await
        {
            tracing::warn!(error = chain(&error), "store.memory_not_released");
        }
    }
}

/// Deletes jobs that ended longer ago than their organization keeps them.
async fn forget_jobs(upkeep: &Upkeep) -> Result<(), postern_store::Error> {
    let mut forgotten = 0;
    loop {
        match upkeep.store.forget_jobs(upkeep.clock.now()).await? {
            0 if forgotten == 0 => return Ok(()),
            0 => break,
            jobs => forgotten += jobs,
        }
    }
    tracing::info!(jobs = forgotten, "jobs.forgotten");
    Ok(())
}

/// Ends decisions to disable users whose time is over.
async fn end_suspensions(upkeep: &Upkeep) -> Result<(), postern_store::Error> {
    loop {
        match upkeep.store.end_suspensions(upkeep.clock.now()).await? {
            0 => return Ok(()),
            users => tracing::info!(users, "users.enabled"),
        }
    }
}

/// Deletes entries of the audit log that are older than their organization keeps them.
async fn forget_audit(upkeep: &Upkeep) -> Result<(), postern_store::Error> {
    let mut forgotten = 0;
    loop {
        match upkeep.store.forget_audit(upkeep.clock.now()).await? {
            0 if forgotten == 0 => return Ok(()),
            0 => break,
            entries => forgotten += entries,
        }
    }
    tracing::info!(entries = forgotten, "audit.forgotten");
    Ok(())
}

/// Deletes the chunks of jobs that an administrator ended (a running job deletes its own when it ends), old jobs and
/// old answers. Deactivates users whose time has come.
async fn tidy(upkeep: Upkeep) {
    loop {
        upkeep.clock.sleep(TIDY).await;
        if let Err(error) = upkeep.store.drop_staged_of_ended_jobs().await {
            tracing::warn!(error = chain(&error), "intake.not_tidied");
        }
        match upkeep.store.deactivate_due(upkeep.clock.now()).await {
            Ok(0) => {}
            Ok(users) => tracing::info!(users, "users.deactivated"),
            Err(error) => tracing::warn!(error = chain(&error), "users.not_deactivated"),
        }
        match passwords::expire(&upkeep.store, upkeep.clock.now()).await {
            Ok(0) => {}
            Ok(passwords) => tracing::info!(passwords, "passwords.expired"),
            Err(error) => tracing::warn!(error = chain(&error), "passwords.not_expired"),
        }
        if let Err(error) = forget_jobs(&upkeep).await {
            tracing::warn!(error = chain(&error), "jobs.not_forgotten");
        }
        if let Err(error) = end_suspensions(&upkeep).await {
            tracing::warn!(error = chain(&error), "users.not_enabled");
        }
        purge(&upkeep.store, &upkeep.clock).await;
        forget_operations(&upkeep).await;
        forget_refused(&upkeep).await;
        if let Err(error) = forget_plans(&upkeep).await {
            tracing::warn!(error = chain(&error), "plans.not_forgotten");
        }
        if let Err(error) = forget_audit(&upkeep).await {
            tracing::warn!(error = chain(&error), "audit.not_forgotten");
        }
        let Ok(older_than) = upkeep.clock.now().checked_sub(ANSWERS) else { continue };
        if let Err(error) = upkeep.store.expire_answers(older_than).await {
            tracing::warn!(error = chain(&error), "answers.not_tidied");
        }
        if let Err(error) = upkeep.store.expire_job_keys(older_than).await {
            tracing::warn!(error = chain(&error), "jobs.keys_not_tidied");
        }
    }
}
