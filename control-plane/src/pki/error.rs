//! Errors of the certificate authority.

use std::path::PathBuf;

use postern_runtime::{secret, tls};

use crate::home::modes;

/// What failed in the certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be created.
    #[error("cannot create the folder {path} for the certificate authority")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others could replace what is in the folder.
    #[error("the certificate authority is not safe")]
    Modes(#[source] modes::Error),
    /// The key or certificate file cannot be read or written.
    #[error("cannot keep the certificate authority's files")]
    File(#[source] secret::Error),
    /// The certificate exists without its key. Agents trust this certificate, so no new one is created.
    #[error(
        "{certificate} exists but its key {key} does not; restore the key from a backup, or move the certificate \
         away and start once with --new-authority (every agent must then enroll again)"
    )]
    KeyMissing {
        /// The certificate's file.
        certificate: PathBuf,
        /// Where its key belongs.
        key: PathBuf,
    },
    /// The certificate file is not well-formed.
    #[error("cannot read the certificate authority's certificate")]
    Certificate(#[source] tls::Error),
    /// Key and certificate do not belong together.
    #[error("{key} is not the key of {certificate}; restore both from the same backup")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A key or certificate cannot be created.
    #[error("cannot {step}")]
    Make {
        /// What was attempted.
        step: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The agent's request is not a well-formed PKCS#10 request over an elliptic-curve key.
    #[error("the certificate signing request {problem}")]
    Request {
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A step in creating a certificate has failed.
pub(super) fn making(step: &'static str) -> impl Fn(rcgen::Error) -> Error {
    move |source| Error::Make { step, source }
}
