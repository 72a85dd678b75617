//! Why a command failed, and what to do about it.

use std::path::PathBuf;

use postern_runtime::exit;
use postern_runtime::plain::word;
use postern_runtime::supervise::chain;

use super::super::api::Problem;
use super::super::api::problem::Document;
use crate::{config, home};

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nothing answers at the address.
    #[error("no answer from {url}; is `postern serve` running there? Name another address with --url or POSTERN_URL")]
    Unreachable {
        /// The control plane's address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// This machine does not trust the certificate for that name.
    #[error(
        "the certificate of {url} is not trusted: {reason}. Name the authority that issued it with --ca-file or \
         POSTERN_CA_FILE, and use a name for the control plane that is in the certificate"
    )]
    Untrusted {
        /// The control plane's address.
        url: String,
        /// The reason, from the TLS library.
        reason: rustls::CertificateError,
    },
    /// The TLS handshake failed.
    #[error("no TLS with {url}; if the API is served without TLS, as on loopback, its address begins with http://")]
    NoTls {
        /// The control plane's address.
        url: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The connection broke, or the answer is invalid.
    #[error("the request to {url} failed")]
    Request {
        /// The requested URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Something other than a control plane answered.
    #[error("{url} answered with status {status}, but is not a control plane; check the address")]
    Foreign {
        /// The requested URL.
        url: String,
        /// The status.
        status: u16,
    },
    /// The control plane refused.
    #[error("{}", describe(.0))]
    Refused(Box<Document>),
    /// There is no token.
    #[error("no token for {url}: set POSTERN_TOKEN, or run `postern login --url {}`", word(url))]
    NoToken {
        /// The control plane's address.
        url: String,
    },
    /// The address is invalid.
    #[error("{text:?} is not an address of a control plane; give one like https://postern.example.com")]
    Url {
        /// As given.
        text: String,
    },
    /// Others could read the token on the network.
    #[error(
        "the token was not sent to {url}, because others could read it on the network; use an https:// address, a \
         tunnel to this machine, or --insecure-http if you trust the network"
    )]
    Plain {
        /// The control plane's address.
        url: String,
    },
    /// The CA file cannot be used.
    #[error("the certificate authority in {path} cannot be used")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The remembered login cannot be read or written.
    #[error("the saved login cannot be used")]
    Credentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Invalid options of `organizations`.
    #[error("the database cannot be found")]
    Configuration(#[source] config::Error),
    /// Others could read or change the database.
    #[error("the database is not private")]
    Modes(#[source] home::modes::Error),
    /// The database refuses.
    #[error("the database cannot be used")]
    Database(#[source] postern_engine::services::Error),
    /// There is no database.
    #[error(
        "there is no database in {folder}; start `postern serve --data-dir {}` first, or name the right \
         folder with --data-dir, or --database-url", word(&folder.to_string_lossy())
    )]
    NoDatabase {
        /// The folder.
        folder: PathBuf,
    },
    /// An organization of that name exists already.
    #[error(
        "there is an organization named {name:?} already; for another owner token run \
         `postern organizations create-token {}`",
        word(name)
    )]
    OrganizationExists {
        /// The name.
        name: String,
    },
    /// There is no organization of that name.
    #[error("there is no organization named {name:?}; `postern organizations list` shows them")]
    NoOrganization {
        /// The name.
        name: String,
    },
    /// The administrator declined.
    #[error("nothing was done")]
    Declined,
    /// A password was not set.
    #[error("the password is not set: {0}")]
    PasswordNotSet(String),
    /// The watched job did not succeed; the details have been printed.
    #[error("the job {id} {what}")]
    Job {
        /// The job.
        id: String,
        /// "failed: …", "was canceled", "is held".
        what: String,
    },
    /// The audit log is not as it was written.
    #[error("the audit log is not as it was written: {0}")]
    AuditFault(String),
    /// An import stopped before its end.
    #[error("{what}")]
    Stopped {
        /// What is done, and what is not.
        what: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Arguments that contradict each other.
    #[error("{0}")]
    Usage(String),
    /// Reading from or writing to the terminal or a file failed.
    #[error("{what} failed")]
    Io {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The reader of the output has closed it.
    #[error("the output was closed")]
    OutputClosed,
    /// A value cannot be written as JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// The exit code of the process.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Stopped { source, .. } => source.exit_code(),
            Self::Url { .. }
            | Self::Plain { .. }
            | Self::CaFile { .. }
            | Self::Credentials(_)
            | Self::Configuration(_)
            | Self::NoDatabase { .. } => exit::CONFIG,
            _ => exit::FAILURE,
        }
    }

    /// Whether the request has certainly changed nothing.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            // 409 may mean that an earlier attempt is still being carried out.
            Self::Refused(document) => document.status < 500 && document.status != 409,
            Self::Usage(_) => true,
            _ => false,
        }
    }

    /// The whole message for a person.
    pub(super) fn explain(&self) -> String {
        match self {
            Self::Unreachable { .. } => self.to_string(),
            other => chain(other),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem.document().clone()))
    }
}

fn describe(document: &Document) -> String {
    let detail = if document.detail.is_empty() { &document.title } else { &document.detail };
    let cure = document.cure.iter().map(|cure| format!("\n  {cure}"));
    let candidates = document.candidates.iter().map(|candidate| format!("\n  {}  {}", candidate.id, candidate.name));
    std::iter::once(detail.clone()).chain(cure).chain(candidates).collect()
}
