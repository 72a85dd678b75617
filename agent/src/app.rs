//! The running program: wires an agent from its configuration and keeps it company until the process stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postern_runtime::clock::{SharedClock, SystemClock};
use postern_runtime::lifecycle::{self, Shutdown};
use postern_runtime::supervise::{CriticalFailure, OnCancel, Supervisor, chain};

use crate::agent::{Agent, Options, Parts};
use crate::config::{self, Config};
use crate::deliver::DeliveryOptions;
use crate::identity::IdentitySource;
use crate::identity::store::{self, IdentityStore};
use crate::link::TlsDial;
use crate::roster::Directories;
use crate::served::Served;
use crate::{health, notify, socket};

/// From the first signal until everything is cut: longer than the session's own limit for draining.
const GRACE: Duration = Duration::from_secs(20);

/// Why the agent does not run, or ran no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(config::Error),
    #[error("the agent has no identity that it could use")]
    Identity(#[source] store::Error),
    #[error("the agent cannot be told to stop")]
    Signals(#[source] lifecycle::Error),
    #[error("the health listener does not start")]
    Health(#[source] health::Error),
    #[cfg(unix)]
    #[error("the status socket does not start")]
    Socket(#[source] socket::Error),
    #[cfg(unix)]
    #[error("the agent cannot be told to reload")]
    Hangups(#[source] std::io::Error),
    #[error("the agent stopped")]
    Critical(#[source] CriticalFailure),
}

/// Runs until the process is told to stop.
pub(crate) async fn run(config: Config, file: Option<&Path>, state_dir: &Path) -> Result<(), Error> {
    let clock = SystemClock::shared();
    let directories = open(&config)?;
    let proxy = config.proxy_rule().map_err(Error::Config)?;
    let store = IdentityStore::new(state_dir);
    let identity = IdentitySource::stored(store.load().map_err(Error::Identity)?, store);
    let shutdown = Shutdown::on_signals(GRACE, clock.clone()).map_err(Error::Signals)?;
    let supervisor = Supervisor::new(shutdown);
    // Before the agent, so that nothing goes uncounted.
    let health = match &config.health {
        Some(health) => Some(health::Listener::bind(health.listen).await.map_err(Error::Health)?),
        None => None,
    };
    #[cfg(unix)]
    let status = socket::Listener::bind(state_dir).await.map_err(Error::Socket)?;
    tracing::info!(version = crate::VERSION, agent_id = %identity.current().agent_id(), "agent.starting");
    let agent = Arc::new(Agent::start(Parts {
        dial: Arc::new(TlsDial::new(identity.clone(), proxy, clock.clone())),
        identity: Some(identity),
        directories,
        policy: config.policy,
        options: Options {
            delivery: DeliveryOptions { compression: config.control_plane.compression, ..DeliveryOptions::default() },
            ..Options::default()
        },
        supervisor: supervisor.clone(),
        clock: clock.clone(),
    }));
    if let Some(listener) = health {
        let serving = listener.serve(Arc::clone(&agent), supervisor.clone());
        supervisor.spawn("health", OnCancel::Abort, serving);
    }
    #[cfg(unix)]
    {
        supervisor.spawn("status_socket", OnCancel::Abort, status.serve(Arc::clone(&agent)));
        // Listened for before anybody is told that we are ready: unheard, a hangup ends the process.
        let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map_err(Error::Hangups)?;
        supervisor.spawn("reload", OnCancel::Abort, reload_on_hangup(hangups, agent, file.map(Path::to_owned)));
    }
    accompany(&supervisor, clock).await
}

/// Keeps systemd informed, and waits for the end.
async fn accompany(supervisor: &Supervisor, clock: SharedClock) -> Result<(), Error> {
    if let Some(interval) = notify::watchdog_interval() {
        supervisor.spawn("watchdog", OnCancel::Finish, watchdog(supervisor.shutdown().clone(), clock, interval));
    }
    notify::ready();
    supervisor.shutdown().stopping().cancelled().await;
    notify::stopping();
    let ended = supervisor.join().await;
    tracing::info!("agent.stopped");
    ended.map_err(Error::Critical)
}

/// Beats for as long as the runtime gets round to it, also while draining.
async fn watchdog(shutdown: Shutdown, clock: SharedClock, interval: Duration) {
    while !shutdown.stopping().is_cancelled() {
        notify::alive();
        tokio::select! {
            () = clock.sleep(interval / 3) => {}
            () = shutdown.stopping().cancelled() => notify::alive(),
        }
    }
}

fn open(config: &Config) -> Result<Directories, Error> {
    let directories = config.open_directories().map_err(Error::Config)?;
    if directories.is_empty() {
        tracing::warn!("config.no_directory: no [[directory]] is configured, there is nothing to serve");
    }
    Ok(directories.into_iter().map(|directory| Arc::new(directory) as Arc<dyn Served>).collect())
}

/// On SIGHUP, directories and policy are read anew. A bad file changes nothing.
#[cfg(unix)]
async fn reload_on_hangup(mut hangups: tokio::signal::unix::Signal, agent: Arc<Agent>, file: Option<PathBuf>) {
    while hangups.recv().await.is_some() {
        let read = Config::load(file.as_deref()).map_err(Error::Config);
        match read.and_then(|config| Ok((open(&config)?, config.policy))) {
            Ok((directories, policy)) => {
                tracing::info!(directories = directories.len(), "config.reloaded");
                agent.reload(directories, policy);
            }
            Err(error) => tracing::error!(error = chain(&error), "config.reload_refused: the old one stays in use"),
        }
    }
}
