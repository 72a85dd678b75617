//! Cuts the lines of revoked agents, whichever replica the revocation came to: told by a wake-up, found by a look
//! into the database every second.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_runtime::clock::SharedClock;
use postern_store::{Store, Wake};

use super::registry::Registry;

/// Safety net beneath the wake-ups.
const POLL: Duration = Duration::from_millis(500);
/// How far each look reaches back, for clocks of replicas that differ and transactions that took a while.
const OVERLAP: Duration = Duration::from_mins(1);

/// Watches until the store fails; the supervisor starts it again.
pub async fn watch(store: Store, registry: Arc<Registry>, clock: SharedClock) -> Result<(), postern_store::Error> {
    let mut wakeups = store.listen().await?;
    // Nobody who was revoked before now has a session: each call of an agent asks the database.
    let mut since = before(clock.now());
    loop {
        let now = clock.now();
        for agent in store.revoked_agents_since(since).await? {
            if registry.holds(agent) {
                registry.cut(agent);
            }
        }
        since = before(now);
        tokio::select! {
            wake = wakeups.recv() => match wake? {
                Wake::AgentRevoked(agent) => registry.cut(agent),
                Wake::AgentChanged(agent) => registry.come_back(agent),
                _ => {}
            },
            () = clock.sleep(POLL) => {}
        }
    }
}

fn before(now: Timestamp) -> Timestamp {
    now.checked_sub(OVERLAP).unwrap_or(now)
}
