//! The agent as a Windows service: its life inside of the service manager, and its installation.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceExitCode,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceSidType, ServiceStartType, ServiceState,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use super::{files, paths, raw, source, status};

/// The name of the service; the SID of its account follows from it.
pub const NAME: &str = "PosternAgent";
const DISPLAY_NAME: &str = "Postern Agent";
const DESCRIPTION: &str = "Serves the LDAP directories of this site to a Postern control plane. It only connects out.";
/// An account of its own, without a password, that Windows makes for the service.
const ACCOUNT: &str = r"NT SERVICE\PosternAgent";
/// The service ends in less than that when Windows shuts down.
const SHUTDOWN_TAKES: Duration = Duration::from_secs(30);
/// After so long without a failure the first action is the next one again.
const FORGIVEN_AFTER: Duration = Duration::from_hours(1);
/// `ERROR_SERVICE_DOES_NOT_EXIST`.
const NO_SUCH_SERVICE: i32 = 1060;
/// `ERROR_FAILED_SERVICE_CONTROLLER_CONNECT`.
const NOT_STARTED_BY_IT: i32 = 1063;
/// `ERROR_INVALID_LEVEL`, as Wine says.
const UNKNOWN_SETTING: i32 = 124;
/// `ERROR_SERVICE_ALREADY_RUNNING`.
const RUNS_ALREADY: i32 = 1056;
/// `ERROR_SERVICE_NOT_ACTIVE`.
const RUNS_NOT: i32 = 1062;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the service does; its result is the exit code.
type Main = Box<dyn Fn() -> u8 + Send + Sync>;
static MAIN: OnceLock<Main> = OnceLock::new();

define_windows_service!(entry, serve);

/// Runs `main` as the service; what the service manager calls. Returns when the service has stopped.
pub fn run(main: impl Fn() -> u8 + Send + Sync + 'static) -> io::Result<()> {
    let _ = MAIN.set(Box::new(main));
    service_dispatcher::start(NAME, entry).map_err(|error| match code(&error) {
        Some(NOT_STARTED_BY_IT) => io::Error::other(
            "this is what Windows' service manager starts; run `postern-agent service start`, or, to run the agent here, \
             `postern-agent run`",
        ),
        _ => failure(error),
    })
}

fn serve(_arguments: Vec<OsString>) {
    if status::register(NAME).is_err() {
        return;
    }
    let code = MAIN.get().map_or(1, |main| main());
    let code = if code == 0 { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(code.into()) };
    let _ = status::say(ServiceState::Stopped, code);
}

/// Installs the service for this program, or brings an installed one up to date; and its folders and the source of its
/// events. It is not started.
pub fn install(program: &Path) -> io::Result<()> {
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: vec!["service".into(), "run".into()],
        dependencies: Vec::new(),
        account_name: Some(ACCOUNT.into()),
        account_password: None,
    };
    let service = match manager.open_service(NAME, ServiceAccess::ALL_ACCESS) {
        Ok(service) => {
            service.change_config(&info).map_err(failure)?;
            service
        }
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => {
            manager.create_service(&info, ServiceAccess::ALL_ACCESS).map_err(failure)?
        }
        Err(error) => return Err(failure(error)),
    };
    configure(&service)?;
    prepare_folders()?;
    source::register()
}

/// What the service manager cannot be told when the service is made.
fn configure(service: &Service) -> io::Result<()> {
    let after =
        |seconds| ServiceAction { action_type: ServiceActionType::Restart, delay: Duration::from_secs(seconds) };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGIVEN_AFTER),
        reboot_msg: None,
        command: None,
        // The last one is repeated.
        actions: Some(vec![after(5), after(30), after(60)]),
    };
    let settings = [
        service.set_description(DESCRIPTION),
        service.set_delayed_auto_start(true),
        service.set_config_service_sid_info(ServiceSidType::Unrestricted),
        service.set_preshutdown_timeout(SHUTDOWN_TAKES),
        service.update_failure_actions(actions),
        // Also where it has ended by itself and says why.
        service.set_failure_actions_on_non_crash_failures(true),
    ];
    // A system that does not know a setting can do without it.
    let refused = settings.into_iter().filter_map(Result::err).find(|error| code(error) != Some(UNKNOWN_SETTING));
    refused.map_or(Ok(()), |error| Err(failure(error)))
}

/// The folders, for SYSTEM, Administrators and the service. Everybody may make folders in `ProgramData`, so one that is there
/// gets a new owner.
fn prepare_folders() -> io::Result<()> {
    let folder = paths::folder();
    std::fs::create_dir_all(&folder)?;
    protect(&folder)?;
    std::fs::create_dir_all(paths::state_folder())
}

/// Takes a file or folder from everybody but SYSTEM, Administrators and the service, and gives it to Administrators.
pub fn protect(path: &Path) -> io::Result<()> {
    let acl = if path.is_dir() { files::FOLDER } else { files::FILE };
    raw::set_security(path, &format!("O:BA{acl}"))
}

/// Stops the service and removes it, with the source of its events.
pub fn uninstall() -> io::Result<()> {
    let service = open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE)?;
    end(&service)?;
    service.delete().map_err(failure)?;
    source::remove();
    Ok(())
}

/// Starts the service, and waits until it runs. One that runs is left alone.
pub fn start() -> io::Result<()> {
    let service = open(ServiceAccess::START | ServiceAccess::QUERY_STATUS)?;
    match service.start::<&str>(&[]) {
        Err(error) if code(&error) != Some(RUNS_ALREADY) => return Err(failure(error)),
        _ => {}
    }
    loop {
        let status = service.query_status().map_err(failure)?;
        match status.current_state {
            ServiceState::Running => return Ok(()),
            ServiceState::Stopped => {
                return Err(io::Error::other(format!(
                    "it stopped at once ({:?}); the event log says why",
                    status.exit_code
                )));
            }
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Stops the service, and waits until it has stopped.
pub fn stop() -> io::Result<()> {
    end(&open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)?)
}

fn end(service: &Service) -> io::Result<()> {
    match service.stop() {
        Err(error) if code(&error) != Some(RUNS_NOT) => return Err(failure(error)),
        _ => {}
    }
    while service.query_status().map_err(failure)?.current_state != ServiceState::Stopped {
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// How the service does.
#[derive(Debug)]
pub struct State {
    /// `running`, `stopped`, …
    pub state: String,
    /// Its process, while it runs.
    pub process: Option<u32>,
    /// How it has ended last.
    pub ended: String,
    /// The program and its arguments.
    pub command_line: String,
    /// As whom it runs.
    pub account: String,
}

/// Asks the service manager.
pub fn state() -> io::Result<State> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG)?;
    let (status, config) = (service.query_status().map_err(failure)?, service.query_config().map_err(failure)?);
    Ok(State {
        state: format!("{:?}", status.current_state).to_lowercase(),
        process: status.process_id.filter(|id| *id != 0),
        ended: match status.exit_code {
            ServiceExitCode::Win32(0) => "without a failure".to_owned(),
            ServiceExitCode::Win32(code) => io::Error::from_raw_os_error(code.cast_signed()).to_string(),
            ServiceExitCode::ServiceSpecific(code) => format!("with code {code}; the event log says why"),
        },
        command_line: config.executable_path.display().to_string(),
        account: config.account_name.unwrap_or_default().to_string_lossy().into_owned(),
    })
}

fn manager(access: ServiceManagerAccess) -> io::Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access).map_err(failure)
}

fn open(access: ServiceAccess) -> io::Result<Service> {
    manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access).map_err(failure)
}

/// Windows' own code.
fn code(error: &windows_service::Error) -> Option<i32> {
    match error {
        windows_service::Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

/// The error that Windows gave; the crate's own text says only which function failed.
fn failure(error: windows_service::Error) -> io::Error {
    match error {
        windows_service::Error::Winapi(error) => error,
        other => io::Error::other(other),
    }
}
