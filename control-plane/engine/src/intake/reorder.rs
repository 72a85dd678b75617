//! Maps the users of several directories anew, from what is stored of them, after the order of the directories has
//! changed, or after a directory was deleted or has come back.

use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_store::{OrderRun, Store, UserId};

use super::joined_profiles::JoinedProfiles;

/// Accounts that are read together.
const WINDOW: u32 = 10_000;
/// Users in one transaction.
const BATCH: usize = 500;
/// How long a claim lasts without a sign of life.
const CLAIM: Duration = Duration::from_mins(2);
/// Before looking again whether imports have ended that began before the change.
const AGAIN: Duration = Duration::from_secs(15);

type Result<T> = std::result::Result<T, postern_store::Error>;

/// Maps all users of one organization whose order has changed. `false`: there is none.
pub async fn run(store: &Store, clock: &SharedClock) -> Result<bool> {
    let later = |by: Duration| clock.now().checked_add(by).unwrap_or_else(|_| clock.now());
    let Some(mut run) = store.claim_order(later(CLAIM), later(AGAIN), clock.now()).await? else { return Ok(false) };
    let mut users = 0;
    loop {
        let accounts = if run.target == 0 { Vec::new() } else { store.order_accounts(&run, WINDOW).await? };
        if let Some((last, _)) = accounts.last() {
            run.pass(last);
            let due: Vec<UserId> = accounts.iter().filter_map(|(_, user)| *user).collect();
            users += due.len();
            for batch in due.chunks(BATCH) {
                write(store, &run, batch, clock.now()).await?;
            }
        } else if let Some(target) = store.order_target(&run).await? {
            run.go_to(target);
        } else {
            break;
        }
        if !store.advance_order(&mut run, later(CLAIM)).await? {
            return Ok(true);
        }
    }
    let done = store.finish_order(&run, later(AGAIN)).await?;
    tracing::info!(organization = %run.organization, users, done, "directories.order_applied");
    Ok(true)
}

async fn write(store: &Store, run: &OrderRun, users: &[UserId], now: Timestamp) -> Result<()> {
    let mut tx = store.begin_identities(run.organization, now).await?;
    tx.check_unique().await?;
    // This locks the users.
    tx.lower_users(users).await?;
    JoinedProfiles::new(store, run.organization).write(&mut tx, users, now).await?;
    tx.commit().await
}
