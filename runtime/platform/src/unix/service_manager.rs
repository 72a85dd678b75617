//! What the process tells systemd, if it runs under systemd (`sd_notify(3)`). Elsewhere nothing is said.

use std::io;
use std::time::Duration;

/// The service is up, or has read its file again.
pub fn ready() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    Ok(())
}

/// The service reads its file again; [`ready`] ends that.
pub fn reloading() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    sd_notify::notify(&[sd_notify::NotifyState::Reloading, sd_notify::NotifyState::monotonic_usec_now()?])?;
    Ok(())
}

/// The service stops.
pub fn stopping() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    sd_notify::notify(&[sd_notify::NotifyState::Stopping])?;
    Ok(())
}

/// The service is alive.
pub fn alive() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    sd_notify::notify(&[sd_notify::NotifyState::Watchdog])?;
    Ok(())
}

/// How long systemd waits for a sign of life.
pub fn watchdog_interval() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return sd_notify::watchdog_enabled();
    #[cfg(not(target_os = "linux"))]
    None
}
