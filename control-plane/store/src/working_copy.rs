//! A copy of one organization's users, groups and accounts in a file of its own, to find out what an import would do:
//! the import runs on the copy, and afterwards the copy is compared with what it was.
//!
//! The copy is a `SQLite` file for both engines: both have the same tables and give the same answers. It is read in one
//! transaction, so it is a state that really was.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use rusqlite::types::Value as Cell;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{Column as _, Row as _, TypeInfo as _};
use uuid::Uuid;

use crate::Store;
use crate::database::Engine;
use crate::error::{EngineError, Error, Result};
use crate::ids::{JobId, OrganizationId};
use crate::sql::{Statement, built, sql};
use crate::sqlite::{File, Filling, blocking};
use crate::wake::Wakes;

/// Rows, and bytes, that are read before they are written.
const BATCH_ROWS: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;

/// Which rows of a table are copied: those of the organization, or the one job.
#[derive(Clone, Copy)]
enum Of {
    Organization,
    Job,
}

/// Rows about accounts of the organization.
const ACCOUNTS: &str = "account_id IN (SELECT a.id FROM accounts a WHERE a.target IN \
     (SELECT seq FROM targets WHERE organization_id = $1))";

/// The tables that an import reads or writes, each with the rows that are copied. Later tables refer to earlier ones.
const TABLES: [(&str, Of, &str); 20] = [
    ("organizations", Of::Organization, "id = $1"),
    ("targets", Of::Organization, "organization_id = $1"),
    ("directories", Of::Organization, "organization_id = $1"),
    ("mapping_versions", Of::Organization, "organization_id = $1"),
    ("attribute_definitions", Of::Organization, "organization_id = $1"),
    ("jobs", Of::Job, "id = $1"),
    ("accounts", Of::Organization, "target IN (SELECT seq FROM targets WHERE organization_id = $1)"),
    ("users", Of::Organization, "organization IN (SELECT seq FROM organizations WHERE id = $1)"),
    ("groups", Of::Organization, "organization_id = $1"),
    ("group_members", Of::Organization, "group_id IN (SELECT id FROM groups WHERE organization_id = $1)"),
    ("member_names", Of::Organization, "target IN (SELECT seq FROM targets WHERE organization_id = $1)"),
    ("own_members", Of::Organization, "group_id IN (SELECT id FROM groups WHERE organization_id = $1)"),
    ("shared_ids", Of::Organization, "target IN (SELECT seq FROM targets WHERE organization_id = $1)"),
    ("unique_values", Of::Organization, "organization_id = $1"),
    ("match_fields", Of::Organization, "organization_id = $1"),
    ("match_keys", Of::Organization, "organization_id = $1"),
    ("account_matches", Of::Organization, ACCOUNTS),
    ("ignored_accounts", Of::Organization, ACCOUNTS),
    ("deleted_users", Of::Organization, "organization_id = $1"),
    // The last one: from then on changes set marks.
    ("provisioning", Of::Organization, "organization_id = $1"),
];

/// What the copy was before the import, as far as it is compared.
const BEFORE: [&str; 7] = [
    "CREATE TABLE before_users AS SELECT * FROM users",
    "CREATE UNIQUE INDEX before_users_id ON before_users (id)",
    "CREATE TABLE before_groups AS SELECT * FROM groups",
    "CREATE UNIQUE INDEX before_groups_id ON before_groups (id)",
    "CREATE TABLE before_accounts AS SELECT * FROM accounts \
     WHERE target IN (SELECT d.seq FROM directories d JOIN jobs j ON j.directory_id = d.id)",
    "CREATE UNIQUE INDEX before_accounts_id ON before_accounts (id)",
    "CREATE TABLE before_members (group_id BLOB NOT NULL, member BLOB NOT NULL, PRIMARY KEY (group_id, member)) \
     WITHOUT ROWID",
];

/// A copy of one organization's data. Whoever made it deletes its file.
#[derive(Clone, Debug)]
pub struct WorkingCopy {
    store: Store,
}

impl WorkingCopy {
    /// The store for the import that runs on the copy. Everything that is written to it stays there.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// Copies the organization of a job into a new file.
    pub async fn working_copy(&self, file: &Path, organization: OrganizationId, job: JobId) -> Result<WorkingCopy> {
        let opened = File::open_passing(file).await?;
        let copy = Self { database: Engine::Sqlite { file: opened, wakes: Wakes::default() }.into() };
        let whose = |of: Of| match of {
            Of::Organization => organization.as_uuid(),
            Of::Job => job.as_uuid(),
        };
        let path = file.to_owned();
        match &self.database.engine {
            Engine::Sqlite { file: source, .. } => {
                let source = source.path().to_owned();
                let ids = TABLES.map(|(table, of, condition)| (table, condition, whose(of)));
                blocking(move || copy_file(&path, &source, &ids)).await?;
            }
            Engine::Postgres { pool } => copy_server(path, pool, whose).await?,
        }
        Ok(WorkingCopy { store: copy })
    }
}

fn copy_file(path: &Path, source: &Path, tables: &[(&str, &str, Uuid)]) -> Result<()> {
    let filling = Filling::begin(path, Some(source))?;
    for (table, condition, whose) in tables {
        filling.copy(table, condition, |statement| statement.bind(*whose))?;
    }
    finish(filling)
}

/// Keeps what is there as the state before, and ends the copying.
fn finish(filling: Filling) -> Result<()> {
    for statement in BEFORE {
        filling.execute(&sql(statement))?;
    }
    filling.execute(&members_into("before_members"))?;
    filling.commit()
}

/// Writes who is in which group into a table: by user or group, or by the name where nobody has it.
pub(crate) fn members_into(table: &str) -> Statement {
    built(format!(
        "INSERT OR IGNORE INTO {table} (group_id, member) SELECT m.group_id, COALESCE((SELECT a.identity FROM accounts a \
         WHERE a.target = m.target AND a.member_hash = m.name_hash AND a.identity IS NOT NULL LIMIT 1), m.name_hash) \
         FROM member_names m WHERE m.target IN (SELECT d.seq FROM directories d JOIN jobs j ON j.directory_id = d.id)"
    ))
}

async fn copy_server(path: PathBuf, pool: &PgPool, whose: impl Fn(Of) -> Uuid) -> Result<()> {
    let mut tx = pool.begin().await?;
    let read_only = sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    read_only.for_postgres()?.execute(&mut *tx).await?;
    let mut filling = blocking(move || Filling::begin(&path, None)).await?;
    for (table, of, condition) in TABLES {
        let of_server = sql("SELECT CAST(column_name AS TEXT) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1");
        let of_server = of_server.bind(table).for_postgres()?.fetch_all(&mut *tx).await?;
        let of_server = of_server.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<String>, _>>()?;
        // The numbers of rows in SQLite are made by itself where the server has none.
        let columns: Vec<String> =
            filling.columns(table)?.into_iter().filter(|column| of_server.contains(column)).collect();
        let names = columns.join(", ");
        let query = built(format!("SELECT {names} FROM {table} WHERE {condition}")).bind(whose(of));
        let mut rows = query.for_postgres()?.fetch(&mut *tx);
        loop {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < BATCH_ROWS && bytes < BATCH_BYTES {
                let Some(row) = rows.try_next().await? else { break };
                let (cells, size) = cells(&row)?;
                bytes += size;
                batch.push(cells);
            }
            if batch.is_empty() {
                break;
            }
            let columns = columns.clone();
            filling = blocking(move || filling.insert(table, &columns, batch).map(|()| filling)).await?;
        }
    }
    tx.rollback().await?;
    blocking(move || finish(filling)).await
}

/// The columns of a row as the other engine keeps them, and about how many bytes they have.
fn cells(row: &PgRow) -> Result<(Vec<Cell>, usize)> {
    let mut cells = Vec::with_capacity(row.len());
    let mut bytes = 0;
    for (place, column) in row.columns().iter().enumerate() {
        let cell = match column.type_info().name() {
            "UUID" => row.try_get::<Option<Uuid>, _>(place)?.map(|id| Cell::Blob(id.as_bytes().to_vec())),
            "BYTEA" => row.try_get::<Option<Vec<u8>>, _>(place)?.map(Cell::Blob),
            "INT8" => row.try_get::<Option<i64>, _>(place)?.map(Cell::Integer),
            "BOOL" => row.try_get::<Option<bool>, _>(place)?.map(|value| Cell::Integer(value.into())),
            "TEXT" => row.try_get::<Option<String>, _>(place)?.map(Cell::Text),
            _ => return Err(Error::Other(EngineError::Unbound)),
        };
        bytes += match &cell {
            Some(Cell::Text(text)) => text.len(),
            Some(Cell::Blob(blob)) => blob.len(),
            _ => size_of::<i64>(),
        };
        cells.push(cell.unwrap_or(Cell::Null));
    }
    Ok((cells, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables that no import reads, or that only have what it writes itself.
    const OTHERS: [&str; 30] = [
        "_sqlx_migrations",
        "absences",
        "agent_directories",
        "agents",
        "answers",
        "api_tokens",
        "audit",
        "audit_heads",
        "authority",
        "deferred_entries",
        "deleted_groups",
        "deleted_members",
        "enrollment_tokens",
        "mapping_runs",
        "marks",
        "merged_users",
        "operations",
        "order_runs",
        "outbound_members",
        "pending_changes",
        "plan_operations",
        "plans",
        "preview_rows",
        "replicas",
        "rule_failures",
        "schedules",
        "sessions",
        "sqlite_sequence",
        "sqlite_stat1",
        "staged_chunks",
    ];

    #[tokio::test]
    async fn each_table_is_copied_or_known_to_be_no_part_of_an_import() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postern.db");
        Store::open(&crate::DatabaseUrl::sqlite(&path)).await.unwrap().close().await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        let mut query = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
        let names = query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<Vec<String>>>().unwrap();
        let known = |name: &str| OTHERS.contains(&name) || TABLES.iter().any(|(table, ..)| *table == name);
        let unknown: Vec<&String> = names.iter().filter(|name| !known(name)).collect();
        assert!(unknown.is_empty(), "would an import on a copy miss these tables? {unknown:?}");
    }
}
