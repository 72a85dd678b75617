//! Errors in the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use postern_runtime::{secret, settings};

/// An error in the configuration. The process ends with exit code 64.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or the environment cannot be read.
    #[error("the configuration cannot be read")]
    Settings(#[source] settings::Error),
    /// The API would be readable from the network.
    #[error(
        "the API would listen on {listen} without TLS, where others could read its tokens; give --tls-cert and \
         --tls-key, or listen on 127.0.0.1 behind a TLS proxy"
    )]
    PlainApi {
        /// The address.
        listen: SocketAddr,
    },
    /// Only one of certificate and key is given.
    #[error("--tls-cert and --tls-key belong together; give both or neither")]
    HalfTls,
    /// The public address is not `host:port`.
    #[error("the gateway's public address {text:?} is not HOST:PORT; give for example gateway.example.com:8443")]
    PublicAddress {
        /// As given.
        text: String,
    },
    /// The database's URL is invalid.
    #[error("the database URL is not understood; give postgres://user:password@host/database")]
    Database(#[source] postern_store::Error),
    /// The database's password cannot be read, or is not stored safely.
    #[error(transparent)]
    Password(PasswordError),
    /// A number or duration is out of range.
    #[error("{key} must be from {min} to {max}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Least.
        min: u32,
        /// Most.
        max: u32,
    },
}

/// Why the database's password cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Its file cannot be read, or others can read it.
    #[error("cannot read the database's password")]
    File(#[source] secret::Error),
    /// systemd's file cannot be read.
    #[error("cannot read the database's password from {path}")]
    Credential {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// systemd passed no credentials to this process.
    #[error("database_password_credential is set, but systemd gave this process no credentials; use LoadCredential=")]
    NoCredentials,
    /// The password is empty.
    #[error("the file of the database's password is empty")]
    Empty,
    /// More than one password is configured.
    #[error(
        "the database's password is given more than once; keep one of database_password_file, \
         database_password_credential and the password in database_url"
    )]
    Twice,
    /// A password is configured but no database URL.
    #[error("a password for the database is given, but no database_url; SQLite has no password")]
    NoUrl,
    /// The configuration file contains the password, and others may read or change it.
    #[error(
        "{path} holds the database's password and other users can read or change it (mode {mode:04o}); run: \
         chmod 640 {path}; or move the password into a separate file and set database_password_file to it"
    )]
    Exposed {
        /// The configuration file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}
