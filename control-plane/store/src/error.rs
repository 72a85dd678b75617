//! Errors of the store, by what the caller can do about them.

use std::error::Error as StdError;

use rusqlite::ErrorCode;
use rusqlite::ffi::{
    SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE,
};
use sqlx::error::DatabaseError;

/// An error of an engine, unchanged.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `SQLite`.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// `PostgreSQL`, or the connection to it.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// A file could not be made.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// All connections to the file were in use for too long.
    #[error("no connection became free in time")]
    NoConnection,
    /// The disk has failed to keep what was written to a file.
    #[error(
        "the disk has failed to keep what was written; check the volume of the database, and start the control plane again"
    )]
    Lost,
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// A transaction was used after its end.
    #[error("the transaction is over since one of its statements failed")]
    Over,
    /// The placeholders and values of a statement do not match.
    #[error("the values of a statement are not those that it asks for")]
    Unbound,
}

/// A failed call of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist in this organization.
    #[error("{what} does not exist")]
    NotFound {
        /// What was not found, for people.
        what: &'static str,
    },
    /// It contradicts what is stored: the name is taken, or the job has another state.
    #[error("conflict: {what}")]
    Conflict {
        /// What it contradicts, for people.
        what: String,
        /// The database's error, if the database found it.
        #[source]
        source: Option<EngineError>,
    },
    /// The volume of the database is full or cannot be written. Nothing of the call was stored; repeat it once there is
    /// room.
    #[error("the database's volume is full or cannot be written")]
    StorageFull(#[source] EngineError),
    /// The database cannot be reached, restarts, or is too busy: try again. A commit that was under way may have taken
    /// place.
    #[error("the database cannot be reached")]
    Unavailable(#[source] EngineError),
    /// `PostgreSQL` cannot be used from the start, for a known reason.
    #[error("PostgreSQL at {server} cannot be used: {problem}; {cure}")]
    Connect {
        /// Host and port.
        server: String,
        /// What is wrong.
        problem: &'static str,
        /// What to do about it.
        cure: &'static str,
        /// The error of the server or the system.
        #[source]
        source: sqlx::Error,
    },
    /// Stored data cannot be read: the file is damaged, or this release does not know a value.
    #[error("the database holds what cannot be read: {what}")]
    Corrupt {
        /// What could not be read.
        what: String,
        /// Why.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The address of the database is invalid.
    #[error("not a database address: {what}")]
    Address {
        /// What is wrong with it.
        what: String,
    },
    /// The schema could not be updated.
    #[error("the database's schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Anything else.
    #[error("the database refused a statement")]
    Other(#[source] EngineError),
}

impl Error {
    /// Whether the same call would always fail. A conflict may be a race that the next try wins.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::StorageFull(_) | Self::Unavailable(_) | Self::Connect { .. } | Self::Conflict { .. })
    }
}

/// The result of a call of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an enrollment token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// There is no such token, or it was revoked.
    #[error("the enrollment token is unknown")]
    Unknown,
    /// It was used before.
    #[error("the enrollment token was used before")]
    Used,
    /// It has expired.
    #[error("the enrollment token has expired")]
    Expired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Error {
    /// Whether the next try may succeed without a change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::StorageFull(_) | Self::Connect { .. })
    }

    /// Whether `PostgreSQL` undid the transaction because of another one: both waited for each other, or they cannot follow
    /// each other. Nothing of it was stored, and it may be repeated at once.
    pub fn is_undone(&self) -> bool {
        let Self::Unavailable(EngineError::Postgres(sqlx::Error::Database(error))) = self else { return false };
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    /// A file beside the database cannot be made.
    pub fn unwritable(error: std::io::Error) -> Self {
        Self::StorageFull(error.into())
    }

    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into(), source: None }
    }

    /// Stored data that cannot be read.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), source: None }
    }
}

impl EngineError {
    /// Whether another process holds the file at the moment.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }
}

impl From<rusqlite::Error> for Error {
    /// By the result codes of `SQLite`: <https://sqlite.org/rescode.html>.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        let code = match &error {
            E::SqliteFailure(failure, _) => failure,
            E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) => {
                return Self::Corrupt { what: "a value".to_owned(), source: Some(Box::new(error)) };
            }
            _ => return Self::Other(error.into()),
        };
        match code.code {
            ErrorCode::ConstraintViolation => match code.extended_code {
                SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID => {
                    Self::Conflict { what: EXISTS.to_owned(), source: Some(error.into()) }
                }
                SQLITE_CONSTRAINT_FOREIGNKEY => {
                    Self::Conflict { what: UNKNOWN_REFERENCE.to_owned(), source: Some(error.into()) }
                }
                _ => Self::Other(error.into()),
            },
            // The volume is full, broken or was remounted read-only.
            ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly => Self::StorageFull(error.into()),
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory => Self::Unavailable(error.into()),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Corrupt { what: "the file".to_owned(), source: Some(Box::new(error)) }
            }
            _ => Self::Other(error.into()),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::Database(ref inner) => match class(inner.as_ref()) {
                Class::Conflict => Self::Conflict { what: subject(inner.as_ref()), source: Some(error.into()) },
                Class::Full => Self::StorageFull(error.into()),
                Class::Unavailable => Self::Unavailable(error.into()),
                Class::Corrupt => Self::Corrupt { what: "the file".to_owned(), source: Some(Box::new(error)) },
                Class::Other => Self::Other(error.into()),
            },
            E::Io(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) | E::Tls(_) => {
                Self::Unavailable(error.into())
            }
            E::ColumnDecode { .. } | E::Decode(_) | E::ColumnNotFound(_) | E::ColumnIndexOutOfBounds { .. } => {
                Self::Corrupt { what: "a value".to_owned(), source: Some(Box::new(error)) }
            }
            E::RowNotFound => Self::NotFound { what: "the row" },
            other => Self::Other(other.into()),
        }
    }
}

enum Class {
    Conflict,
    Full,
    Unavailable,
    Corrupt,
    Other,
}

/// By SQLSTATE (`PostgreSQL`, appendix A).
fn class(error: &dyn DatabaseError) -> Class {
    if error.is_unique_violation() || error.is_foreign_key_violation() {
        return Class::Conflict;
    }
    match error.code().unwrap_or_default().as_ref() {
        "53100" => Class::Full,
        "25006" | "40001" | "40P01" | "55P03" => Class::Unavailable,
        "XX001" | "XX002" => Class::Corrupt,
        code => match code.get(..2) {
            // Connection trouble, lack of resources, shutdown and restart.
            Some("08" | "53" | "57") => Class::Unavailable,
            _ => Class::Other,
        },
    }
}

const EXISTS: &str = "exists already";
const UNKNOWN_REFERENCE: &str = "refers to what does not exist";

fn subject(error: &dyn DatabaseError) -> String {
    let kind = if error.is_foreign_key_violation() { UNKNOWN_REFERENCE } else { EXISTS };
    match error.table() {
        Some(table) => format!("{table}: {kind}"),
        None => kind.to_owned(),
    }
}
