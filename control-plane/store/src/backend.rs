//! The engine behind a store.

/// Which engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A `SQLite` file.
    Sqlite,
    /// A `PostgreSQL` server.
    Postgres,
}
