//! The service of Windows.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use postern_platform::log::{Severity, line};
use postern_platform::{paths, service};
use postern_runtime::secret;
use secrecy::ExposeSecret as _;

use super::super::place::Place;
use super::super::{failed, run as running};
use crate::config::Config;
use crate::identity::store::IdentityStore;

/// What a new configuration begins with.
const EXAMPLE: &str = include_str!("../../../../installer/windows/agent.toml");
const AS_ADMINISTRATOR: &str = "run this as an administrator";

pub(super) fn install() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find out where this program is")?;
    let home = std::env::var_os("USERPROFILE");
    let is_at_home = home.is_some_and(|home| program.starts_with(home));
    ensure!(
        !is_at_home,
        "a service cannot use {}: it belongs to a person. Put the program into a folder such as C:\\Program Files\\Postern",
        program.display()
    );
    service::install(&program).with_context(|| format!("cannot install the service; {AS_ADMINISTRATOR}"))?;
    let configuration = paths::configuration();
    if !configuration.exists() {
        std::fs::write(&configuration, EXAMPLE).with_context(|| format!("cannot write {}", configuration.display()))?;
    }
    println!(
        "Installed. Next: write {}, enroll with `postern-agent enroll`, and start it with `postern-agent service start`.",
        configuration.display()
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn uninstall() -> anyhow::Result<ExitCode> {
    service::uninstall().with_context(|| format!("cannot remove the service; {AS_ADMINISTRATOR}"))?;
    println!("Removed. Configuration and state are still in {}.", paths::folder().display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start() -> anyhow::Result<ExitCode> {
    ensure!(is_enrolled()?, "this agent is not enrolled yet; run `postern-agent enroll`");
    service::start().with_context(|| format!("cannot start the service; {AS_ADMINISTRATOR}"))?;
    println!("Started. `postern-agent status` shows whether it is connected.");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start_if_enrolled() -> anyhow::Result<ExitCode> {
    if is_enrolled()? { start() } else { Ok(ExitCode::SUCCESS) }
}

pub(super) fn stop() -> anyhow::Result<ExitCode> {
    service::stop().with_context(|| format!("cannot stop the service; {AS_ADMINISTRATOR}"))?;
    println!("Stopped.");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status() -> anyhow::Result<ExitCode> {
    let state = service::state().context("cannot ask for the service; `postern-agent service install` installs it")?;
    let process = state.process.map(|id| format!(" (process {id})")).unwrap_or_default();
    println!("{} is {}{process}", service::NAME, state.state);
    println!("account        {}", state.account);
    println!("program        {}", state.command_line);
    if state.process.is_none() {
        println!("ended          {}", state.ended);
    }
    println!("log            event viewer, Windows Logs, Application, source Postern; in PowerShell:");
    println!(
        "               Get-WinEvent -FilterHashtable @{{LogName='Application'; ProviderName='Postern'}} -MaxEvents 20"
    );
    Ok(ExitCode::from(if state.process.is_some() { 0 } else { 3 }))
}

/// What the service manager starts. An agent that is not enrolled is no failure: the service would be started again and again.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    service::run(|| {
        let place = Place { config: None, state_dir: None };
        let ran = match is_enrolled() {
            Ok(false) => {
                let text =
                    b"this agent is not enrolled yet; run `postern-agent enroll`, then `postern-agent service start`";
                let _ = std::io::Write::write_all(&mut line(Severity::Warning), text);
                return 0;
            }
            _ => running::execute(&place),
        };
        ran.map_or_else(|error| failed(&error, running::log_format(&place)), |_| 0)
    })
    .context("the service cannot run")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn protect(path: &Path) -> anyhow::Result<ExitCode> {
    service::protect(path)
        .with_context(|| format!("cannot change who may use {}; {AS_ADMINISTRATOR}", path.display()))?;
    if path.is_file() {
        let secret = secret::read_private(path)?;
        secret::write_private(path, secret.expose_secret().as_bytes())?;
        service::protect(path).with_context(|| format!("cannot change who may use {}", path.display()))?;
    }
    println!("Only administrators and the service can use {} now.", path.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn delete_state() -> anyhow::Result<ExitCode> {
    let folder = paths::folder();
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", folder.display()))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn is_enrolled() -> anyhow::Result<bool> {
    Ok(IdentityStore::new(Config::state_dir_in(None)?).exists())
}
