//! Reports the state of the service to systemd, if it runs under systemd.

use std::time::Duration;

/// The service is up.
pub(crate) fn ready() {
    #[cfg(target_os = "linux")]
    tell(sd_notify::NotifyState::Ready);
}

/// The service is on its way down.
pub(crate) fn stopping() {
    #[cfg(target_os = "linux")]
    tell(sd_notify::NotifyState::Stopping);
}

/// Alive: to be repeated well within [`watchdog_interval`].
pub(crate) fn alive() {
    #[cfg(target_os = "linux")]
    tell(sd_notify::NotifyState::Watchdog);
}

/// How often systemd wants to hear that the service is alive.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return sd_notify::watchdog_enabled();
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(target_os = "linux")]
fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd.notify_failed");
    }
}
