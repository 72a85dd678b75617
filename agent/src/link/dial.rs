//! From nothing to an encrypted stream: resolve, connect (through a proxy where there is one), TLS.

use std::fmt;
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

use super::proxy::{self, Proxy, ProxyRule};
use super::{Address, tls, tunnel};
use crate::identity::IdentitySource;

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);

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

/// Why the control plane could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's name is no name.
    #[error("{target} is not a valid address")]
    Address {
        /// The address.
        target: Address,
    },
    /// The proxy setting is wrong.
    #[error("the proxy setting is wrong")]
    ProxySetting(#[source] proxy::Error),
    /// The control plane does not answer.
    #[error("cannot connect to {target}")]
    Connect {
        /// The control plane.
        target: Address,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The proxy does not answer.
    #[error("cannot connect to the proxy {proxy}")]
    ProxyUnreachable {
        /// The proxy.
        proxy: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The proxy wants a login, or another one.
    #[error("the proxy {proxy} {}", if *.sent { "refuses the user name and password (407)" } else { "asks for a user name and password (407)" })]
    ProxyCredentials {
        /// The proxy.
        proxy: String,
        /// Whether a login was shown to it.
        sent: bool,
    },
    /// The proxy refuses the tunnel.
    #[error("the proxy {proxy} answered CONNECT to {target} with {status} {reason}")]
    ProxyRefused {
        /// The proxy.
        proxy: String,
        /// The control plane.
        target: Address,
        /// The HTTP status.
        status: u16,
        /// The proxy's own word for it.
        reason: String,
    },
    /// What answers is no HTTP proxy.
    #[error("what answers at {proxy} is no HTTP proxy")]
    NoProxy {
        /// The proxy.
        proxy: String,
    },
    /// A step took too long.
    #[error("{step} {target} took longer than {} s", STEP_TIMEOUT.as_secs())]
    Timeout {
        /// What was being done.
        step: &'static str,
        /// The control plane.
        target: Address,
    },
    /// The identity cannot be used for TLS.
    #[error("the identity of this agent cannot be used")]
    Identity(#[source] tls::Error),
    /// The handshake failed.
    #[error("the TLS handshake with {target} failed{}", hint(.cure.as_deref()))]
    Tls {
        /// The control plane.
        target: Address,
        /// What to do, where that is known.
        cure: Option<String>,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Any other way of reaching a control plane failed.
    #[error("cannot reach the control plane")]
    Other(#[source] BoxError),
}

impl Error {
    /// What an administrator can do about it.
    pub fn cure(&self) -> Option<String> {
        match self {
            Self::ProxySetting(_) => Some("correct control_plane.proxy, or HTTPS_PROXY".to_owned()),
            Self::ProxyUnreachable { proxy, .. } => Some(format!(
                "start the proxy {proxy}, or correct control_plane.proxy (or HTTPS_PROXY): nothing answers there"
            )),
            Self::ProxyCredentials { sent: true, .. } => {
                Some("correct the user name and password in control_plane.proxy".to_owned())
            }
            Self::ProxyCredentials { sent: false, .. } => {
                Some("set control_plane.proxy to http://user:password@host:port".to_owned())
            }
            Self::NoProxy { .. } => Some("correct host and port in control_plane.proxy".to_owned()),
            Self::ProxyRefused { target, status, .. } => Some(match status {
                502..=504 => format!(
                    "the proxy cannot reach {target}: check that the control plane runs, and ask the proxy's administrator \
                     to let the proxy out to it"
                ),
                200..=399 | 511 => {
                    "a login page stands in the way: log this machine in to the network, or ask for a way without it"
                        .to_owned()
                }
                _ => format!("ask the proxy's administrator to allow CONNECT to {target}"),
            }),
            Self::Connect { source, target } if is_refused(&**source) => Some(format!(
                "the machine answers, and nothing listens there: start the control plane, or correct its \
                 gateway_public_address and enroll anew if it is not {target}"
            )),
            Self::Connect { target, .. } | Self::Timeout { target, .. } => {
                Some(format!("allow outgoing TCP to {target} in the firewall, or set control_plane.proxy"))
            }
            Self::Tls { cure, .. } => cure.clone(),
            Self::Address { .. } | Self::Identity(_) | Self::Other(_) => None,
        }
    }
}

/// Whether the other machine itself said that nothing listens there.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
    })
}

fn hint(cure: Option<&str>) -> String {
    cure.map(|cure| format!(" ({cure})")).unwrap_or_default()
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

/// Whether a host is this machine, as far as its name tells.
pub(crate) fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Dials the control plane of an identity, with that identity's certificate.
pub struct TlsDial {
    identity: IdentitySource,
    proxy: ProxyRule,
    clock: SharedClock,
}

impl TlsDial {
    /// Dials with whatever certificate `identity` holds at the time.
    pub fn new(identity: IdentitySource, proxy: ProxyRule, clock: SharedClock) -> Self {
        Self { identity, proxy, clock }
    }
}

impl Dial for TlsDial {
    fn dial(&self) -> BoxFuture<'_, Result<Dialed, Error>> {
        Box::pin(async move {
            let identity = self.identity.current();
            let target = identity.address();
            let proxy = self.proxy.resolve(target).map_err(Error::ProxySetting)?;
            let tcp = tcp(target, proxy.as_ref(), &self.clock).await?;
            let config = tls::enrolled(&identity, &self.clock, None).map_err(Error::Identity)?;
            let io = encrypt(tcp, target, Arc::new(config), &self.clock).await?;
            Ok(Dialed {
                io: Box::new(io),
                authority: target.to_string(),
                local: proxy.is_none() && is_local(&target.host),
            })
        })
    }
}

impl fmt::Debug for TlsDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsDial").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
