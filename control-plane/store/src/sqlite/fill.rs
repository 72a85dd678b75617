//! Fills a new file with rows of another database.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{connect, execute};
use crate::error::Result;
use crate::sql::{Statement, built};

/// The file can be made again, so nothing needs to reach the disk. The tables come in an order of their own, so foreign
/// keys are not checked.
const FILLING: &str = "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = memory; \
     PRAGMA cache_size = -16384";

/// A file that is being filled, in one transaction.
pub(crate) struct Filling(Connection);

impl Filling {
    /// Starts filling a file, from another file if there is one.
    pub(crate) fn begin(path: &Path, source: Option<&Path>) -> Result<Self> {
        let connection = connect(path, FILLING)?;
        if let Some(source) = source {
            connection.execute("ATTACH ?1 AS source", [source.to_string_lossy()])?;
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }

    /// The columns of a table.
    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>> {
        let mut query = self.0.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        Ok(query.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Carries a statement out.
    pub(crate) fn execute(&self, statement: &Statement) -> Result<u64> {
        execute(&self.0, statement)
    }

    /// Inserts rows.
    pub(crate) fn insert(&self, table: &str, columns: &[String], rows: Vec<Vec<Value>>) -> Result<()> {
        let (names, places) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
        let mut insert = self.0.prepare_cached(&format!("INSERT INTO main.{table} ({names}) VALUES ({places})"))?;
        for row in rows {
            insert.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    /// Copies the rows of a table of the other file that the condition names.
    pub(crate) fn copy(&self, table: &str, condition: &str, bind: impl FnOnce(Statement) -> Statement) -> Result<u64> {
        let names = self.columns(table)?.join(", ");
        let copy = format!("INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table} WHERE {condition}");
        self.execute(&bind(built(copy)))
    }

    /// Makes everything visible.
    pub(crate) fn commit(self) -> Result<()> {
        Ok(self.0.execute_batch("COMMIT")?)
    }
}
