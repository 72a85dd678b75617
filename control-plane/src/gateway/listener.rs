//! The port for agents: accepts TCP, speaks only TLS 1.3 and HTTP/2, and keeps peers that are silent, wrong or greedy
//! from costing the others anything.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use postern_runtime::supervise::{OnCancel, Supervisor};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{self, Caller};
use super::connection_thread::ConnectionThread;
use super::service::Service;
use crate::crowd::{self, Crowd, Stranger};
use crate::pki::{GatewayCertificate, PeerAgent, Pki};

/// Connections that may wait in the kernel: a restart brings all agents back within seconds.
const BACKLOG: i32 = 4096;
/// Connections that have sent nothing yet.
const SILENT: crowd::Limits = crowd::Limits { all: 2048, per_address: 2048 };
/// Connections within their handshake. All sites behind one balancer may come back at once.
const SHAKING: crowd::Limits = crowd::Limits { all: 4096, per_address: 4096 };
/// Connections without a client certificate: they may only enroll, which takes one call.
const ANONYMOUS: crowd::Limits = crowd::Limits { all: 512, per_address: 256 };
/// Time for the first message of the client, and again for the rest of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the system refuses to accept, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long, and over how many reads, a refused peer may read the reason.
const LINGERING: Duration = Duration::from_secs(1);
const LINGERING_READS: usize = 64;

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway cannot listen on the address.
    #[error("cannot listen for agents on {address}; choose another --gateway-listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificates make no valid TLS configuration.
    #[error("cannot set up TLS for the gateway")]
    Tls(#[source] rustls::Error),
    /// The client verifier cannot be built.
    #[error("cannot set up the verification of agents' certificates")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// The system cannot start a thread.
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

/// What an accepted connection needs.
#[derive(Clone)]
pub struct Listener {
    tls: Arc<ArcSwap<ServerConfig>>,
    service: Arc<Service>,
    thread: ConnectionThread,
    supervisor: Supervisor,
    silent: Crowd,
    shaking: Crowd,
    anonymous: Crowd,
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
    /// A listener that hands verified connections to `service`. `tls` may be replaced at any time.
    pub fn new(
        tls: Arc<ArcSwap<ServerConfig>>,
        service: Arc<Service>,
        supervisor: Supervisor,
        limits: Limits,
    ) -> Result<Self, Error> {
        Ok(Self {
            tls,
            thread: ConnectionThread::open().map_err(Error::Thread)?,
            service,
            supervisor,
            silent: Crowd::new(SILENT),
            shaking: Crowd::new(SHAKING),
            anonymous: Crowd::new(ANONYMOUS),
            connections: Arc::new(Semaphore::new(limits.connections)),
        })
    }

    /// Accepts connections until the process stops. A new one always gets a place to prove who it is, see `crowd.rs`.
    pub async fn run(self, listener: TcpListener) {
        let (stopping, pulse) = (self.supervisor.shutdown().stopping().clone(), self.supervisor.pulse());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopping.cancelled() => return,
                () = pulse.beat() => continue,
            };
            match accepted {
                Ok((tcp, address)) => {
                    // Entered here to keep the order of arrival.
                    let silent = self.silent.enter(address.ip());
                    let this = self.clone();
                    self.supervisor.spawn(
                        "gateway.connection",
                        OnCancel::Finish,
                        this.serve(tcp, address.ip(), silent),
                    );
                }
                Err(error) => {
                    tracing::warn!(error = %error, "gateway.accept_failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, tcp: TcpStream, address: IpAddr, silent: Stranger) {
        let stream = match Box::pin(self.handshake(tcp, address, silent)).await {
            Ok(stream) => stream,
            Err(error) => {
                metrics::counter!("postern_gateway_handshakes_failed_total").increment(1);
                tracing::debug!(error = %error, "gateway.handshake_failed");
                return;
            }
        };
        let peer = match peer_of(&stream) {
            Ok(peer) => peer.map(Arc::new),
            Err(error) => {
                tracing::warn!(error = %error, %address, "gateway.certificate_refused");
                return;
            }
        };
        let place = match &peer {
            Some(_) => {
                let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
                    metrics::counter!("postern_gateway_connections_refused_total").increment(1);
                    tracing::warn!("gateway.too_many_connections: raise max_connections, or add a replica");
                    return;
                };
                Some(place)
            }
            None => None,
        };
        let stranger = peer.is_none().then(|| self.anonymous.enter(address));
        let shutdown = self.supervisor.shutdown().clone();
        let (service, thread) = (Arc::clone(&self.service), self.thread.clone());
        drop(self);
        connection::serve(stream, Caller { peer, address, stranger }, service, thread, &shutdown).await;
        drop(place);
    }

    /// A peer that is silent or stalls keeps its place only until another needs it.
    async fn handshake(
        &self,
        tcp: TcpStream,
        address: IpAddr,
        silent: Stranger,
    ) -> io::Result<Box<TlsStream<TcpStream>>> {
        prepare(&tcp)?;
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp);
        let start = within(HANDSHAKE_TIMEOUT, &silent, hello).await?;
        let shaking = self.shaking.enter(address);
        drop(silent);
        let accepting = start.into_stream(self.tls.load_full()).into_fallible();
        let stream = within(HANDSHAKE_TIMEOUT, &shaking, async {
            match accepting.await {
                Ok(stream) => Ok(stream),
                Err((error, tcp)) => {
                    let_the_alert_arrive(tcp).await;
                    Err(error)
                }
            }
        })
        .await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak HTTP/2"));
        }
        Ok(Box::new(stream))
    }
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    // Finds a peer that has vanished; heartbeats find one that hangs.
    SockRef::from(tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_mins(1)))
}

/// Reads what the peer sent after its certificate was refused. Closing a socket with unread data resets it, which may
/// lose the alert that names the reason.
async fn let_the_alert_arrive(mut tcp: TcpStream) {
    let reading = async {
        tcp.shutdown().await?;
        let mut unread = [0; 1024];
        for _ in 0..LINGERING_READS {
            if tcp.read(&mut unread).await? == 0 {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    // In either case the connection is over.
    let _ = tokio::time::timeout(LINGERING, reading).await;
}

async fn within<T>(limit: Duration, place: &Stranger, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::select! {
        done = future => done,
        () = place.evicted() => Err(io::Error::other("closed to make room for another")),
        () = tokio::time::sleep(limit) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

fn peer_of(stream: &TlsStream<TcpStream>) -> Result<Option<PeerAgent>, crate::pki::PeerError> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    certificates.first().map(PeerAgent::from_certificate).transpose()
}
