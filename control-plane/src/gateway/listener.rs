//! The agents' side door: accepts TCP, speaks TLS 1.3 and HTTP/2 and nothing else, and keeps whoever says nothing,
//! the wrong thing or too much from costing the others anything.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use postern_runtime::supervise::{OnCancel, Supervisor};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection;
use super::service::Service;
use super::workshop::Workshop;
use crate::pki::{GatewayCertificate, PeerAgent, Pki};

/// How many may wait in the kernel: a restart brings all agents back within seconds.
const BACKLOG: i32 = 4096;
/// Handshakes computed at a time. More would only take memory: the signatures are what costs.
const HANDSHAKES: usize = 64;
/// Connections that are not through their handshake; beyond that, the kernel's queue waits.
const PENDING: usize = 4096;
/// Connections without a client certificate: they may enroll, which takes one call.
const ANONYMOUS: usize = 512;
/// Time for the first flight of the client, and again for the rest of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the machine refuses to accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen for agents on {address}; choose another --gateway-listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificates do not make a TLS configuration.
    #[error("cannot set up TLS for the gateway")]
    Tls(#[source] rustls::Error),
    /// The client verifier cannot be built.
    #[error("cannot set up the verification of agents' certificates")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// The system gives no thread.
    #[error("cannot start a thread for the gateway")]
    Thread(#[source] io::Error),
}

/// How many connections the gateway takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All connections together.
    pub connections: usize,
}

/// The TLS configuration: TLS 1.3 only, HTTP/2 only, a client certificate of our own authority or none.
pub fn tls_config(pki: &Pki, certificate: GatewayCertificate) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(pki.client_roots()), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(Error::Verifier)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificate.chain, certificate.key)
        .map_err(Error::Tls)?;
    // A resumed session does not verify the client's certificate again.
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Opens the gateway's port.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| Error::Listen { address, source })
}

/// Everything that one accepted connection needs.
#[derive(Clone)]
pub struct Listener {
    tls: Arc<ArcSwap<ServerConfig>>,
    service: Arc<Service>,
    workshop: Workshop,
    supervisor: Supervisor,
    pending: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("free_connections", &self.connections.available_permits())
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// A listener that hands verified connections to `service`. `tls` may be exchanged at any time.
    pub fn new(
        tls: Arc<ArcSwap<ServerConfig>>,
        service: Arc<Service>,
        supervisor: Supervisor,
        limits: Limits,
    ) -> Result<Self, Error> {
        Ok(Self {
            tls,
            workshop: Workshop::open().map_err(Error::Thread)?,
            service,
            supervisor,
            pending: Arc::new(Semaphore::new(PENDING)),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            anonymous: Arc::new(Semaphore::new(ANONYMOUS)),
            connections: Arc::new(Semaphore::new(limits.connections)),
        })
    }

    /// Accepts until the process stops.
    pub async fn run(self, listener: TcpListener) {
        let stopping = self.supervisor.shutdown().stopping().clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                () = stopping.cancelled() => return,
            };
            match accepted {
                Some(Ok((tcp, pending, place))) => {
                    let this = self.clone();
                    self.supervisor.spawn("gateway.connection", OnCancel::Finish, this.serve(tcp, pending, place));
                }
                Some(Err(error)) => {
                    tracing::warn!(error = %error, "gateway.accept_failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => return,
            }
        }
    }

    /// The next connection, once there is room for one. `None` cannot happen while the semaphores live.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> Option<io::Result<(TcpStream, OwnedSemaphorePermit, OwnedSemaphorePermit)>> {
        let pending = Arc::clone(&self.pending).acquire_owned().await.ok()?;
        let place = Arc::clone(&self.connections).acquire_owned().await.ok()?;
        Some(listener.accept().await.map(|(tcp, _)| (tcp, pending, place)))
    }

    async fn serve(self, tcp: TcpStream, pending: OwnedSemaphorePermit, place: OwnedSemaphorePermit) {
        let stream = match Box::pin(self.handshake(tcp)).await {
            Ok(stream) => stream,
            Err(error) => {
                metrics::counter!("postern_gateway_handshakes_failed_total").increment(1);
                tracing::debug!(error = %error, "gateway.handshake_failed");
                return;
            }
        };
        drop(pending);
        let peer = match peer_of(&stream) {
            Ok(peer) => peer.map(Arc::new),
            Err(error) => {
                tracing::warn!(error = %error, "gateway.certificate_refused");
                return;
            }
        };
        let anonymous = if peer.is_none() {
            let Ok(permit) = Arc::clone(&self.anonymous).try_acquire_owned() else {
                tracing::warn!(limit = ANONYMOUS, "gateway.too_many_anonymous_connections");
                return;
            };
            Some(permit)
        } else {
            None
        };
        let shutdown = self.supervisor.shutdown().clone();
        let (service, workshop) = (Arc::clone(&self.service), self.workshop.clone());
        drop(self);
        connection::serve(stream, peer, service, workshop, &shutdown).await;
        drop((anonymous, place));
    }

    /// The client's first flight is awaited without holding a place among the handshakes, so that those who connect
    /// and say nothing keep nobody out.
    async fn handshake(&self, tcp: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        prepare(&tcp)?;
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp);
        let start = within(HANDSHAKE_TIMEOUT, hello).await?;
        let permit = within(HANDSHAKE_TIMEOUT * 3, async {
            self.handshakes.acquire().await.map_err(|_| io::Error::other("the gateway is closing"))
        });
        let _permit = permit.await?;
        let stream = within(HANDSHAKE_TIMEOUT, start.into_stream(self.tls.load_full())).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak HTTP/2"));
        }
        Ok(Box::new(stream))
    }
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    // Finds a peer that vanished without a word; heartbeats find one that hangs.
    SockRef::from(tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_mins(1)))
}

async fn within<T>(limit: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, future).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn peer_of(stream: &TlsStream<TcpStream>) -> Result<Option<PeerAgent>, crate::pki::PeerError> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    certificates.first().map(PeerAgent::from_certificate).transpose()
}
