//! The databases to measure with.

use anyhow::Result;
use postern_tests::postgres::Postgres;

/// A database to measure with.
pub(super) struct Database<'a> {
    pub(super) name: &'static str,
    pub(super) url: Option<String>,
    /// The server, if it is a process of its own.
    pub(super) server: Option<&'a Postgres>,
}

/// An empty database of each engine.
pub(super) async fn databases(postgres: Option<&Postgres>) -> Result<Vec<Database<'_>>> {
    let mut databases = vec![Database { name: "SQLite", url: None, server: None }];
    if let Some(server) = postgres {
        let url = Some(server.fresh_database().await?);
        databases.push(Database { name: "PostgreSQL", url, server: Some(server) });
    }
    Ok(databases)
}
