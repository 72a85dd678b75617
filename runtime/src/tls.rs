//! The one crypto provider of the process, and the roots that the machine trusts.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why certificates could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine's own trust store gave nothing usable.
    #[error(
        "no trusted root certificate found on this machine; install the package ca-certificates or name a CA file in \
         the configuration"
    )]
    NoNativeRoots(#[source] Option<rustls_native_certs::Error>),
    /// A PEM file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A PEM file or text does not hold what it should.
    #[error("{subject} is not well-formed PEM")]
    Pem {
        /// The file, or what the text was for.
        subject: String,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A PEM file or text holds no certificate at all.
    #[error("{subject} contains no certificate")]
    NoCertificate {
        /// The file, or what the text was for.
        subject: String,
    },
    /// A certificate cannot serve as a trusted root.
    #[error("a certificate in {subject} cannot be used as a trusted root")]
    Root {
        /// The file, or what the text was for.
        subject: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Makes ring the provider of the whole process. Call it first thing in `main`; calling it again does nothing.
pub fn install_crypto_provider() {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The root certificates that this machine trusts. Single unreadable ones are skipped, none at all is an error.
pub fn native_roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(usable, ignored, errors = found.errors.len(), "tls.native_roots");
    if usable == 0 {
        return Err(Error::NoNativeRoots(found.errors.into_iter().next()));
    }
    Ok(roots)
}

/// All certificates of a PEM file, in their order; at least one.
pub fn certificates_from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    certificates_from_pem(&pem, &path.display().to_string())
}

/// All certificates of a PEM text, in their order; at least one. `subject` says what the text is, for errors.
pub fn certificates_from_pem(pem: &[u8], subject: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Pem { subject: subject.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate { subject: subject.to_owned() });
    }
    Ok(certificates)
}

/// The private key in a PEM text. `subject` says what the text is, for errors.
pub fn private_key_from_pem(pem: &[u8], subject: &str) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|source| Error::Pem { subject: subject.to_owned(), source })
}

/// A store that trusts exactly the given certificates. `subject` says where they came from, for errors.
pub fn roots_of(certificates: &[CertificateDer<'static>], subject: &str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|source| Error::Root { subject: subject.to_owned(), source })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_the_provider_twice_is_harmless() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }

    #[test]
    fn a_text_without_certificates_is_an_error_that_names_it() {
        let error = certificates_from_pem(b"nothing here", "the CA bundle").unwrap_err();
        assert_eq!(error.to_string(), "the CA bundle contains no certificate");
    }
}
