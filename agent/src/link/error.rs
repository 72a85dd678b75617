//! Why the control plane could not be reached, and what to do.

use std::time::Duration;

use postern_runtime::supervise::BoxError;

use super::{Address, proxy, tls};

/// How long each step may take.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(15);

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
    #[error("the proxy {proxy} {} ({status})", if *.sent { "refuses the user name and password" } else { "asks for a user name and password" })]
    ProxyCredentials {
        /// The proxy.
        proxy: String,
        /// Whether a login was shown to it.
        sent: bool,
        /// Its answer, 407 or 401.
        status: u16,
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
    #[error("{proxy} is not an HTTP proxy")]
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
            Self::ProxyCredentials { sent: true, .. } => Some(
                "correct the user name in control_plane.proxy, and the password there or in \
                     control_plane.proxy_password_file"
                    .to_owned(),
            ),
            Self::ProxyCredentials { sent: false, .. } => Some(
                "set control_plane.proxy to http://user@host:port, and control_plane.proxy_password_file to a file \
                     with the password"
                    .to_owned(),
            ),
            Self::NoProxy { .. } => Some("correct host and port in control_plane.proxy".to_owned()),
            Self::ProxyRefused { target, status, .. } => Some(match status {
                502..=504 => format!(
                    "the proxy cannot reach {target}: check that the control plane runs, and ask the proxy's \
                     administrator to allow connections to it"
                ),
                200..=399 | 511 => {
                    "a login page blocks the connection: log this machine in to the network, or ask for a route \
                     without a login page"
                        .to_owned()
                }
                _ => format!("ask the proxy's administrator to allow CONNECT to {target}"),
            }),
            Self::Connect { source, target } if is_refused(&**source) => Some(format!(
                "the machine answers, but nothing listens there: start the control plane; if its address is not \
                 {target}, correct its gateway_public_address and enroll again"
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
