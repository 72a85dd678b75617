//! What the service has said to Windows' service manager, and what it was asked. Both ends run on threads of their own, so it
//! stands in one place for the process.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};

/// Longer than the agent's grace of 20 s.
const STOPPING_TAKES: Duration = Duration::from_secs(25);
/// Reading the configuration and opening the directories.
const STARTING_TAKES: Duration = Duration::from_secs(20);

static HANDLE: OnceLock<ServiceStatusHandle> = OnceLock::new();
/// Somebody asked the service to stop.
pub(super) static STOP: Notify = Notify::const_new();
/// Somebody asked the service to read its configuration again.
pub(super) static RELOAD: Notify = Notify::const_new();

/// Whether the service manager has started this process.
pub(super) fn is_service() -> bool {
    HANDLE.get().is_some()
}

/// Listens to the service manager, and says that the service starts.
pub(super) fn register(name: &str) -> io::Result<()> {
    let handle = service_control_handler::register(name, answer).map_err(io::Error::other)?;
    let _ = HANDLE.set(handle);
    say(ServiceState::StartPending, ServiceExitCode::NO_ERROR)
}

/// Pausing is not accepted: the service manager refuses it itself.
fn answer(control: ServiceControl) -> ServiceControlHandlerResult {
    match control {
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
            // At once: the service manager waits for it.
            let _ = say(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
            STOP.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::ParamChange => {
            RELOAD.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    }
}

/// Says in which state the service is. Nothing where no service manager has started it.
pub(super) fn say(state: ServiceState, exit_code: ServiceExitCode) -> io::Result<()> {
    let Some(handle) = HANDLE.get() else { return Ok(()) };
    let accepted = match state {
        ServiceState::Running => {
            ServiceControlAccept::STOP
                | ServiceControlAccept::SHUTDOWN
                | ServiceControlAccept::PRESHUTDOWN
                | ServiceControlAccept::PARAM_CHANGE
        }
        _ => ServiceControlAccept::empty(),
    };
    let (checkpoint, wait_hint) = match state {
        ServiceState::StartPending => (1, STARTING_TAKES),
        ServiceState::StopPending => (1, STOPPING_TAKES),
        _ => (0, Duration::ZERO),
    };
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepted,
        exit_code,
        checkpoint,
        wait_hint,
        process_id: None,
    };
    handle.set_service_status(status).map_err(io::Error::other)
}
