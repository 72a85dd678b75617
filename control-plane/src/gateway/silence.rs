//! Ends silent sessions. All are checked together once in each heartbeat interval: with ten thousand sessions, a timer
//! for each would cost as much as the heartbeats.

use super::parts::Gateway;

/// Ends sessions that are silent or whose certificate has expired, while the process runs.
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
