//! TLS to directory servers: our own `rustls` configuration every time (ring, named roots, host names always verified),
//! and a failure shown with the issuer and the names in the certificate, so that an administrator knows what to install.

mod verifier;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::config::{DirectoryConfig, SecretError, read_file};
pub use verifier::CertificateSummary;
use verifier::DirectoryVerifier;

/// The configured certificates or keys cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file is missing or unreadable.
    #[error("cannot read a file of the TLS settings")]
    File(#[source] SecretError),
    /// A file holds no PEM of the kind wanted.
    #[error("{key}: {} holds no usable PEM {what}", path.display())]
    Pem {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The operating system has no authorities.
    #[error("the operating system has no certificate authorities; set ca_file")]
    NoSystemRoots,
    /// `rustls` does not accept the settings.
    #[error("the certificates cannot be used")]
    Rejected(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What was found wrong with the server's side of TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlsFailure {
    /// No trusted authority issued it.
    UnknownIssuer {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// It is for other names than the one in the URL.
    WrongName {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// Its time is over.
    Expired {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// Its time has not come.
    NotYetValid {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// It was signed with another key than that of the trusted authority of this name.
    OtherKey {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// It, or an authority above it, was signed by an algorithm that is not safe any more.
    WeakSignature {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// It is not for servers.
    WrongPurpose {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
    },
    /// It is wrong in another way.
    OtherCertificate {
        /// What the server showed.
        chain: Vec<CertificateSummary>,
        /// What the TLS library says of it.
        reason: String,
    },
    /// The server refused our client certificate, or misses one.
    ClientCertificateRefused,
    /// The server sent something that is no TLS.
    NotTls,
    /// Anything else: see the source.
    Other,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaf = |chain: &[CertificateSummary]| chain.first().cloned().unwrap_or_default();
        match self {
            Self::UnknownIssuer { chain } if is_self_signed(chain) => {
                write!(formatter, "the certificate of \"{}\" is self-signed and not in ca_file", leaf(chain).subject)
            }
            Self::UnknownIssuer { chain } => {
                let top = chain.last().cloned().unwrap_or_default();
                write!(formatter, "untrusted issuer \"{}\" (certificate of \"{}\")", top.issuer, leaf(chain).subject)
            }
            Self::WrongName { chain } => {
                let names = leaf(chain).names;
                let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                write!(formatter, "the certificate is for {names}")
            }
            Self::Expired { chain } => write!(formatter, "the certificate expired on {}", leaf(chain).not_after),
            Self::NotYetValid { chain } => {
                write!(formatter, "the certificate is valid only from {}", leaf(chain).not_before)
            }
            Self::OtherKey { chain } => write!(
                formatter,
                "the certificate was issued by \"{}\", with another key than the authority of that name in ca_file has",
                chain.last().cloned().unwrap_or_default().issuer
            ),
            Self::WeakSignature { chain } => write!(
                formatter,
                "the certificate of \"{}\" (issued by \"{}\") or one above it is signed with SHA-1, MD5 or another algorithm \
                 that is no longer accepted",
                leaf(chain).subject,
                leaf(chain).issuer
            ),
            Self::WrongPurpose { chain } => write!(
                formatter,
                "the certificate of \"{}\" is not for servers: its extended key usage lacks serverAuth",
                leaf(chain).subject
            ),
            Self::OtherCertificate { reason, .. } => write!(formatter, "the certificate cannot be used: {reason}"),
            Self::ClientCertificateRefused => formatter.write_str("the server refused our client certificate"),
            Self::NotTls => formatter.write_str("the server does not speak TLS on this port"),
            Self::Other => formatter.write_str("the handshake failed"),
        }
    }
}

/// The TLS settings of one connection, and what the server showed.
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    verifier: Arc<DirectoryVerifier>,
}

impl Tls {
    /// Reads the files as they stand now, so that rotated certificates are seen.
    pub(crate) fn new(config: &DirectoryConfig) -> Result<Self, TlsConfigError> {
        let authorities = match &config.ca_file {
            Some(path) => certificates("ca_file", path)?,
            None => system_roots()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = config.ca_file.is_some();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(authorities.iter().cloned());
        if added == 0 {
            return Err(if own { unusable_ca(config) } else { TlsConfigError::NoSystemRoots });
        }
        let pinned = if own { authorities } else { Vec::new() };
        let verifier = Arc::new(DirectoryVerifier::new(roots, pinned, Arc::clone(&provider)).map_err(rejected)?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(rejected)?
            .dangerous()
            .with_custom_certificate_verifier(
                Arc::clone(&verifier) as Arc<dyn rustls::client::danger::ServerCertVerifier>
            );
        let client = match (&config.client_cert_file, &config.client_key_file) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("client_cert_file", certificate)?;
                builder.with_client_auth_cert(chain, private_key(key)?).map_err(rejected)?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(client), verifier })
    }

    /// The certificates that the server showed, leaf first; empty before it did.
    pub(crate) fn presented(&self) -> Vec<CertificateSummary> {
        self.verifier.presented()
    }

    /// What a failed handshake means.
    pub(crate) fn failure(&self, error: &io::Error) -> TlsFailure {
        let chain = self.presented();
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(reason)) => certificate_failure(reason, chain),
            Some(rustls::Error::AlertReceived(alert)) => alert_failure(*alert),
            Some(rustls::Error::InvalidMessage(_)) => TlsFailure::NotTls,
            _ => TlsFailure::Other,
        }
    }
}

/// Whether the other side refused our certificate: under TLS 1.3 it says so only after the handshake.
pub(crate) fn is_certificate_refusal(error: &io::Error) -> bool {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => alert_failure(*alert) == TlsFailure::ClientCertificateRefused,
        _ => false,
    }
}

fn certificate_failure(reason: &CertificateError, chain: Vec<CertificateSummary>) -> TlsFailure {
    match reason {
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer { chain },
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::WrongName { chain }
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired { chain },
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::NotYetValid { chain }
        }
        // webpki looks at what kind of certificate it is first.
        CertificateError::Other(_) if is_self_signed(&chain) => TlsFailure::UnknownIssuer { chain },
        CertificateError::BadSignature => TlsFailure::OtherKey { chain },
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFailure::WeakSignature { chain }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            TlsFailure::WrongPurpose { chain }
        }
        other => TlsFailure::OtherCertificate { chain, reason: plain_reason(other) },
    }
}

/// Whether the server shows one certificate, which nobody but itself has signed.
pub(crate) fn is_self_signed(chain: &[CertificateSummary]) -> bool {
    matches!(chain, [only] if only.subject == only.issuer)
}

/// A reason without the bytes that some carry.
fn plain_reason(reason: &CertificateError) -> String {
    match reason {
        CertificateError::BadEncoding => "it is not well-formed".to_owned(),
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::UnhandledCriticalExtension => "it has an unknown critical extension".to_owned(),
        // webpki says here what has no name among the others, such as X.509 version 1.
        CertificateError::Other(other) => other.to_string(),
        other => format!("{other:?}").chars().take_while(char::is_ascii_alphanumeric).collect(),
    }
}

fn alert_failure(alert: rustls::AlertDescription) -> TlsFailure {
    use rustls::AlertDescription as Alert;
    match alert {
        Alert::BadCertificate
        | Alert::CertificateRequired
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::UnsupportedCertificate
        | Alert::UnknownCA
        | Alert::AccessDenied => TlsFailure::ClientCertificateRefused,
        _ => TlsFailure::Other,
    }
}

fn rejected(error: impl std::error::Error + Send + Sync + 'static) -> TlsConfigError {
    TlsConfigError::Rejected(Box::new(error))
}

fn unusable_ca(config: &DirectoryConfig) -> TlsConfigError {
    TlsConfigError::Pem { key: "ca_file", path: config.ca_file.clone().unwrap_or_default(), what: "certificate" }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let bytes = read_file(key, path).map_err(TlsConfigError::File)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsConfigError::Pem { key, path: path.to_owned(), what: "certificate" }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    let bytes = zeroize::Zeroizing::new(read_file("client_key_file", path).map_err(TlsConfigError::File)?);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| TlsConfigError::Pem {
        key: "client_key_file",
        path: path.to_owned(),
        what: "private key",
    })
}

/// The operating system's authorities: those that can be read, even where some cannot.
fn system_roots() -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let loaded = rustls_native_certs::load_native_certs();
    if loaded.certs.is_empty() { Err(TlsConfigError::NoSystemRoots) } else { Ok(loaded.certs) }
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn a_refused_client_certificate_is_distinguished_from_other_failures() {
        let told = |error: rustls::Error| is_certificate_refusal(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(told(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)));
        assert!(told(rustls::Error::AlertReceived(AlertDescription::UnknownCA)));
        assert!(!told(rustls::Error::AlertReceived(AlertDescription::InternalError)));
        assert!(!is_certificate_refusal(&io::ErrorKind::ConnectionReset.into()));
    }
}
