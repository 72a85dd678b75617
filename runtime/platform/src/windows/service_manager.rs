//! What the process tells Windows' service manager, if that has started it. Elsewhere nothing is said.

use std::io;
use std::time::Duration;

use windows_service::service::{ServiceExitCode, ServiceState};

use super::status;

/// The service is up.
pub fn ready() -> io::Result<()> {
    status::say(ServiceState::Running, ServiceExitCode::NO_ERROR)
}

/// Nothing: Windows knows no such state.
pub fn reloading() -> io::Result<()> {
    Ok(())
}

/// The service stops.
pub fn stopping() -> io::Result<()> {
    status::say(ServiceState::StopPending, ServiceExitCode::NO_ERROR)
}

/// Nothing: Windows has no watchdog.
pub fn alive() -> io::Result<()> {
    Ok(())
}

/// Windows has no watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    None
}
