//! From nothing to an encrypted stream: resolve, connect (through a proxy where there is one), TLS.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use postern_runtime::clock::SharedClock;
use postern_runtime::supervise::BoxError;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::ServiceExt as _;

pub use super::error::Error;
use super::error::STEP_TIMEOUT;
use super::proxy::Proxy;
use super::{Address, tls, tunnel};

/// A byte stream to a control plane, ready for HTTP/2.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What dialing yields.
pub struct Dialed {
    /// The stream.
    pub io: Box<dyn Io>,
    /// Host and port for the `:authority` of requests.
    pub authority: String,
    /// Whether the other end is on this machine, where bytes are cheaper than compressing them.
    pub local: bool,
}

/// Some way to reach a control plane: TLS over TCP in the field, a pipe inside one process.
pub trait Dial: Send + Sync {
    /// Connects once.
    fn dial(&self) -> BoxFuture<'_, Result<Dialed, Error>>;
}

/// A TCP stream to `target`, through the proxy if one is given.
pub async fn tcp(target: &Address, proxy: Option<&Proxy>, clock: &SharedClock) -> Result<TcpStream, Error> {
    let uri: Uri = format!("http://{target}").parse().map_err(|_| Error::Address { target: target.clone() })?;
    let connecting = async {
        match proxy {
            None => direct(target, uri).await,
            Some(proxy) => through(target, proxy).await,
        }
    };
    bounded("connecting to", target, clock, connecting).await
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_mins(1)));
    connector.set_connect_timeout(Some(STEP_TIMEOUT));
    connector
}

async fn direct(target: &Address, uri: Uri) -> Result<TcpStream, Error> {
    let connected = connector().oneshot(uri).await;
    connected.map(TokioIo::into_inner).map_err(|error| Error::Connect { target: target.clone(), source: error.into() })
}

async fn through(target: &Address, proxy: &Proxy) -> Result<TcpStream, Error> {
    let connected = connector().oneshot(proxy.uri.clone()).await;
    let unreachable = |error| Error::ProxyUnreachable { proxy: proxy.to_string(), source: BoxError::from(error) };
    tunnel::open(connected.map(TokioIo::into_inner).map_err(unreachable)?, target, proxy).await
}

/// TLS over `tcp`, to the host of `target`.
pub async fn encrypt(
    tcp: TcpStream,
    target: &Address,
    config: Arc<ClientConfig>,
    clock: &SharedClock,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from(target.host.clone()).map_err(|_| Error::Address { target: target.clone() })?;
    let handshake = async {
        TlsConnector::from(config).connect(name, tcp).await.map_err(|source| Error::Tls {
            target: target.clone(),
            cure: tls::cure(&source),
            source,
        })
    };
    bounded("the TLS handshake with", target, clock, handshake).await
}

async fn bounded<T>(
    step: &'static str,
    target: &Address,
    clock: &SharedClock,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        result = work => result,
        () = clock.sleep(STEP_TIMEOUT) => Err(Error::Timeout { step, target: target.clone() }),
    }
}

/// Whether the name of a host means this machine.
pub(crate) fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
