//! Serves the API: HTTP/1.1 and HTTP/2, with TLS or, on loopback, without.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use postern_runtime::supervise::{OnCancel, Supervisor};
use postern_runtime::tls;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::config::ApiTls;

/// Connections at a time.
const CONNECTIONS: usize = 2_000;
/// Time for a TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the machine refuses to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen for the API on {address}; choose another --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificate or key cannot be read.
    #[error("cannot read the API's certificate or key")]
    Files(#[source] tls::Error),
    /// The key's file cannot be read.
    #[error("cannot read the API's key")]
    Key(#[source] postern_runtime::secret::Error),
    /// Certificate and key do not make a TLS configuration.
    #[error("the API's certificate and key cannot be used together")]
    Tls(#[source] rustls::Error),
}

/// Opens the API's port.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Reads certificate and key.
pub(crate) fn tls_config(files: &ApiTls) -> Result<Arc<ServerConfig>, Error> {
    use secrecy::ExposeSecret as _;
    let chain = tls::certificates_from_file(&files.certificate).map_err(Error::Files)?;
    let pem = postern_runtime::secret::read_private(&files.key).map_err(Error::Key)?;
    let subject = files.key.display().to_string();
    let key = tls::private_key_from_pem(pem.expose_secret().as_bytes(), &subject).map_err(Error::Files)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(Error::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves until the process stops; requests under way are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    supervisor: Supervisor,
) {
    let stopping = supervisor.shutdown().stopping().clone();
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "api.accept_failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, acceptor, watcher) = (router.clone(), acceptor.clone(), graceful.watcher());
        supervisor.spawn("api.connection", OnCancel::Finish, async move {
            if let Err(error) = connection(tcp, peer, acceptor, router, watcher).await {
                tracing::debug!(error = %error, "api.connection_broken");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    tcp: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Failed> {
    tcp.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => {
            let stream = tokio::time::timeout(PATIENCE, acceptor.accept(tcp)).await??;
            answer(stream, peer, router, watcher).await
        }
        None => answer(tcp, peer, router, watcher).await,
    }
}

async fn answer<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let first = Arc::clone(&asked);
    let service = router.map_request(move |mut request: Request<Incoming>| {
        first.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(axum::body::Body::new)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_mins(1));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(watcher.watch(connection.into_owned()));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    if !asked.load(Ordering::Relaxed) {
        // hyper has no limit for a client that does not even begin, and whose protocol it cannot tell yet.
        return Err("no request came".into());
    }
    connection.await
}
