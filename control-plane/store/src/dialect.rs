//! Where the two engines differ: many rows in one statement, and claiming a job.
//!
//! Many rows come as the table `{rows}` of a template. `PostgreSQL` takes them as one array for each column (`UNNEST`).
//! `SQLite` takes them as `VALUES` with unnamed placeholders, because it looks each named one up in the list of all
//! names, which costs more than the rows.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Arguments as _, AssertSqlSafe, Postgres};
use uuid::Uuid;

use crate::backend::Backend;
use crate::error::Result;
use crate::ids::DirectoryId;
use crate::open_jobs::{exclusive_under_way, open_jobs};
use crate::sql::{Statement, Value, built, encoding};

/// The values of one column.
#[derive(Clone)]
pub(crate) enum Cells {
    Ints(Vec<i64>),
    MaybeInts(Vec<Option<i64>>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
    MaybeTexts(Vec<Option<String>>),
    Blobs(Vec<Vec<u8>>),
    MaybeBlobs(Vec<Option<Vec<u8>>>),
    Uuids(Vec<Uuid>),
    MaybeUuids(Vec<Option<Uuid>>),
}

/// A statement over many rows. In its template `{rows}` is the table of the columns' values, or `{in}` tests for a
/// value of the only column; `:1`, `:2`, … are the values that all rows share.
///
/// `{insert}` and `{update}` write. A refused row ends the whole transaction, on `SQLite` too: to undo only the
/// statement, it would copy every page before changing it, which cost an import a third of its time.
///
/// `{each}table a{where}condition{end}` joins the one row that the condition finds, by an index and in this order:
/// without statistics during an import, `PostgreSQL` would often read the whole table. `{every}` instead of `{end}`
/// joins all rows that it finds. A condition that only checks is written `(… = …) IS TRUE`, so that no index is used
/// for it.
pub(crate) struct Bulk {
    template: &'static str,
    columns: Vec<Cells>,
    shared: Vec<Value>,
}

impl Bulk {
    pub(crate) fn new(template: &'static str) -> Self {
        Self { template, columns: Vec::new(), shared: Vec::new() }
    }

    /// Adds a column to the table. All columns have the same length.
    pub(crate) fn column(mut self, cells: Cells) -> Self {
        self.columns.push(cells);
        self
    }

    /// Adds a value that all rows share.
    pub(crate) fn shared(mut self, value: impl Into<Value>) -> Self {
        self.shared.push(value.into());
        self
    }

    /// How many rows the table has.
    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, Cells::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    pub(crate) fn columns(&self) -> &[Cells] {
        &self.columns
    }

    pub(crate) fn shared_values(&self) -> &[Value] {
        &self.shared
    }

    /// Its text for an engine and, on `SQLite`, this many rows: unnamed placeholders for the cells, row by row, and
    /// `$1`, `$2`, … for the shared values. On `PostgreSQL` these are numbered after the columns.
    pub(crate) fn text(&self, backend: Backend, rows: usize) -> Arc<str> {
        text(backend, self.template, rows, &self.columns, self.shared.len())
    }

    /// As one statement for `PostgreSQL`.
    pub(crate) fn for_postgres(self) -> Result<Query<'static, Postgres, PgArguments>> {
        let text = self.text(Backend::Postgres, 0);
        let mut arguments = PgArguments::default();
        for column in self.columns {
            match column {
                Cells::Ints(values) => arguments.add(values),
                Cells::MaybeInts(values) => arguments.add(values),
                Cells::Bools(values) => arguments.add(values),
                Cells::Texts(values) => arguments.add(values),
                Cells::MaybeTexts(values) => arguments.add(values),
                Cells::Blobs(values) => arguments.add(values),
                Cells::MaybeBlobs(values) => arguments.add(values),
                Cells::Uuids(values) => arguments.add(values),
                Cells::MaybeUuids(values) => arguments.add(values),
            }
            .map_err(encoding)?;
        }
        for value in self.shared {
            match value {
                Value::Int(value) => arguments.add(value),
                Value::Bool(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
                Value::Blob(value) => arguments.add(value),
                Value::Uuid(value) => arguments.add(value),
                Value::Uuids(values) => arguments.add(values),
            }
            .map_err(encoding)?;
        }
        Ok(sqlx::query_with(AssertSqlSafe(text), arguments))
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::MaybeInts(values) => values.len(),
            Self::Bools(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::MaybeTexts(values) => values.len(),
            Self::Blobs(values) => values.len(),
            Self::MaybeBlobs(values) => values.len(),
            Self::Uuids(values) => values.len(),
            Self::MaybeUuids(values) => values.len(),
        }
    }

    const fn postgres_type(&self) -> &'static str {
        match self {
            Self::Ints(_) | Self::MaybeInts(_) => "bigint[]",
            Self::Bools(_) => "boolean[]",
            Self::Texts(_) | Self::MaybeTexts(_) => "text[]",
            Self::Blobs(_) | Self::MaybeBlobs(_) => "bytea[]",
            Self::Uuids(_) | Self::MaybeUuids(_) => "uuid[]",
        }
    }
}

type Texts = HashMap<(Backend, &'static str, usize), Arc<str>>;

/// The text of a template for an engine and a number of rows; each is built once.
fn text(backend: Backend, template: &'static str, rows: usize, columns: &[Cells], shared: usize) -> Arc<str> {
    static BUILT: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let text = built.entry((backend, template, rows)).or_insert_with(|| {
        let (table, set, first) = match backend {
            Backend::Sqlite => {
                let table = values(rows, columns.len());
                (table.clone(), format!("IN ({table})"), 1)
            }
            Backend::Postgres => {
                let array = columns.first().map_or("", Cells::postgres_type);
                (unnest(columns), format!("= ANY($1::{array})"), columns.len() + 1)
            }
        };
        let mut text = template.replace("{rows}", &table).replace("{in}", &set);
        let [insert, update] = all_or_nothing(backend);
        text = text.replace("{insert}", insert).replace("{update}", update);
        let [each, condition, end, every] = each(backend);
        text = text.replace("{each}", each).replace("{where}", condition);
        text = text.replace("{end}", end).replace("{every}", every);
        for place in (0..shared).rev() {
            text = text.replace(&format!(":{}", place + 1), &format!("${}", first + place));
        }
        text.into()
    });
    Arc::clone(text)
}

/// The texts for `{insert}` and `{update}`.
const fn all_or_nothing(backend: Backend) -> [&'static str; 2] {
    match backend {
        Backend::Sqlite => ["INSERT OR ROLLBACK INTO", "UPDATE OR ROLLBACK"],
        Backend::Postgres => ["INSERT INTO", "UPDATE"],
    }
}

/// The texts for `{each}`, `{where}`, `{end}` and `{every}`. `OFFSET 0` keeps `PostgreSQL` from another kind of join.
const fn each(backend: Backend) -> [&'static str; 4] {
    match backend {
        Backend::Sqlite => ["CROSS JOIN ", " WHERE ", "", ""],
        Backend::Postgres => ["CROSS JOIN LATERAL (SELECT * FROM ", " WHERE ", " LIMIT 1) a", " OFFSET 0) a"],
    }
}

/// `VALUES (?,?),(?,?)`
fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("VALUES {}", vec![row; rows].join(","))
}

/// `SELECT * FROM UNNEST($1::uuid[],$2::text[])`
fn unnest(columns: &[Cells]) -> String {
    let mut text = String::from("SELECT * FROM UNNEST(");
    for (place, column) in columns.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(text, "{comma}${}::{}", place + 1, column.postgres_type());
    }
    text + ")"
}

/// `$n` is in a set of directories, bound by [`directories`].
const fn in_directories(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "hex(j.directory_id) IN (SELECT value FROM json_each($3))",
        Backend::Postgres => "j.directory_id = ANY($3)",
    }
}

/// The set of directories as a value.
pub(crate) fn directories(backend: Backend, ids: &[DirectoryId]) -> Value {
    match backend {
        Backend::Sqlite => {
            let mut list = String::with_capacity(ids.len() * 36 + 2);
            list.push('[');
            for (place, id) in ids.iter().enumerate() {
                let comma = if place == 0 { "" } else { "," };
                let _ = write!(list, "{comma}\"{:X}\"", id.as_uuid().simple());
            }
            list.push(']');
            Value::Text(Some(list))
        }
        Backend::Postgres => Value::Uuids(ids.iter().map(|id| id.as_uuid()).collect()),
    }
}

/// An exclusive job of the same directory that is under way.
const OTHER_EXCLUSIVE: &str = concat!(
    "EXISTS (SELECT 1 FROM jobs o WHERE o.directory_id = j.directory_id AND o.id <> j.id AND ",
    exclusive_under_way!(),
    ")"
);
/// Jobs that have not ended.
const OPEN: &str = open_jobs!();

/// Jobs that can be claimed, oldest first: `$1` now, `$2` the most jobs, `$3` their directories. `PostgreSQL` skips
/// those that another replica is claiming; `SQLite` has only one.
pub(crate) fn claimable(backend: Backend) -> Statement {
    let lock = match backend {
        Backend::Sqlite => "",
        Backend::Postgres => "FOR UPDATE OF j SKIP LOCKED",
    };
    built(format!(
        "SELECT j.id, j.directory_id, j.exclusive FROM jobs j \
         WHERE {OPEN} AND (j.state IN ('queued', 'waiting') OR (j.state = 'running' AND j.lease_until <= $1)) \
         AND NOT j.proven AND (j.not_before IS NULL OR j.not_before <= $1) AND {} \
         AND (NOT j.exclusive OR NOT {OTHER_EXCLUSIVE}) ORDER BY j.id LIMIT $2 {lock}",
        in_directories(backend)
    ))
}

/// Proven imports that can be claimed: `$1` now, `$2` the most.
pub(crate) fn claimable_proven(backend: Backend) -> Statement {
    let lock = match backend {
        Backend::Sqlite => "",
        Backend::Postgres => "FOR UPDATE OF j SKIP LOCKED",
    };
    built(format!(
        "SELECT j.id FROM jobs j WHERE {OPEN} AND j.proven \
         AND (j.state = 'queued' OR (j.state = 'running' AND j.lease_until <= $1)) \
         AND (j.not_before IS NULL OR j.not_before <= $1) ORDER BY j.id LIMIT $2 {lock}"
    ))
}

/// Queued jobs that no agent can run: `$1` now, `$2` created before, `$3` directories that are reachable from here,
/// `$4` the message, `$5` the time before which a replica's last sign of life means that it is dead.
pub(crate) fn mark_waiting(backend: Backend) -> Statement {
    built(format!(
        "UPDATE jobs AS j SET state = 'waiting', message = $4, updated_at = $1 \
         WHERE {OPEN} AND j.state = 'queued' AND NOT j.proven AND j.created_at < $2 \
         AND (j.not_before IS NULL OR j.not_before <= $1) AND NOT ({}) AND NOT {OTHER_EXCLUSIVE} \
         AND NOT EXISTS (SELECT 1 FROM agent_directories p JOIN sessions s ON s.agent_id = p.agent_id \
         JOIN replicas r ON r.id = s.replica_id WHERE p.directory_id = j.directory_id AND r.seen_at > $5) \
         RETURNING id",
        in_directories(backend)
    ))
}

/// The keys of up to `$4` accounts after `$3` in one text, as hexadecimal separated by blanks: `$1` the directory, `$2`
/// the kind. Reads only the index, and costs far less than a row for each.
pub(crate) fn account_keys(backend: Backend) -> Statement {
    let hex = match backend {
        Backend::Sqlite => "hex(external_key)",
        Backend::Postgres => "encode(external_key, 'hex')",
    };
    built(format!(
        "SELECT string_agg({hex}, ' ') FROM (SELECT external_key FROM accounts \
         WHERE target = $1 AND kind = $2 AND external_key > $3 ORDER BY external_key LIMIT $4) k"
    ))
}

/// How many accounts that are not missing have each of these texts among their attributes, a column for each: `$1` the
/// directory, `$2` the kind, the texts from `$3` on.
pub(crate) fn accounts_with(backend: Backend, texts: usize) -> Statement {
    let place = match backend {
        Backend::Sqlite => "instr",
        Backend::Postgres => "strpos",
    };
    let column = |at: usize| format!("count(CASE WHEN {place}(attributes, ${}) > 0 THEN 1 END)", at + 3);
    let columns: Vec<String> = (0..texts).map(column).collect();
    let columns = columns.join(", ");
    built(format!("SELECT {columns} FROM accounts WHERE target = $1 AND kind = $2 AND missing_since IS NULL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_built_for_each_engine() {
        let template = "WITH v(a, b) AS ({rows}) {insert} t SELECT v.a, :1, v.b FROM v WHERE :2";
        let columns = [Cells::Ints(vec![1, 2]), Cells::MaybeTexts(vec![None, None])];
        assert_eq!(
            &*text(Backend::Sqlite, template, 2, &columns, 2),
            "WITH v(a, b) AS (VALUES (?,?),(?,?)) INSERT OR ROLLBACK INTO t SELECT v.a, $1, v.b FROM v WHERE $2"
        );
        assert_eq!(
            &*text(Backend::Postgres, template, 0, &columns, 2),
            "WITH v(a, b) AS (SELECT * FROM UNNEST($1::bigint[],$2::text[])) \
             INSERT INTO t SELECT v.a, $3, v.b FROM v WHERE $4"
        );
        let (template, columns) = ("DELETE FROM t WHERE a {in} AND b = :1", [Cells::Ints(vec![1, 2])]);
        let sqlite = text(Backend::Sqlite, template, 2, &columns, 1);
        assert_eq!(&*sqlite, "DELETE FROM t WHERE a IN (VALUES (?),(?)) AND b = $1");
        let postgres = text(Backend::Postgres, template, 0, &columns, 1);
        assert_eq!(&*postgres, "DELETE FROM t WHERE a = ANY($1::bigint[]) AND b = $2");
    }
}
