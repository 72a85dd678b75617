//! Connections to a directory: several servers tried in order, bound, bounded in time, and thrown away rather than mended.
//! With `search.rs` and four files of `write` the only ones that name `ldap3`.
//!
//! A connection serves one operation after the other. `ldap3` runs in a task behind the guard; a panic there, or in an
//! operation, becomes that operation's error, and the connection is not used again.

mod local;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use ldap3::controls::RawControl;
use ldap3::{Ldap, LdapConnAsync, LdapError};
use secrecy::ExposeSecret;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::bind::{BindRefusal, PASSWORD_POLICY};
use crate::config::{Credentials, DirectoryConfig, credentials};
use crate::error::{Error, Step};
use crate::guard::{self, Batch, GuardError};
use crate::names::Names;
use crate::root_dse::RootDse;
use crate::server_url::ServerUrl;
use crate::throttle::Throttle;
use crate::tls::{CertificateSummary, TlsFailure, is_certificate_refusal};
use crate::transport;

/// A connection older than this is not used for another search: load balancers and certificates move on.
const MAX_AGE: Duration = Duration::from_mins(10);

/// `ldap3` never frees the message ids of searches; a connection ends long before they matter.
const MAX_OPERATIONS: u32 = 50_000;

/// How long a broken connection's tasks get to say why they ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The servers of one directory.
pub(crate) struct Servers {
    /// As it is written down.
    written: DirectoryConfig,
    /// With what was left open filled in.
    complete: OnceLock<DirectoryConfig>,
    pub(crate) urls: Vec<ServerUrl>,
    preferred: AtomicUsize,
    /// By place in `urls`: why it failed last, as long as it does.
    failing: Mutex<HashMap<usize, String>>,
    /// Shared with the same directory before and after a reload.
    pub(crate) throttle: Arc<Throttle>,
    /// The names of the server's schema, once they were read.
    pub(crate) names: OnceCell<Arc<Names>>,
}

/// One question, and how many servers had it.
pub(crate) struct Question<'a> {
    servers: &'a Servers,
    asked: usize,
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) ldap: Ldap,
    pub(crate) entries: mpsc::Receiver<Batch>,
    pub(crate) operation_timeout: Duration,
    /// An operation is under way, or was left in its middle: what comes next on the wire belongs to it.
    pub(crate) busy: bool,
    pub(crate) url: String,
    /// The server's place among those of its directory.
    pub(crate) server: usize,
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Vec<CertificateSummary>,
    tasks: JoinSet<TaskEnd>,
    opened: Instant,
    operations: u32,
}

enum TaskEnd {
    Guard(Result<(), GuardError>),
    Client(Result<(), LdapError>),
}

impl Servers {
    pub(crate) fn new(config: DirectoryConfig, urls: Vec<ServerUrl>, throttle: Arc<Throttle>) -> Self {
        let complete = OnceLock::new();
        if config.is_complete() {
            let _ = complete.set(config.clone());
        }
        Self {
            written: config,
            complete,
            urls,
            preferred: AtomicUsize::new(0),
            failing: Mutex::default(),
            throttle,
            names: OnceCell::new(),
        }
    }

    /// The configuration. What it leaves open is filled in with the first connection that [`open`](Self::open) gives.
    pub(crate) fn config(&self) -> &DirectoryConfig {
        self.complete.get().unwrap_or(&self.written)
    }

    /// The configuration as it is written down.
    pub(crate) fn written(&self) -> &DirectoryConfig {
        &self.written
    }

    /// Whether nothing of the configuration is open any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get().is_some()
    }

    /// Fills in what the configuration leaves open.
    pub(crate) fn complete(&self, root: &RootDse) -> Result<(), Error> {
        if !self.is_complete() {
            let complete = self.written.completed(root).map_err(Error::Configuration)?;
            let _ = self.complete.set(complete);
        }
        Ok(())
    }

    /// A bound connection to the first server that gives one, beginning with the one that did last time.
    pub(crate) async fn open(&self) -> Result<Connection, Error> {
        let count = self.urls.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for (at, url) in
            (0..count).map(|step| (first + step) % count.max(1)).filter_map(|at| Some((at, self.urls.get(at)?)))
        {
            match self.open_one(url, None).await {
                Ok(mut connection) => {
                    connection.server = at;
                    self.preferred.store(at, Ordering::Relaxed);
                    self.recovered(at);
                    tracing::debug!(directory = %self.written().name, server = at, "directory.connection.opened");
                    return Ok(connection);
                }
                // Another server would count the same wrong password once more.
                Err(error) if !error.is_of_one_server() || count == 1 => return Err(error),
                Err(error) => {
                    self.failed(at, &error);
                    last = Some(error);
                }
            }
        }
        Err(match last {
            Some(last) => Error::NoServer { tried: count, last: Box::new(last) },
            None => Error::Connect { url: String::new(), source: io::ErrorKind::NotFound.into() },
        })
    }

    /// A bound connection to this server, at this very address: its name may have those of several servers.
    pub(crate) async fn open_at(&self, server: usize, address: SocketAddr) -> Result<Connection, Error> {
        let Some(url) = self.urls.get(server) else {
            return Err(Error::Connect { url: String::new(), source: io::ErrorKind::NotFound.into() });
        };
        let mut connection = self.open_one(url, Some(address)).await?;
        connection.server = server;
        Ok(connection)
    }

    /// For one question to the servers, asked anew on another connection as long as another server may do better.
    pub(crate) fn question(&self) -> Question<'_> {
        Question { servers: self, asked: 0 }
    }

    /// Whether another server may do better than the one that accepted us and then failed; the next connection begins
    /// with it.
    fn pass_over(&self, server: usize, error: &Error) -> bool {
        let count = self.urls.len();
        if count < 2 || !error.is_of_one_server() {
            return false;
        }
        self.failed(server, error);
        // Somebody else may have passed it over already.
        let (then, relaxed) = ((server + 1) % count, Ordering::Relaxed);
        let _ = self.preferred.compare_exchange(server, then, relaxed, relaxed);
        true
    }

    /// Logs why one of several servers cannot be used: once, and again when the reason changes.
    fn failed(&self, server: usize, error: &Error) {
        let reason = error.public_message();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.get(&server) != Some(&reason) {
            tracing::warn!(directory = %self.written().name, server, error = %reason, "directory.server.failed");
            failing.insert(server, reason);
        }
    }

    fn recovered(&self, server: usize) {
        if self.failing.lock().unwrap_or_else(PoisonError::into_inner).remove(&server).is_some() {
            tracing::info!(directory = %self.written().name, server, "directory.server.recovered");
        }
    }

    async fn open_one(&self, url: &ServerUrl, at: Option<SocketAddr>) -> Result<Connection, Error> {
        let mut connection = self.reach(url, at).await?;
        self.bind(&mut connection).await?;
        if !self.is_complete() {
            let root = connection.root_dse().await?;
            self.complete(&root)?;
        }
        Ok(connection)
    }

    /// TCP and TLS to one server, not bound yet.
    pub(crate) async fn reach(&self, url: &ServerUrl, at: Option<SocketAddr>) -> Result<Connection, Error> {
        let limit = self.written().connect_timeout();
        let transport = timeout(limit, transport::connect(self.written(), url, at)).await;
        let transport = transport.map_err(|_| Error::Timeout { step: Step::Connect, limit })??;
        let client_failed = |source| Error::Client { step: Step::Connect, source };
        let (ours, settings, address) = local::pair().map_err(|error| client_failed(error.into()))?;
        let (client, ldap) =
            LdapConnAsync::with_settings(settings, address).await.map_err(|error| client_failed(error.into()))?;
        let (sender, entries) = mpsc::channel(guard::WAITING_BATCHES);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { TaskEnd::Guard(guard::run(transport.wire, ours, sender).await) });
        tasks.spawn(async move { TaskEnd::Client(client.drive().await) });
        Ok(Connection {
            ldap,
            entries,
            operation_timeout: self.written().operation_timeout(),
            busy: false,
            url: url.text.clone(),
            server: 0,
            address: transport.address,
            certificates: transport.certificates,
            tasks,
            opened: Instant::now(),
            operations: 0,
        })
    }

    /// Proves who we are. After three wrong passwords in a row it does not try for a while.
    pub(crate) async fn bind(&self, connection: &mut Connection) -> Result<(), Error> {
        let _turn = self.throttle.turn.lock().await;
        let credentials = credentials(self.written()).map_err(Error::Secret)?;
        self.throttle.permit(&self.written().urls, &credentials).map_err(Error::from)?;
        let limit = self.written().connect_timeout();
        let mut ldap = connection.ldap.clone();
        let result = connection
            .operate(Step::Bind, limit, async {
                ldap.with_controls(RawControl { ctype: PASSWORD_POLICY.to_owned(), crit: false, val: None });
                match &credentials {
                    Credentials::Simple { bind_dn, password } => {
                        ldap.simple_bind(bind_dn, password.expose_secret()).await
                    }
                    Credentials::External { .. } => ldap.sasl_external_bind().await,
                }
            })
            .await?;
        let refusal = BindRefusal::of(&result, self.written().bind_dn.as_deref());
        if result.rc == 0 {
            self.throttle.accepted(&self.written().urls, &credentials);
        }
        let Some(refusal) = refusal else { return Ok(()) };
        if result.rc != 0 && refusal.counts() {
            let cause = refusal.meaning().unwrap_or_default();
            self.throttle.refused(&self.written().urls, &credentials, cause);
        }
        Err(Error::Bind { url: connection.url.clone(), code: result.rc, refusal, diagnostic: result.text })
    }

    /// Whether work that nobody asked for may bind: one refused bind is enough for it.
    pub(crate) fn permit_unasked(&self) -> Result<(), Error> {
        let credentials = credentials(self.written()).map_err(Error::Secret)?;
        self.throttle.permit_unasked(&self.written().urls, &credentials).map_err(Error::from)
    }
}

impl Question<'_> {
    /// Whether to ask again after this failure, on another connection.
    pub(crate) fn is_worth_repeating(&mut self, connection: &Connection, error: &Error) -> bool {
        self.asked += 1;
        self.servers.pass_over(connection.server, error) && self.asked < self.servers.urls.len()
    }
}

impl Connection {
    /// Whether another search may be started on this connection.
    pub(crate) fn is_fresh(&self) -> bool {
        // The guard holds the other end, and is gone when the server has closed: idle for too long, or restarted.
        let stands = !self.entries.is_closed();
        stands && !self.busy && self.opened.elapsed() < MAX_AGE && self.operations < MAX_OPERATIONS
    }

    /// Whether the server may not have answered what was asked last. A connection that is only old has answered.
    pub(crate) fn is_broken(&self) -> bool {
        self.busy || self.entries.is_closed()
    }

    /// Runs one operation of `ldap3`: bounded in time, its panics contained. After a failure the connection is spent.
    pub(crate) async fn operate<T>(
        &mut self,
        step: Step,
        limit: Duration,
        operation: impl Future<Output = Result<T, LdapError>>,
    ) -> Result<T, Error> {
        self.busy = true;
        self.operations = self.operations.saturating_add(1);
        match timeout(limit, AssertUnwindSafe(operation).catch_unwind()).await {
            Err(_) => Err(Error::Timeout { step, limit }),
            Ok(Err(_panic)) => Err(Error::Panicked { step }),
            Ok(Ok(Err(error))) => Err(self.lost(step, Some(error)).await),
            Ok(Ok(Ok(value))) => {
                self.busy = false;
                Ok(value)
            }
        }
    }

    /// Why the connection broke: what its tasks say, the worst first, and `error` where they say nothing.
    pub(crate) async fn lost(&mut self, step: Step, error: Option<LdapError>) -> Error {
        self.busy = true;
        let mut client_error = error;
        let mut guard_error = None;
        while let Ok(Some(end)) = timeout(LAST_WORDS, self.tasks.join_next()).await {
            match end {
                Err(join) if join.is_panic() => return Error::Panicked { step },
                Ok(TaskEnd::Guard(Err(error))) => guard_error = Some(error),
                Ok(TaskEnd::Client(Err(error))) => client_error = Some(error),
                _ => {}
            }
        }
        match (guard_error, client_error) {
            (Some(GuardError::Io(source)), _) if is_certificate_refusal(&source) => {
                Error::Tls { url: self.url.clone(), failure: TlsFailure::ClientCertificateRefused, source }
            }
            (Some(GuardError::Io(source)), _) => Error::Lost { step, source },
            (Some(GuardError::Malformed(source)), _) => Error::Malformed { step, source },
            (Some(GuardError::Disconnected { code }), _) => {
                Error::Refused { step, code, diagnostic: "notice of disconnection".to_owned() }
            }
            (None, Some(error)) => Error::Client { step, source: Box::new(error) },
            (Some(GuardError::Closed), _) | (None, None) => Error::Lost {
                step,
                source: io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"),
            },
        }
    }
}
