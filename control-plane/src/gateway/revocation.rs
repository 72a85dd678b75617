//! Cuts the lines of revoked agents, whichever replica the revocation came to: at once by a wake-up, and by a look into
//! the database every half second. Ends sessions whose agent has opened a newer one with another replica.

use std::time::Duration;

use jiff::Timestamp;
use postern_store::Wake;

use super::held;
use super::parts::{Gateway, Parts};

/// Safety net beneath the wake-ups.
const POLL: Duration = Duration::from_millis(500);
/// How far each look reaches back, for clocks of replicas that differ and transactions that took a while.
const OVERLAP: Duration = Duration::from_mins(1);

/// Watches until the store fails; the supervisor starts it again.
pub(crate) async fn watch(gateway: Gateway) -> Result<(), postern_store::Error> {
    let Parts { store, registry, clock, .. } = gateway.0.as_ref();
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
