//! Serves the API over HTTP/1.1 and HTTP/2: with TLS, or on loopback without.

mod requests;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use postern_runtime::supervise::{OnCancel, Supervisor};
use postern_runtime::tls;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::calls::{Answer, Calls};
use crate::config::ApiTls;
use crate::crowd::{Crowd, Limits, Standing};

/// Connections that have sent a valid token.
const KNOWN: usize = 2_000;
/// Connections that have not sent one yet.
const STRANGERS: Limits = Limits { all: 1_000, per_address: 500 };
/// Time for a TLS handshake, for the head of a request, and until the first request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection without a request for this long is closed.
const IDLE: Duration = Duration::from_mins(1);
/// Time for answers under way once a connection is being closed.
const LINGER: Duration = Duration::from_secs(5);
/// Limits of the head of a request, and of concurrent requests on an HTTP/2 connection.
const HEAD_BYTES: u32 = 32 << 10;
const STREAMS: u32 = 64;
/// Bytes that may wait to be sent on one stream.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Pause after the system refuses to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API cannot listen on the address.
    #[error("cannot listen for the API on {address}; choose another --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate or key cannot be read.
    #[error("cannot read the API's certificate or key")]
    Files(#[source] tls::Error),
    /// The key's file cannot be read.
    #[error("cannot read the API's key")]
    Key(#[source] postern_runtime::secret::Error),
    /// The certificate and key make no valid TLS configuration.
    #[error("the API's certificate and key cannot be used together")]
    Tls(#[source] rustls::Error),
}

/// Opens the API's port.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Reads the certificate and key.
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
    let (stopping, pulse) = (supervisor.shutdown().stopping().clone(), supervisor.pulse());
    let (strangers, known) = (Crowd::new(STRANGERS), Arc::new(Semaphore::new(KNOWN)));
    let router = requests::guarded(router, tls.is_some());
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
            () = pulse.beat() => continue,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "api.accept_failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let standing = Arc::new(Standing::new(strangers.enter(peer.ip()), &known));
        let (router, acceptor, stopping) = (router.clone(), acceptor.clone(), stopping.clone());
        supervisor.spawn("api.connection", OnCancel::Finish, async move {
            let evicted = Arc::clone(&standing);
            let ended = tokio::select! {
                ended = connection(tcp, peer, acceptor, router, standing, stopping) => ended,
                () = evicted.evicted() => Err("closed to make room for another".into()),
            };
            if let Err(error) = ended {
                tracing::debug!(error = %error, "api.connection_broken");
            }
        });
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    tcp: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    standing: Arc<Standing>,
    stopping: CancellationToken,
) -> Result<(), Failed> {
    tcp.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => {
            let stream = tokio::time::timeout(PATIENCE, acceptor.accept(tcp)).await??;
            answer(stream, peer, router, standing, stopping).await
        }
        None => answer(tcp, peer, router, standing, stopping).await,
    }
}

async fn answer<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    standing: Arc<Standing>,
    stopping: CancellationToken,
) -> Result<(), Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let calls = Arc::<Calls>::default();
    let counted = Arc::clone(&calls);
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        let call = counted.open();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&standing));
        let answer = router.clone().oneshot(request.map(axum::body::Body::new));
        async move { answer.await.map(|response| response.map(|body| Answer::new(body, Some(call)))) }
    });
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let stopped = tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stopping.cancelled() => true,
        () = calls.idle(PATIENCE, IDLE) => false,
    };
    connection.as_mut().graceful_shutdown();
    if stopped {
        // Requests under way are answered without a limit here; the process has a shutdown limit of its own.
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = calls.all_ended() => {}
        }
    }
    tokio::time::timeout(LINGER, connection).await?
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_mins(1))
        .max_header_list_size(HEAD_BYTES)
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}
