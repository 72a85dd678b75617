//! Wiring: the parts of a control plane, in the order in which they start.

mod error;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use postern_runtime::clock::SharedClock;
use postern_runtime::lifecycle::Shutdown;
use postern_runtime::supervise::{OnCancel, Supervisor};
use postern_store::{AgentId, AuthorityPin, Store};
use rustls::ServerConfig;

use crate::api::{self, Api, Metrics};
use crate::config::{Config, PublicAddress};
use crate::gateway::listener::{self, Limits, Listener};
use crate::gateway::registry::Registry;
use crate::gateway::{Gateway, Parts, Service, held, revocation, silence};
use crate::home::lock::ServeLock;
use crate::pki::{self, GATEWAY_LIFETIME, Pki};
use crate::refusals::Refusals;
use crate::upkeep::{self, Upkeep};
use crate::{home, http};
use postern_engine::jobs::dispatch::Dispatcher;
use postern_engine::jobs::reach::Reach;
use postern_engine::jobs::running::Running;
use postern_engine::jobs::running::copies::Copies;
use postern_engine::kinds;
use postern_engine::provisioning;
use postern_engine::provisioning::directory::DirectoryConnector;
use postern_engine::schedules::runner::Runner;
use postern_engine::services::{Door, Gate, Services};

pub use error::Error;

/// What the parts of a running control plane share.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// The certificate authority.
    pub pki: Arc<Pki>,
    /// The time.
    pub clock: SharedClock,
    /// The connected agents.
    pub registry: Arc<Registry>,
    /// Which directories can be reached from here.
    pub reach: Arc<Reach>,
    /// Sends jobs to agents.
    pub dispatcher: Arc<Dispatcher>,
    /// The operations that agents have.
    pub operations: Arc<DirectoryConnector>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Where agents reach the gateway.
    pub public: PublicAddress,
    /// All tasks.
    pub supervisor: Supervisor,
}

impl Gate for App {
    fn door(&self) -> Door {
        Door { address: self.public.to_string(), ca_sha256: self.pki.ca_sha256() }
    }

    fn cut(&self, agent: AgentId) {
        self.registry.cut(agent);
    }
}

/// Opens the certificate authority; creates it if there is none. One that does not match the database is neither
/// created nor used: agents of the one would be refused by the replicas of the other.
async fn open_authority(config: &Config, store: &Store, clock: &SharedClock) -> Result<Pki, Error> {
    let refused = |found: Option<&AuthorityPin>, trusted: &AuthorityPin| Error::Authority {
        pki_dir: config.pki_dir.clone(),
        found: found.map(|sha256| pki::hex(sha256)),
        trusted: pki::hex(trusted),
    };
    if !config.new_authority
        && !Pki::is_in(&config.pki_dir)
        && let Some(trusted) = store.authority().await.map_err(Error::Store)?
    {
        return Err(refused(None, &trusted));
    }
    let pki = Pki::open(&config.pki_dir, clock.now()).map_err(Error::Pki)?;
    let own = pki.ca_sha256();
    let trusted = store.enter_authority(own, clock.now()).await.map_err(Error::Store)?;
    if trusted != own && !config.new_authority {
        return Err(refused(Some(&own), &trusted));
    }
    if trusted != own {
        store.replace_authority(own, clock.now()).await.map_err(Error::Store)?;
        tracing::warn!(sha256 = pki::hex(&own), "serve.new_authority: every agent must enroll again");
    }
    Ok(pki)
}

/// Makes the data folder private, and takes the lock of a database file. `None`: there is no file.
fn make_home(config: &Config) -> Result<Option<ServeLock>, Error> {
    let source = |source| Error::DataDir { path: config.data_dir.clone(), source };
    home::make_folder(&config.data_dir).map_err(source)?;
    home::secure_data_folder(&config.data_dir).map_err(Error::Modes)?;
    let Some(file) = config.database.file() else { return Ok(None) };
    // If this fails, opening the database reports why.
    let _ = home::make_database(file);
    home::secure_database(file).map_err(Error::Modes)?;
    Ok(Some(ServeLock::take(file).map_err(Error::Lock)?))
}

/// A running control plane.
#[derive(Debug)]
pub struct Server {
    /// Its parts.
    pub app: Arc<App>,
    /// Address of the API.
    pub api: SocketAddr,
    /// Address of the gateway.
    pub gateway: SocketAddr,
    /// Held until everything has ended; `None` with PostgreSQL.
    lock: Option<ServeLock>,
}

impl Server {
    /// Opens everything and serves. The order announces nothing before it works.
    pub async fn start(config: Config, clock: SharedClock, shutdown: Shutdown) -> Result<Self, Error> {
        let supervisor = Supervisor::with_clock(shutdown.clone(), Arc::clone(&clock));
        let lock = make_home(&config)?;
        let store = Store::open(&config.database).await.map_err(Error::Store)?;
        if lock.is_some() {
            // No other process serves it: all recorded replicas are dead.
            store.forget_replicas(clock.now()).await.map_err(Error::Store)?;
            store.free_provisioning().await.map_err(Error::Store)?;
        }
        let pki = Arc::new(open_authority(&config, &store, &clock).await?);
        let gateway_listener = listener::bind(config.gateway_listen).map_err(Error::Gateway)?;
        let gateway = gateway_listener.local_addr().map_err(Error::Address)?;
        let mut public = config.gateway_public.clone();
        if public.port == 0 {
            public.port = gateway.port();
        }
        let reach = Arc::<Reach>::default();
        let copies = Copies::below(&config.data_dir.join(home::COPIES));
        let running = Running::new(store.clone(), Arc::clone(&clock), config.lease, copies);
        let dispatcher = Dispatcher::new(running, kinds::ALL, Arc::clone(&reach), supervisor.clone());
        let dispatcher = Arc::new(dispatcher);
        let operations = Arc::new(DirectoryConnector::new(Arc::clone(&reach)));
        let app = Arc::new(App {
            store,
            pki,
            clock,
            registry: Arc::default(),
            reach,
            dispatcher,
            operations,
            config: Arc::new(config),
            public,
            supervisor,
        });
        let api_listener = http::bind(app.config.listen).await.map_err(Error::Api)?;
        let api = api_listener.local_addr().map_err(Error::Address)?;
        app.serve_gateway(gateway_listener)?;
        app.serve_api(api_listener).await?;
        if lock.is_some() {
            app.dispatcher.resume_alone().await.map_err(Error::Store)?;
            app.store.release_provisioning(None).await.map_err(Error::Store)?;
        }
        app.dispatcher.start();
        Runner::new(app.store.clone(), Arc::clone(&app.clock), kinds::ALL).start(&app.supervisor);
        app.provision();
        upkeep::start(
            Upkeep { store: app.store.clone(), clock: Arc::clone(&app.clock), dispatcher: Arc::clone(&app.dispatcher) },
            &app.supervisor,
        );
        tracing::info!(api = %api, gateway = %gateway, public = %app.public, "serve.ready");
        Ok(Self { app, api, gateway, lock })
    }

    /// The line that lists the addresses.
    pub fn ready_line(&self) -> String {
        let scheme = if self.app.config.api_tls.is_some() { "https" } else { "http" };
        format!(
            "postern is ready: API {scheme}://{}, agents {} (public address {}), data in {}",
            self.api,
            self.gateway,
            self.app.public,
            self.app.config.data_dir.display()
        )
    }

    /// Waits for the end, after a signal or a critical failure.
    pub async fn join(self) -> Result<(), Error> {
        let ended = self.app.supervisor.join().await.map_err(Error::Failed);
        self.app.store.close().await;
        drop(self.lock);
        ended
    }
}

impl App {
    /// Starts to provision the directories that are reachable from here.
    fn provision(&self) {
        let (reach, operations) = (Arc::clone(&self.reach), Arc::clone(&self.operations));
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let owner = self.dispatcher.running.owner;
        provisioning::runner::Runner::new(store, clock, reach, operations, self.supervisor.clone(), owner).start();
    }

    fn serve_gateway(self: &Arc<Self>, listener: tokio::net::TcpListener) -> Result<(), Error> {
        let tls = Arc::new(ArcSwap::new(self.gateway_tls()?));
        let gateway = Gateway::new(Parts {
            store: self.store.clone(),
            pki: Arc::clone(&self.pki),
            clock: Arc::clone(&self.clock),
            registry: Arc::clone(&self.registry),
            reach: Arc::clone(&self.reach),
            dispatcher: Arc::clone(&self.dispatcher),
            operations: Arc::clone(&self.operations),
            refusals: Refusals::default(),
            supervisor: self.supervisor.clone(),
            certificate_lifetime: self.config.agent_certificate_lifetime,
            heartbeat_interval: self.config.heartbeat_interval,
        });
        let limits = Limits { connections: self.config.max_connections };
        let service = Arc::new(Service::new(gateway.clone()));
        let accepting = Listener::new(Arc::clone(&tls), service, self.supervisor.clone(), limits);
        let accepting = accepting.map_err(Error::Gateway)?;
        self.supervisor.spawn_critical("gateway.listener", OnCancel::Finish, accepting.run(listener));
        let app = Arc::clone(self);
        self.supervisor.spawn_restarting("gateway.certificate", OnCancel::Abort, move || {
            Arc::clone(&app).renew_gateway_certificate(Arc::clone(&tls))
        });
        let revoking = gateway.clone();
        let watching = move || revocation::watch(revoking.clone());
        self.supervisor.spawn_restarting("gateway.revocation", OnCancel::Abort, watching);
        let holding = gateway.clone();
        let writing = move || held::write(holding.clone());
        self.supervisor.spawn_restarting("gateway.sessions", OnCancel::Finish, writing);
        let watching = move || silence::watch(gateway.clone());
        self.supervisor.spawn_restarting("gateway.pulse", OnCancel::Abort, watching);
        Ok(())
    }

    async fn serve_api(self: &Arc<Self>, listener: tokio::net::TcpListener) -> Result<(), Error> {
        let tls = self.config.api_tls.as_ref().map(http::tls_config).transpose().map_err(Error::Api)?;
        let metrics = Metrics::install();
        let gate = Arc::<Self>::clone(self) as Arc<dyn Gate>;
        let services = Arc::new(Services::new(self.store.clone(), Arc::clone(&self.clock), gate));
        let router = api::router(Api {
            services: Arc::clone(&services),
            clock: Arc::clone(&self.clock),
            refusals: Arc::default(),
            shares: Arc::default(),
            metrics: metrics.clone(),
            supervisor: self.supervisor.clone(),
        });
        if let Some(address) = self.config.metrics_listen {
            let listener = http::bind(address).await.map_err(Error::Metrics)?;
            let own = listener.local_addr().map_err(Error::Address)?;
            tracing::info!(address = %own, "serve.metrics");
            let serving = http::serve(
                listener,
                None,
                api::metrics_router(metrics.clone(), Arc::clone(&services), own),
                self.supervisor.clone(),
            );
            self.supervisor.spawn_critical("metrics.listener", OnCancel::Finish, serving);
        }
        let serving = http::serve(listener, tls, router, self.supervisor.clone());
        self.supervisor.spawn_critical("api.listener", OnCancel::Finish, serving);
        let clock = Arc::clone(&self.clock);
        self.supervisor
            .spawn_restarting("api.metrics", OnCancel::Abort, move || metrics.clone().upkeep(Arc::clone(&clock)));
        self.supervisor.spawn_restarting("api.changes", OnCancel::Abort, move || {
            let services = Arc::clone(&services);
            async move { services.listen().await }
        });
        Ok(())
    }

    /// A new certificate for the gateway, for all names by which agents may connect.
    fn gateway_tls(&self) -> Result<Arc<ServerConfig>, Error> {
        let mut names = vec![self.public.host.clone()];
        for always in ["localhost", "127.0.0.1", "::1"] {
            if !names.iter().any(|name| name == always) {
                names.push(always.to_owned());
            }
        }
        let made = self.pki.gateway_certificate(&names, self.clock.now()).map_err(Error::Pki)?;
        listener::tls_config(&self.pki, made).map_err(Error::Gateway)
    }

    /// Replaces the gateway's certificate at two thirds of its lifetime; open connections are not affected.
    async fn renew_gateway_certificate(self: Arc<Self>, tls: Arc<ArcSwap<ServerConfig>>) -> Result<(), Error> {
        const PERIOD: Duration = Duration::from_secs(GATEWAY_LIFETIME.as_secs() / 3 * 2);
        loop {
            self.clock.sleep(PERIOD).await;
            tls.store(self.gateway_tls()?);
            tracing::info!("gateway.certificate_exchanged");
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_runtime::clock::SystemClock;

    use super::*;
    use crate::config::Settings;

    #[tokio::test]
    async fn a_database_is_served_with_one_authority_unless_another_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = Some(folder.path().to_owned());
        let own = Settings { data_dir: data_dir.clone(), ..Settings::default() }.resolve().unwrap();
        let elsewhere = Some(folder.path().join("elsewhere"));
        let other = Settings { data_dir, pki_dir: elsewhere, ..Settings::default() }.resolve().unwrap();
        let (store, clock) = (Store::open(&own.database).await.unwrap(), SystemClock::shared());
        let first = open_authority(&own, &store, &clock).await.unwrap();
        assert_eq!(open_authority(&own, &store, &clock).await.unwrap().ca_sha256(), first.ca_sha256());

        let refused = open_authority(&other, &store, &clock).await.unwrap_err();
        assert!(refused.is_configuration() && refused.to_string().contains(&pki::hex(&first.ca_sha256())), "{refused}");
        assert!(!Pki::is_in(&other.pki_dir), "one was made all the same");
        let made = Pki::open(&other.pki_dir, clock.now()).unwrap();
        let refused = open_authority(&other, &store, &clock).await.unwrap_err();
        assert!(refused.to_string().contains(&pki::hex(&made.ca_sha256())), "{refused}");
        assert_eq!(store.authority().await.unwrap(), Some(first.ca_sha256()));

        let asked = Config { new_authority: true, ..other.clone() };
        assert_eq!(open_authority(&asked, &store, &clock).await.unwrap().ca_sha256(), made.ca_sha256());
        open_authority(&other, &store, &clock).await.unwrap();
        open_authority(&own, &store, &clock).await.unwrap_err();
    }
}
