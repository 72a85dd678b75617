//! Statements for both engines: text with `$1` placeholders, values, and rows that are read column by column. The text
//! never contains data; it is built from constants only.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::Value as SqliteValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Arguments as _, AssertSqlSafe, Decode, Postgres, Row as _, Type};
use uuid::Uuid;

use crate::error::{EngineError, Error, Result};

/// A value of a statement. `None` is NULL of that type, which `PostgreSQL` needs to know.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Bool(bool),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    /// An array; `PostgreSQL` only.
    Uuids(Vec<Uuid>),
}

/// A statement with its values.
#[derive(Debug)]
pub(crate) struct Statement {
    text: Text,
    values: Vec<Value>,
}

#[derive(Debug)]
enum Text {
    Fixed(&'static str),
    /// Built by [`crate::dialect`] or from constants.
    Built(Arc<str>),
}

/// A statement of this text.
pub(crate) fn sql(text: &'static str) -> Statement {
    Statement { text: Text::Fixed(text), values: Vec::new() }
}

/// A statement built from constants.
pub(crate) fn built(text: impl Into<Arc<str>>) -> Statement {
    Statement { text: Text::Built(text.into()), values: Vec::new() }
}

impl Statement {
    /// Binds the next placeholder.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The statement that runs this one on `PostgreSQL` and returns its plan and cost.
    pub(crate) fn explained(self) -> Self {
        let (text, _) = self.parts();
        let text = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {text}");
        Self { text: Text::Built(text.into()), values: self.values }
    }

    /// Its text and values.
    pub(crate) fn parts(&self) -> (&str, &[Value]) {
        let text = match &self.text {
            Text::Fixed(text) => text,
            Text::Built(text) => text.as_ref(),
        };
        (text, &self.values)
    }

    pub(crate) fn for_postgres(self) -> Result<Query<'static, Postgres, PgArguments>> {
        let mut arguments = PgArguments::default();
        for value in self.values {
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
        Ok(match self.text {
            Text::Fixed(text) => sqlx::query_with(text, arguments),
            Text::Built(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
        })
    }
}

pub(crate) fn encoding(error: sqlx::error::BoxDynError) -> Error {
    Error::Other(EngineError::Postgres(sqlx::Error::Encode(error)))
}

macro_rules! into_value {
    ($($type:ty => |$value:ident| $make:expr;)+) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )+};
}

into_value! {
    i64 => |value| Value::Int(Some(value));
    Option<i64> => |value| Value::Int(value);
    u32 => |value| Value::Int(Some(value.into()));
    Option<u32> => |value| Value::Int(value.map(i64::from));
    bool => |value| Value::Bool(value);
    &str => |value| Value::Text(Some(value.to_owned()));
    String => |value| Value::Text(Some(value));
    &String => |value| Value::Text(Some(value.clone()));
    Option<String> => |value| Value::Text(value);
    Option<&str> => |value| Value::Text(value.map(str::to_owned));
    Vec<u8> => |value| Value::Blob(Some(value));
    &[u8] => |value| Value::Blob(Some(value.to_vec()));
    Option<&[u8]> => |value| Value::Blob(value.map(<[u8]>::to_vec));
    [u8; 32] => |value| Value::Blob(Some(value.to_vec()));
    Uuid => |value| Value::Uuid(Some(value));
    Option<Uuid> => |value| Value::Uuid(value);
    Timestamp => |value| Value::Int(Some(value.as_millisecond()));
    Option<Timestamp> => |value| Value::Int(value.map(Timestamp::as_millisecond));
    &serde_json::Value => |value| Value::Text(Some(value.to_string()));
    Option<&serde_json::Value> => |value| Value::Text(value.map(serde_json::Value::to_string));
}

/// A counter as the databases store it.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A row of a result, read from left to right.
pub(crate) struct Row(Inner);

enum Inner {
    Sqlite(std::vec::IntoIter<SqliteValue>),
    Postgres { row: PgRow, next: usize },
}

impl From<Vec<SqliteValue>> for Row {
    fn from(values: Vec<SqliteValue>) -> Self {
        Self(Inner::Sqlite(values.into_iter()))
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self(Inner::Postgres { row, next: 0 })
    }
}

/// What a column can be read as.
pub(crate) trait Column: Sized {
    fn read(row: &mut Row) -> Result<Self>;
}

/// Types that both engines store.
trait Raw: for<'r> Decode<'r, Postgres> + Type<Postgres> {
    fn from_sqlite(value: SqliteValue) -> Option<Self>;
}

impl Row {
    /// The next column.
    pub(crate) fn take<T: Column>(&mut self) -> Result<T> {
        T::read(self)
    }

    /// How many bytes its columns have, as received from the database.
    pub(crate) fn postgres_bytes(row: &PgRow) -> usize {
        (0..row.len()).filter_map(|column| row.try_get_raw(column).ok()?.as_bytes().ok()).map(<[u8]>::len).sum()
    }

    fn raw<T: Raw>(&mut self) -> Result<T> {
        match &mut self.0 {
            Inner::Sqlite(values) => values.next().and_then(T::from_sqlite).ok_or_else(|| Error::corrupt("a value")),
            Inner::Postgres { row, next } => {
                *next += 1;
                Ok(row.try_get(*next - 1)?)
            }
        }
    }
}

macro_rules! raw_columns {
    ($($type:ty = $pattern:pat => $value:expr;)+) => {$(
        impl Raw for $type {
            fn from_sqlite(value: SqliteValue) -> Option<Self> {
                match value {
                    $pattern => $value,
                    _ => None,
                }
            }
        }
        impl Raw for Option<$type> {
            fn from_sqlite(value: SqliteValue) -> Option<Self> {
                match value {
                    SqliteValue::Null => Some(None),
                    value => <$type>::from_sqlite(value).map(Some),
                }
            }
        }
        impl Column for $type {
            fn read(row: &mut Row) -> Result<Self> {
                row.raw()
            }
        }
        impl Column for Option<$type> {
            fn read(row: &mut Row) -> Result<Self> {
                row.raw()
            }
        }
    )+};
}

raw_columns! {
    i64 = SqliteValue::Integer(value) => Some(value);
    bool = SqliteValue::Integer(value) => Some(value != 0);
    String = SqliteValue::Text(value) => Some(value);
    Vec<u8> = SqliteValue::Blob(value) => Some(value);
    Uuid = SqliteValue::Blob(value) => Uuid::from_slice(&value).ok();
}

macro_rules! derived_columns {
    ($($type:ty = $raw:ty => $convert:expr;)+) => {$(
        impl Column for $type {
            fn read(row: &mut Row) -> Result<Self> {
                let convert: fn($raw) -> Result<$type> = $convert;
                convert(row.raw()?)
            }
        }
        impl Column for Option<$type> {
            fn read(row: &mut Row) -> Result<Self> {
                let convert: fn($raw) -> Result<$type> = $convert;
                row.raw::<Option<$raw>>()?.map(convert).transpose()
            }
        }
    )+};
}

derived_columns! {
    Timestamp = i64 => |value| Timestamp::from_millisecond(value).map_err(|error| unreadable("a time", error));
    u32 = i64 => |value| u32::try_from(value).map_err(|error| unreadable("a number", error));
    u64 = i64 => |value| u64::try_from(value).map_err(|error| unreadable("a number", error));
    u16 = i64 => |value| u16::try_from(value).map_err(|error| unreadable("a number", error));
    [u8; 32] = Vec<u8> => |value| fixed(&value);
    [u8; 16] = Vec<u8> => |value| fixed(&value);
    serde_json::Value = String => |value| serde_json::from_str(&value).map_err(|error| unreadable("a JSON value", error));
    Vec<String> = String => |value| serde_json::from_str(&value).map_err(|error| unreadable("a list", error));
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|error| unreadable("a hash", error))
}

fn unreadable(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Corrupt { what: what.to_owned(), source: Some(Box::new(source)) }
}

/// Reads a column that holds the name of an enum's value.
pub(crate) fn named<T: std::str::FromStr<Err = Error>>(row: &mut Row) -> Result<T> {
    row.take::<String>()?.parse()
}
