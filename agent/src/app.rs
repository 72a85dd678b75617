//! The running program: wires an agent from its configuration and keeps it company until the process stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postern_directory::{BindMemory, Directory};
use postern_platform::signals::Reloads;
use postern_runtime::clock::SystemClock;
use postern_runtime::lifecycle::{self, Shutdown};
use postern_runtime::service_manager;
use postern_runtime::supervise::{CriticalFailure, OnCancel, Supervisor, chain};

use crate::agent::{Agent, Options, Parts};
use crate::config::{self, Config, Fixed};
use crate::deliver::DeliveryOptions;
use crate::identity::store::{self, IdentityStore};
use crate::identity::{IdentitySource, TlsDial};
use crate::passwords::Passwords;
use crate::policy::Records;
use crate::roster::Directories;
use crate::served::ServedDirectory;
use crate::{health, socket};

/// From the first signal until everything is cut: longer than the session's own limit for draining.
const GRACE: Duration = Duration::from_secs(20);

/// Why the agent does not run, or ran no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(config::Error),
    #[error("the agent has no usable identity")]
    Identity(#[source] store::Error),
    #[error("cannot listen for stop signals")]
    Signals(#[source] lifecycle::Error),
    #[error("cannot start the health listener")]
    Health(#[source] health::Error),
    #[error("cannot start the status socket")]
    Socket(#[source] socket::Error),
    #[error("cannot listen for reload signals")]
    Reloads(#[source] std::io::Error),
    #[error("the agent stopped")]
    Critical(#[source] CriticalFailure),
}

/// Runs until a signal stops the process.
pub(crate) async fn run(config: Config, file: Option<&Path>, state_dir: &Path) -> Result<(), Error> {
    let clock = SystemClock::shared();
    let store = IdentityStore::new(state_dir);
    store.check_ownership().map_err(Error::Identity)?;
    let memory = Config::bind_memory(state_dir);
    let records = Arc::new(Records::new(state_dir, clock.clone()));
    let directories = open(&config, &[], &memory)?;
    let fixed = config.fixed();
    let proxy = config.proxy_rule().map_err(Error::Config)?;
    let identity = IdentitySource::stored(store.load().map_err(Error::Identity)?, store);
    let passwords = Passwords::stored(state_dir, identity.current().agent_id(), clock.now());
    let shutdown = Shutdown::on_signals(GRACE, clock.clone()).map_err(Error::Signals)?;
    let supervisor = Supervisor::new(shutdown);
    // Before the agent, so that nothing goes uncounted.
    let health = match &config.health {
        Some(health) => Some(health::Listener::bind(health.listen).await.map_err(Error::Health)?),
        None => None,
    };
    let status = socket::Listener::bind(state_dir).await.map_err(Error::Socket)?;
    tracing::info!(version = crate::VERSION, agent_id = %identity.current().agent_id(), "agent.starting");
    let agent = Arc::new(Agent::start(Parts {
        dial: Arc::new(TlsDial::new(identity.clone(), proxy, clock.clone())),
        identity: Some(identity),
        directories: served(&directories),
        policy: config.policy(&records),
        passwords: passwords.map(Arc::new),
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
    supervisor.spawn("status_socket", OnCancel::Abort, status.serve(Arc::clone(&agent)));
    // Before readiness is announced: a SIGHUP without a handler would end the process.
    let reloads = Reloads::listen().map_err(Error::Reloads)?;
    let reloading = reload_on(reloads, agent, file.map(Path::to_owned), fixed, (directories, memory, records));
    supervisor.spawn("reload", OnCancel::Abort, reloading);
    service_manager::accompany(&supervisor, clock).await;
    let ended = supervisor.join().await;
    tracing::info!("agent.stopped");
    ended.map_err(Error::Critical)
}

/// The configured directories, after those that were served `before`.
fn open(config: &Config, before: &[Directory], memory: &Arc<BindMemory>) -> Result<Vec<Directory>, Error> {
    let directories = config.open_directories(before, memory).map_err(Error::Config)?;
    if directories.is_empty() {
        tracing::warn!("config.no_directory: no [[directory]] is configured, there is nothing to serve");
    }
    Ok(directories)
}

fn served(directories: &[Directory]) -> Directories {
    directories.iter().map(|directory| Arc::new(directory.clone()) as Arc<dyn ServedDirectory>).collect()
}

/// When somebody asks for it (SIGHUP), directories and policy are read anew. A bad file changes nothing.
async fn reload_on(
    mut reloads: Reloads,
    agent: Arc<Agent>,
    file: Option<PathBuf>,
    fixed: Fixed,
    (mut directories, memory, records): (Vec<Directory>, Arc<BindMemory>, Arc<Records>),
) {
    while reloads.recv().await.is_some() {
        service_manager::reloading();
        let read = Config::load(file.as_deref()).map_err(Error::Config);
        match read.and_then(|config| Ok((open(&config, &directories, &memory)?, config))) {
            Ok((opened, config)) => {
                let ignored = fixed.changed(&config.fixed());
                directories = opened;
                // Somebody looked at it: what was refused may have been mended in the directory.
                memory.allow_one_more_try();
                tracing::info!(directories = directories.len(), "config.reloaded");
                agent.reload(served(&directories), config.policy(&records));
                if !ignored.is_empty() {
                    let keys = ignored.join(", ");
                    tracing::warn!(keys, "config.reload_ignored: these changes need a restart");
                }
            }
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "config.reload_refused: the old configuration stays in use");
                agent.reload_refused(error);
            }
        }
        service_manager::ready();
    }
}

#[cfg(test)]
mod tests {
    use postern_directory::Error as DirectoryError;
    use postern_runtime::settings;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// The answer to the first request of a connection: `invalidCredentials` (RFC 4511 §4.2.2).
    const REFUSAL: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00";

    async fn refuse_all(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(REFUSAL).await;
        }
    }

    fn config(port: u16) -> Config {
        let text = format!(
            r#"
[[directory]]
name = "corp"
urls = ["ldap://127.0.0.1:{port}"]
allow_plaintext = true
bind_dn = "cn=reader"
bind_password = "wrong"
[directory.users]
base_dns = ["ou=people"]
unique_attribute = "uid"
attributes = ["uid"]
"#
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text).unwrap();
        settings::load_with(Some(&file), config::ENV_PREFIX, []).unwrap()
    }

    #[tokio::test]
    async fn a_reload_does_not_forget_the_refused_binds() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let config = config(listener.local_addr().unwrap().port());
        let memory = Arc::default();
        let reloads = async {
            let mut directories = open(&config, &[], &memory).unwrap();
            for _ in 0..3 {
                let error = directories[0].lookup_user("anna").await.unwrap_err();
                assert!(matches!(error, DirectoryError::Bind { code: 49, .. }), "{error:?}");
                directories = open(&config, &directories, &memory).unwrap();
            }
            let error = directories[0].lookup_user("anna").await.unwrap_err();
            assert!(matches!(error, DirectoryError::Throttled { .. }), "{error:?}");
        };
        tokio::select! {
            () = refuse_all(listener) => panic!("nobody listens any more"),
            () = reloads => {}
        }
    }
}
