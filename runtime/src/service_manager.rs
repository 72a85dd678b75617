//! What the process reports to systemd or to Windows' service manager, if one of them started it: that it serves, that it
//! is alive, that it reads its file again, that it stops.

use std::io;
use std::time::Duration;

use postern_platform::service_manager as platform;

use crate::clock::SharedClock;
use crate::supervise::{OnCancel, Supervisor};

/// As many signs of life within the time that systemd allows, so that one late does not matter.
const BEATS: u32 = 3;

/// Says when every loop of `supervisor` goes round, keeps saying so, and says when the process stops. Ends then.
pub async fn accompany(supervisor: &Supervisor, clock: SharedClock) {
    let stopping = supervisor.shutdown().stopping();
    if stopping.run_until_cancelled(supervisor.all_alive()).await.is_some() {
        ready();
        if let Some(allowed) = platform::watchdog_interval() {
            let beating = beat(supervisor.clone(), clock, allowed / BEATS, || noted(platform::alive()));
            supervisor.spawn("watchdog", OnCancel::Abort, beating);
        }
        stopping.cancelled().await;
    }
    noted(platform::stopping());
}

/// Calls `alive` again and again, each time after every loop has answered. If one does not, there is no further call,
/// and systemd starts the service anew.
async fn beat(supervisor: Supervisor, clock: SharedClock, interval: Duration, alive: impl Fn()) {
    loop {
        supervisor.all_alive().await;
        alive();
        clock.sleep(interval).await;
    }
}

/// The service is up, or has read its file again.
pub fn ready() {
    noted(platform::ready());
}

/// The service reads its file again; [`ready`] ends that.
pub fn reloading() {
    noted(platform::reloading());
}

fn noted(said: io::Result<()>) {
    if let Err(error) = said {
        tracing::warn!(%error, "service_manager.notify_failed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use jiff::Timestamp;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::clock::ManualClock;
    use crate::lifecycle::Shutdown;

    #[tokio::test]
    async fn there_is_no_sign_of_life_while_a_loop_is_stuck() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let supervisor = Supervisor::with_clock(Shutdown::new(), clock.shared());
        let (work, stuck) = (supervisor.pulse(), Arc::new(Semaphore::new(0)));
        let (idle, gate) = (supervisor.pulse(), Arc::clone(&stuck));
        supervisor.spawn("work", OnCancel::Abort, async move {
            work.beat().await;
            // A step without a limit of time: nobody answers here.
            let _ = gate.acquire().await;
            work.during(std::future::pending::<()>()).await;
        });
        supervisor.spawn("idle", OnCancel::Abort, async move { idle.during(std::future::pending::<()>()).await });
        let (beats, interval) = (Arc::new(AtomicU32::new(0)), Duration::from_secs(20));
        let counted = Arc::clone(&beats);
        let counting = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        supervisor.spawn("watchdog", OnCancel::Abort, beat(supervisor.clone(), clock.shared(), interval, counting));
        let until = async |wanted: u32, sleepers: usize| {
            while beats.load(Ordering::SeqCst) != wanted || clock.sleepers() != sleepers {
                tokio::task::yield_now().await;
            }
        };

        until(1, 1).await;
        clock.advance(interval);
        // It has woken up, and asks; whatever time passes, it says nothing.
        until(1, 0).await;
        clock.advance(interval * 100);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!((beats.load(Ordering::SeqCst), clock.sleepers()), (1, 0));

        stuck.add_permits(1);
        until(2, 1).await;
        clock.advance(interval);
        until(3, 1).await;
        supervisor.shutdown().stop();
        supervisor.join().await.unwrap();
    }
}
