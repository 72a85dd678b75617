//! Why a control plane does not run.

use postern_runtime::lifecycle;
use postern_runtime::supervise::CriticalFailure;

use crate::gateway::listener;
use crate::home::{lock, modes};
use crate::{http, pki};

/// Why the control plane cannot start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be created.
    #[error("cannot create the data folder {path}; make it writable or choose another --data-dir")]
    DataDir {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others could read or change the data.
    #[error("the files of this control plane are not private")]
    Modes(#[source] modes::Error),
    /// Another process serves the database.
    #[error(transparent)]
    Lock(lock::Error),
    /// The database cannot be opened.
    #[error("cannot open the database")]
    Store(#[source] postern_store::Error),
    /// The certificate authority cannot be opened.
    #[error("cannot open the certificate authority")]
    Pki(#[source] pki::Error),
    /// The agents of this database trust another authority.
    #[error(
        "this database belongs to another certificate authority than {}: its agents trust the one with SHA-256 \
         {trusted}. Use the pki_dir of the other replicas, or restore it from a backup; or start once with --new-authority, and enroll every agent again",
        .found.as_ref().map_or_else(|| format!("a new one in {}", .pki_dir.display()),
            |sha256| format!("the one with SHA-256 {sha256} in {}", .pki_dir.display()))
    )]
    Authority {
        /// The folder of this authority.
        pki_dir: std::path::PathBuf,
        /// The authority in it, if there is one.
        found: Option<String>,
        /// The authority of the database.
        trusted: String,
    },
    /// The gateway cannot listen.
    #[error("cannot start the gateway")]
    Gateway(#[source] listener::Error),
    /// The API cannot be served.
    #[error("cannot start the API")]
    Api(#[source] http::Error),
    /// The metrics cannot be served.
    #[error("cannot serve the metrics at --metrics-listen")]
    Metrics(#[source] http::Error),
    /// Signal handlers cannot be installed.
    #[error("cannot wait for signals")]
    Signals(#[source] lifecycle::Error),
    /// A bound address cannot be read.
    #[error("cannot read the address of a listener")]
    Address(#[source] std::io::Error),
    /// A critical task has failed.
    #[error("the control plane has stopped")]
    Failed(#[source] CriticalFailure),
}

impl Error {
    /// Whether a restart without a changed configuration is useless.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::DataDir { .. } | Self::Modes(_) | Self::Pki(_) | Self::Authority { .. } => true,
            Self::Api(error) => !matches!(error, http::Error::Listen { .. }),
            Self::Lock(_)
            | Self::Metrics(_)
            | Self::Store(_)
            | Self::Gateway(_)
            | Self::Signals(_)
            | Self::Address(_)
            | Self::Failed(_) => false,
        }
    }
}
