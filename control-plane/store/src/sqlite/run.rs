//! Runs statements on one connection.

use rusqlite::types::{Value as Owned, ValueRef};
use rusqlite::{CachedStatement, Connection, Statement as Prepared, ToSql};

use crate::backend::Backend;
use crate::dialect::{Bulk, Cells};
use crate::error::{EngineError, Error, Result};
use crate::records::Room;
use crate::sql::{Row, Statement, Value};

/// Rows of one statement. A batch is split into these sizes, so that few texts are prepared, and kept.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// The result of a statement over many rows.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Rows that it changed.
    pub(crate) changed: u64,
    /// Rows that it returned.
    pub(crate) rows: Vec<Row>,
}

fn prepare<'connection>(connection: &'connection Connection, text: &str) -> Result<CachedStatement<'connection>> {
    #[cfg(test)]
    super::seen::note(connection, text);
    Ok(connection.prepare_cached(text)?)
}

/// Runs a statement and returns the number of rows it changed.
pub(crate) fn execute(connection: &Connection, statement: &Statement) -> Result<u64> {
    let (text, values) = statement.parts();
    let mut prepared = prepare(connection, text)?;
    bind(&mut prepared, values, |_, _| Err(unbound()))?;
    Ok(prepared.raw_execute()? as u64)
}

/// All rows of a statement.
pub(crate) fn rows(connection: &Connection, statement: &Statement) -> Result<Vec<Row>> {
    let (text, values) = statement.parts();
    let mut prepared = prepare(connection, text)?;
    bind(&mut prepared, values, |_, _| Err(unbound()))?;
    let mut found = Vec::new();
    take(&mut prepared, &mut found)?;
    Ok(found)
}

/// The rows of a statement, as far as there is room, and the remaining room.
pub(crate) fn rows_within(connection: &Connection, statement: &Statement, mut room: Room) -> Result<(Vec<Row>, Room)> {
    let (text, values) = statement.parts();
    let mut prepared = prepare(connection, text)?;
    bind(&mut prepared, values, |_, _| Err(unbound()))?;
    let columns = prepared.column_count();
    let mut rows = prepared.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut bytes = 0;
        for column in 0..columns {
            if let ValueRef::Text(value) | ValueRef::Blob(value) = row.get_ref(column)? {
                bytes += value.len();
            }
        }
        if !room.takes(bytes) {
            break;
        }
        let values: Result<Vec<Owned>> = (0..columns).map(|column| owned(row.get_ref(column)?)).collect();
        found.push(values?.into());
    }
    Ok((found, room))
}

/// Runs a statement over many rows, piece by piece.
pub(crate) fn bulk(connection: &Connection, bulk: &Bulk) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut done = 0;
    while let Some(size) = ROWS.into_iter().find(|size| *size <= bulk.rows() - done) {
        let mut prepared = prepare(connection, &bulk.text(Backend::Sqlite, size))?;
        let columns = bulk.columns();
        let mut cells = (done..done + size).flat_map(|row| columns.iter().map(move |column| (column, row)));
        bind(&mut prepared, bulk.shared_values(), |prepared, index| {
            let (column, row) = cells.next().ok_or_else(unbound)?;
            bind_cell(prepared, index, column, row)
        })?;
        if prepared.column_count() == 0 {
            outcome.changed += prepared.raw_execute()? as u64;
        } else {
            take(&mut prepared, &mut outcome.rows)?;
        }
        done += size;
    }
    Ok(outcome)
}

/// Binds the values: `$n` is the nth value, and unnamed placeholders take the cells in order.
fn bind(
    prepared: &mut Prepared<'_>,
    values: &[Value],
    mut cell: impl FnMut(&mut Prepared<'_>, usize) -> Result<()>,
) -> Result<()> {
    let mut named = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        let index = prepared.parameter_index(&format!("${}", place + 1))?.ok_or_else(unbound)?;
        bind_value(prepared, index, value)?;
        named.push(index);
    }
    for index in 1..=prepared.parameter_count() {
        if !named.contains(&index) {
            cell(prepared, index)?;
        }
    }
    Ok(())
}

fn bind_value(prepared: &mut Prepared<'_>, index: usize, value: &Value) -> Result<()> {
    match value {
        Value::Int(value) => give(prepared, index, value),
        Value::Bool(value) => give(prepared, index, value),
        Value::Text(value) => give(prepared, index, value),
        Value::Blob(value) => give(prepared, index, value),
        Value::Uuid(value) => give(prepared, index, value.as_ref().map(|value| value.as_bytes().as_slice())),
        Value::Uuids(_) => Err(unbound()),
    }
}

fn bind_cell(prepared: &mut Prepared<'_>, index: usize, column: &Cells, row: usize) -> Result<()> {
    match column {
        Cells::Ints(values) => give(prepared, index, values.get(row)),
        Cells::MaybeInts(values) => give(prepared, index, values.get(row).and_then(Option::as_ref)),
        Cells::Bools(values) => give(prepared, index, values.get(row)),
        Cells::Texts(values) => give(prepared, index, values.get(row)),
        Cells::MaybeTexts(values) => give(prepared, index, values.get(row).and_then(Option::as_deref)),
        Cells::Blobs(values) => give(prepared, index, values.get(row)),
        Cells::MaybeBlobs(values) => give(prepared, index, values.get(row).and_then(Option::as_deref)),
        Cells::Uuids(values) => give(prepared, index, values.get(row).map(|value| value.as_bytes().as_slice())),
        Cells::MaybeUuids(values) => {
            let value = values.get(row).and_then(Option::as_ref);
            give(prepared, index, value.map(|value| value.as_bytes().as_slice()))
        }
    }
}

fn give(prepared: &mut Prepared<'_>, index: usize, value: impl ToSql) -> Result<()> {
    Ok(prepared.raw_bind_parameter(index, value)?)
}

fn take(prepared: &mut Prepared<'_>, found: &mut Vec<Row>) -> Result<()> {
    let columns = prepared.column_count();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        let values: Result<Vec<Owned>> = (0..columns).map(|column| owned(row.get_ref(column)?)).collect();
        found.push(values?.into());
    }
    Ok(())
}

fn owned(value: ValueRef<'_>) -> Result<Owned> {
    Ok(match value {
        ValueRef::Null => Owned::Null,
        ValueRef::Integer(value) => Owned::Integer(value),
        ValueRef::Real(value) => Owned::Real(value),
        ValueRef::Text(bytes) => Owned::Text(
            std::str::from_utf8(bytes)
                .map_err(|error| Error::Corrupt { what: "a text".to_owned(), source: Some(Box::new(error)) })?
                .to_owned(),
        ),
        ValueRef::Blob(bytes) => Owned::Blob(bytes.to_vec()),
    })
}

fn unbound() -> Error {
    Error::Other(EngineError::Unbound)
}
