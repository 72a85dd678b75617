//! Small things that are done now and then: memory that goes back, what is too old to keep.

use std::sync::Arc;
use std::time::Duration;

use postern_runtime::supervise::{OnCancel, chain};

use crate::app::App;

/// How long chunks of a job that was rejected or canceled while it was held may lie about.
const TIDY: Duration = Duration::from_mins(10);
/// How long the answer to a request with an Idempotency-Key is kept.
const ANSWERS: Duration = Duration::from_hours(24);
/// How often memory goes back.
const RELEASE: Duration = Duration::from_mins(1);

/// Starts the tasks.
pub(crate) fn start(app: &Arc<App>) {
    let supervisor = app.supervisor.clone();
    let app = Arc::clone(app);
    let releasing = Arc::clone(&app);
    supervisor.spawn_restarting("store.memory", OnCancel::Abort, move || release(Arc::clone(&releasing)));
    supervisor.spawn_restarting("intake.tidy", OnCancel::Abort, move || tidy(Arc::clone(&app)));
}

/// While no job runs, the memory that was used goes back.
async fn release(app: Arc<App>) {
    loop {
        app.clock.sleep(RELEASE).await;
        if app.dispatcher.is_idle()
            && let Err(error) = app.store.release_memory().await
        {
            tracing::warn!(error = chain(&error), "store.memory_not_released");
        }
    }
}

/// Deletes jobs that ended longer ago than their organization keeps them.
async fn forget_jobs(app: &App) -> Result<(), postern_store::Error> {
    let mut forgotten = 0;
    loop {
        match app.store.forget_jobs(app.clock.now()).await? {
            0 if forgotten == 0 => return Ok(()),
            0 => break,
            jobs => forgotten += jobs,
        }
    }
    tracing::info!(jobs = forgotten, "jobs.forgotten");
    Ok(())
}

/// Jobs that run drop their chunks when they end; what an administrator ended is dropped here, and so are answers that
/// nobody will ask for again. Users whose time has come become inactive.
async fn tidy(app: Arc<App>) {
    loop {
        app.clock.sleep(TIDY).await;
        if let Err(error) = app.store.drop_staged_of_ended_jobs().await {
            tracing::warn!(error = chain(&error), "intake.not_tidied");
        }
        match app.store.deactivate_due(app.clock.now()).await {
            Ok(0) => {}
            Ok(users) => tracing::info!(users, "users.deactivated"),
            Err(error) => tracing::warn!(error = chain(&error), "users.not_deactivated"),
        }
        if let Err(error) = forget_jobs(&app).await {
            tracing::warn!(error = chain(&error), "jobs.not_forgotten");
        }
        let Ok(older_than) = app.clock.now().checked_sub(ANSWERS) else { continue };
        if let Err(error) = app.store.expire_answers(older_than).await {
            tracing::warn!(error = chain(&error), "answers.not_tidied");
        }
        if let Err(error) = app.store.expire_job_keys(older_than).await {
            tracing::warn!(error = chain(&error), "jobs.keys_not_tidied");
        }
    }
}
