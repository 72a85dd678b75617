//! Ends the sessions that are silent. One look at all of them each heartbeat interval, instead of a timer for every
//! session: with ten thousand of them, timers that only find that all is well would cost as much as the heartbeats.

use super::parts::Gateway;

/// Ends sessions that are silent or whose certificate has expired, for as long as the process runs.
pub(crate) async fn watch(gateway: Gateway) {
    let parts = &gateway.0;
    loop {
        parts.clock.sleep(parts.heartbeat_interval).await;
        let now = parts.clock.now();
        parts.registry.each_session(|route, pulse| {
            if let Some(reason) = pulse.look(now) {
                route.end(reason);
            }
        });
    }
}
