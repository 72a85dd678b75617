//! Cuts off revoked agents, at all replicas: at once by a wake-up, and by a query every half second. Also ends a
//! session whose agent has opened a newer one at another replica.

use std::time::Duration;

use jiff::Timestamp;
use postern_store::Wake;

use super::held;
use super::parts::{Gateway, Parts};

/// How often to query: wake-ups may be lost.
const POLL: Duration = Duration::from_millis(500);
/// How far each query reaches back, because clocks of replicas differ and transactions take time.
const OVERLAP: Duration = Duration::from_mins(1);

/// Watches until the store fails; the supervisor restarts it.
pub(crate) async fn watch(gateway: Gateway) -> Result<(), postern_store::Error> {
    let Parts { store, registry, clock, .. } = gateway.0.as_ref();
    let mut wakeups = store.listen().await?;
    // An agent that was revoked before now has no session: each call checks the database.
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
                Wake::SessionMoved(agent) => held::moved(&gateway, agent).await?,
                _ => {}
            },
            () = clock.sleep(POLL) => {}
        }
    }
}

fn before(now: Timestamp) -> Timestamp {
    now.checked_sub(OVERLAP).unwrap_or(now)
}
