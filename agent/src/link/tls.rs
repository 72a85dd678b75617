//! Which servers the agent trusts. Before enrollment: only the certificate authority that the token pins. Afterwards:
//! exactly those that the control plane named when it issued the certificate. Never the machine's own roots.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_runtime::clock::SharedClock;
use postern_runtime::tls::roots_of;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use crate::certificate::Facts;

/// What cannot be made into a TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate authorities are unusable.
    #[error("the certificate authorities of this agent's identity are unusable")]
    Roots(#[source] postern_runtime::tls::Error),
    /// Key and certificate do not fit.
    #[error("the key and the certificate of this agent's identity do not belong together")]
    Client(#[source] rustls::Error),
    /// The provider lacks TLS 1.3.
    #[error("TLS 1.3 is not available")]
    Version(#[source] rustls::Error),
    /// The verifier cannot be built.
    #[error("cannot build a verifier for the control plane's certificate")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
}

/// The chain that the control plane presented, for display.
pub type SeenChain = Arc<Mutex<Vec<CertificateDer<'static>>>>;

/// No authority in the presented chain has the hash that the token pins.
#[derive(Debug, thiserror::Error)]
#[error(
    "the certificate authority that the enrollment token pins is not in the chain presented by the server (which was \
     issued by {issuer}); either the token is for another control plane, or something intercepts TLS"
)]
pub struct PinMismatch {
    issuer: String,
}

/// What an identity brings to TLS.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// The trusted authorities.
    pub authorities: &'a [CertificateDer<'static>],
    /// The certificates that are shown.
    pub presented: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

/// TLS 1.3 with the agent's own certificate. Dates are judged by `clock`.
pub fn enrolled(
    credentials: &Credentials<'_>,
    clock: &SharedClock,
    seen: Option<SeenChain>,
) -> Result<ClientConfig, Error> {
    let roots = roots_of(credentials.authorities, "the CA bundle").map_err(Error::Roots)?;
    let verifier = ControlPlaneVerifier { rule: Rule::Known(known(roots)?), provider: provider(), seen };
    builder(clock)?
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(credentials.presented.clone(), credentials.key.clone_key())
        .map(finish)
        .map_err(Error::Client)
}

/// TLS 1.3 without a certificate of our own, to a server whose authority has the SHA-256 `pin`.
pub fn pinned(pin: [u8; 32], clock: &SharedClock, seen: Option<SeenChain>) -> Result<ClientConfig, Error> {
    let verifier = ControlPlaneVerifier { rule: Rule::Pinned(pin), provider: provider(), seen };
    Ok(finish(builder(clock)?.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()))
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn known(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(Error::Verifier)
}

fn builder(clock: &SharedClock) -> Result<rustls::client::danger::DangerousClientConfigBuilder, Error> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(Time(Arc::clone(clock))))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Version)?;
    Ok(builder.dangerous())
}

/// What time it is to TLS.
#[derive(Debug)]
struct Time(SharedClock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        // None before 1970, when no certificate was valid.
        let seconds = self.0.now().as_second().try_into().ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn finish(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the proof of who we are; and an agent connects once in days.
    config.resumption = Resumption::disabled();
    config
}

/// Verifies the control plane's certificate by `rule`, and keeps the chain that was presented.
struct ControlPlaneVerifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    seen: Option<SeenChain>,
}

enum Rule {
    Known(Arc<WebPkiServerVerifier>),
    Pinned([u8; 32]),
}

impl ControlPlaneVerifier {
    fn record(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) {
        if let Some(seen) = &self.seen {
            let chain = std::iter::once(leaf).chain(rest).map(|certificate| certificate.clone().into_owned());
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        }
    }
}

impl Rule {
    /// The verifier to ask: for a pin, one that trusts only the presented authority which has that hash.
    fn verifier(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
    ) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let pin = match self {
            Self::Known(verifier) => return Ok(Arc::clone(verifier)),
            Self::Pinned(pin) => pin,
        };
        // Not the leaf: a pin names an authority.
        let Some(authority) = rest.iter().find(|certificate| fingerprint(certificate) == *pin) else {
            let issuer = Facts::read(leaf).map_or_else(|_| "an unreadable certificate".to_owned(), |it| it.issuer);
            return Err(other(PinMismatch { issuer }));
        };
        let roots = roots_of(&[authority.clone().into_owned()], "the presented chain").map_err(other)?;
        known(roots).map_err(other)
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// The context of some holds seconds since 1970 or bytes, which nobody reads.
fn plain(error: rustls::Error) -> rustls::Error {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. }) => CertificateError::Expired.into(),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }) => {
            CertificateError::NotValidYet.into()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => CertificateError::Other(OtherError(Arc::new(NotOurs(
            "it is signed with an algorithm that is not accepted",
        ))))
        .into(),
        rustls::Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. }) => {
            CertificateError::Other(OtherError(Arc::new(NotOurs("it is not for servers")))).into()
        }
        other => other,
    }
}

/// The certificate is invalid in a way that no control plane causes; the library gives the reason.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be used: {0}")]
struct NotOurs(&'static str);

/// What is most likely where the certificate is not one of the control plane's.
const INTERCEPTED: &str =
    "this certificate is not the control plane's: a proxy may be inspecting TLS (exempt this address there)";

impl ServerCertVerifier for ControlPlaneVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.record(leaf, rest);
        self.rule.verifier(leaf, rest)?.verify_server_cert(leaf, rest, name, ocsp, now).map_err(plain)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not accepted".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

impl fmt::Debug for ControlPlaneVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.rule {
            Rule::Known(_) => "ControlPlaneVerifier(known)",
            Rule::Pinned(_) => "ControlPlaneVerifier(pinned)",
        })
    }
}

/// What a failed handshake means to an administrator; nothing where the error speaks for itself.
pub fn cure(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let known = match find_tls(error)? {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            let ours = inner.downcast_ref::<NotOurs>().map(|_| INTERCEPTED.to_owned());
            return ours.or_else(|| inner.downcast_ref::<PinMismatch>().map(ToString::to_string));
        }
        rustls::Error::InvalidCertificate(certificate) => cure_certificate(certificate),
        rustls::Error::AlertReceived(alert) => cure_alert(*alert),
        rustls::Error::InvalidMessage(_) => Some(
            "the server does not speak TLS: check the address and port, and whether something is in between, such as \
             a network's login page",
        ),
        _ => None,
    };
    known.map(str::to_owned)
}

/// The control plane's certificate was not believed.
fn cure_certificate(error: &CertificateError) -> Option<&'static str> {
    match error {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("the control plane's certificate is not valid yet by this machine's clock: set the clock (NTP)")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some(
            "the control plane's certificate has expired by this machine's clock: check the clock (NTP), then the \
             control plane",
        ),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "the server's certificate was not issued by this agent's control plane: a proxy may be inspecting TLS \
             (exempt this address there), or the control plane was reinstalled (enroll again)",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some(
            "the control plane's certificate is for another name: start it with --gateway-public-address set to the \
             name that agents dial",
        ),
        _ => None,
    }
}

/// The agent's certificate was not believed.
fn cure_alert(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateExpired => {
            Some("this agent's certificate has expired: enroll again with a new token and --force")
        }
        AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied
        | AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown => Some(
            "the control plane refuses this agent's certificate (revoked, expired, or issued by another control \
             plane): enroll again with a new token and --force",
        ),
        _ => None,
    }
}

fn find_tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An io::Error hides what it wraps from source() and shows it by get_ref().
        let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| current.source());
    }
    None
}
