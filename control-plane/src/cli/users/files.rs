//! `postern users import` and `export`: users in a CSV file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use postern_engine::identity::attributes;
use postern_engine::records::AttributeDefinition;
use postern_engine::spreadsheet;
use serde_json::{Value, json};

use super::super::super::api::attributes::AttributeView;
use super::super::super::api::bulk_users::{BulkAnswer, BulkOutcome, BulkRequest, BulkResult};
use super::super::super::api::change_users::UserRequest;
use super::super::super::api::page::Listing;
use super::super::super::api::users::UserView;
use super::super::client::Client;
use super::super::error::Error;
use super::super::output_file::OutputFile;
use super::super::screen::Screen;

/// Users of one request, and the bytes after which one is sent.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 256 << 10;
/// Columns of an export that say what Postern knows by itself; an import passes over them.
const KNOWN: [&str; 3] = ["id", "active", "missing_since"];
const FIELDS: [&str; 5] = ["user_name", "given_name", "family_name", "display_name", "email"];

/// A file to import.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct Import {
    /// CSV file, UTF-8, with a first line of column names
    file: PathBuf,
    /// Write the users [default: only show what would become of them]
    #[arg(long)]
    apply: bool,
}

/// A file to export to.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct Export {
    /// File to write; it must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Further attributes to write beside those that you have defined
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    attributes: Vec<String>,
}

/// How many users became what.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    created: u64,
    changed: u64,
    unchanged: u64,
    refused: u64,
}

impl Counts {
    fn add(&mut self, outcome: BulkOutcome) {
        match outcome {
            BulkOutcome::Created => self.created += 1,
            BulkOutcome::Changed => self.changed += 1,
            BulkOutcome::Unchanged => self.unchanged += 1,
            BulkOutcome::Refused => self.refused += 1,
        }
    }
}

fn unreadable(path: &Path, error: &csv::Error) -> Error {
    Error::Usage(format!("{} cannot be read as CSV: {error}", path.display()))
}

/// Imports a file, or shows what would become of its users.
pub(super) async fn import(args: &Import, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let failed = |source| Error::Io { what: "reading the file", source };
    let file = File::open(&args.file).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let defined = definitions(client).await?;
    let mut reader = csv::Reader::from_reader(file);
    let head = reader.headers().map_err(|error| unreadable(&args.file, &error))?.clone();
    let columns = columns(&head)?;
    let (mut counts, mut batch, mut bytes) = (Counts::default(), Vec::new(), 0);
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record).map_err(|error| unreadable(&args.file, &error))?;
        if more {
            let line = record.position().map_or(0, csv::Position::line);
            bytes += record.as_slice().len();
            batch.push((line, user(&columns, &record, &defined)));
        }
        if batch.len() >= BATCH || bytes >= BATCH_BYTES || (!more && !batch.is_empty()) {
            send(std::mem::take(&mut batch), args.apply, client, screen, &mut counts).await?;
            bytes = 0;
            progress(reader.position().byte(), size);
        }
        if !more {
            return end(counts, args, screen);
        }
    }
}

fn end(counts: Counts, args: &Import, screen: &mut Screen) -> Result<(), Error> {
    let Counts { created, changed, unchanged, refused } = counts;
    if screen.is_json() {
        screen.json(&json!({
            "applied": args.apply, "created": created, "changed": changed, "unchanged": unchanged, "refused": refused,
        }))?;
    } else if args.apply {
        screen.line(format!("{created} created, {changed} changed, {unchanged} unchanged, {refused} refused."))?;
    } else {
        screen.line(format!(
            "{created} would be created, {changed} changed, {unchanged} stay as they are, {refused} would be refused. \
             Nothing was written; add --apply to write."
        ))?;
    }
    if refused > 0 {
        Err(Error::Usage(format!("{refused} lines of {} are refused", args.file.display())))
    } else {
        Ok(())
    }
}

/// What each column of a file is.
fn columns(head: &csv::StringRecord) -> Result<Vec<String>, Error> {
    let names: Vec<String> = head.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    for (place, name) in names.iter().enumerate() {
        if name.is_empty() || names[..place].contains(name) {
            return Err(Error::Usage(format!("column {} has no name, or the name of an earlier one", place + 1)));
        }
    }
    if !names.iter().any(|name| name == "user_name") {
        return Err(Error::Usage("the file has no column user_name; its first line must name the columns".to_owned()));
    }
    Ok(names)
}

/// A line as a user. An empty cell says nothing.
fn user(columns: &[String], record: &csv::StringRecord, defined: &[AttributeDefinition]) -> UserRequest {
    let mut user = UserRequest::default();
    for (name, cell) in columns.iter().zip(record.iter().map(spreadsheet::original)) {
        if cell.is_empty() {
            continue;
        }
        match name.as_str() {
            "user_name" => cell.clone_into(&mut user.user_name),
            "given_name" => user.given_name = Some(cell.to_owned()),
            "family_name" => user.family_name = Some(cell.to_owned()),
            "display_name" => user.display_name = Some(cell.to_owned()),
            "email" => user.email = Some(cell.to_owned()),
            name if KNOWN.contains(&name) => {}
            name => {
                let definition = defined.iter().find(|defined| defined.name == name);
                user.attributes.insert(name.to_owned(), attributes::from_text(definition, cell));
            }
        }
    }
    user
}

async fn definitions(client: &Client) -> Result<Vec<AttributeDefinition>, Error> {
    let defined: Listing<AttributeView> = client.get("attributes", &[]).await?;
    Ok(defined.items.into_iter().map(AttributeDefinition::from).collect())
}

async fn send(
    batch: Vec<(u64, UserRequest)>,
    apply: bool,
    client: &Client,
    screen: &mut Screen,
    counts: &mut Counts,
) -> Result<(), Error> {
    let (lines, users): (Vec<u64>, Vec<UserRequest>) = batch.into_iter().unzip();
    let names: Vec<String> = users.iter().map(|user| user.user_name.clone()).collect();
    let answer: BulkAnswer = client.post("users/bulk", &BulkRequest { dry_run: !apply, users }).await?;
    for ((line, name), result) in lines.into_iter().zip(names).zip(answer.results) {
        counts.add(result.outcome);
        if result.outcome != BulkOutcome::Unchanged && !screen.is_json() {
            screen.line(said(line, &name, &result))?;
        }
    }
    Ok(())
}

fn said(line: u64, name: &str, result: &BulkResult) -> String {
    let values = |values: &BTreeMap<String, Value>, name: &String| {
        values.get(name).map_or_else(
            || "nothing".to_owned(),
            |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    let mut fields: Vec<&String> = result.before.keys().chain(result.after.keys()).collect();
    fields.sort();
    fields.dedup();
    let changes: Vec<String> = fields
        .into_iter()
        .map(|field| format!("{field}: {} -> {}", values(&result.before, field), values(&result.after, field)))
        .collect();
    match result.outcome {
        BulkOutcome::Created => format!("line {line}: {name} created"),
        BulkOutcome::Changed => format!("line {line}: {name} changed; {}", changes.join("; ")),
        BulkOutcome::Unchanged => format!("line {line}: {name} unchanged"),
        BulkOutcome::Refused => {
            format!("line {line}: {name} refused: {}", result.reason.as_deref().unwrap_or("no reason is given"))
        }
    }
}

/// Shows on a terminal how much of the file is done.
fn progress(done: u64, size: u64) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() && size > 0 {
        let width = 30;
        let filled = usize::try_from(done.min(size) * width / size).unwrap_or_default();
        let bar = "#".repeat(filled);
        // A terminal that is gone needs no bar.
        let _ = write!(terminal, "\r[{bar:30}] {:3} %", done.min(size) * 100 / size);
        if done >= size {
            let _ = writeln!(terminal);
        }
    }
}

/// Writes all users to a file, a page at a time.
pub(super) async fn export(args: &Export, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let mut further: Vec<String> = definitions(client).await?.into_iter().map(|defined| defined.name).collect();
    further.extend(args.attributes.iter().filter(|name| !further.contains(name)).cloned().collect::<Vec<_>>());
    let mut file = args.output.as_deref().map(OutputFile::create).transpose()?;
    let mut put = |line: String| match &mut file {
        Some(file) => file.write(line.as_bytes()),
        None => screen.bytes(line.as_bytes()),
    };
    let head = FIELDS.iter().chain(&KNOWN).map(|name| (*name).to_owned()).chain(further.iter().cloned());
    put(spreadsheet::line(head))?;
    let mut query = vec![("limit", "1000".to_owned())];
    loop {
        let page: Listing<UserView> = client.get("users", &query).await?;
        for user in &page.items {
            put(spreadsheet::line(cells(user, &further)?))?;
        }
        match page.next_cursor {
            Some(cursor) => query = vec![("limit", "1000".to_owned()), ("cursor", cursor)],
            None => break,
        }
    }
    file.map_or(Ok(()), OutputFile::finish)
}

fn cells(user: &UserView, further: &[String]) -> Result<Vec<String>, Error> {
    let attributes: BTreeMap<String, Value> = serde_json::from_str(user.attributes.get())?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut cells = vec![
        user.user_name.clone(),
        text(&user.given_name),
        text(&user.family_name),
        text(&user.display_name),
        text(&user.email),
        user.id.to_string(),
        user.active.to_string(),
        user.missing_since.map(|at| at.to_string()).unwrap_or_default(),
    ];
    cells.extend(further.iter().map(|name| match attributes.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
        Some(value) => value.to_string(),
    }));
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<UserRequest> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = columns(&reader.headers().unwrap().clone()).unwrap();
        let records = reader.records().map(|record| user(&columns, &record.unwrap(), &[]));
        records.collect()
    }

    #[test]
    fn a_line_is_a_user_and_an_empty_cell_says_nothing() {
        let users = read("\u{feff}user_name,email,title,id\r\nada,,\"Dr., PhD\",7\r\nbo,bo@example.org,,\r\n");
        assert_eq!((users[0].user_name.as_str(), users[0].email.as_deref()), ("ada", None));
        assert_eq!(users[0].attributes, BTreeMap::from([("title".to_owned(), json!("Dr., PhD"))]));
        assert_eq!((users[1].email.as_deref(), users[1].attributes.len()), (Some("bo@example.org"), 0));
    }

    #[test]
    fn what_an_export_writes_is_read_as_it_was() {
        let line = spreadsheet::line(["=ada", "+1", "-2"]);
        let users = read(&format!("user_name,title,floor\r\n{line}"));
        assert_eq!(users[0].user_name, "=ada");
        assert_eq!(users[0].attributes["title"], "+1");
    }

    #[test]
    fn a_file_without_names_is_refused() {
        for head in ["name,email", "user_name,user_name", "user_name,,email"] {
            let record = csv::StringRecord::from(head.split(',').collect::<Vec<_>>());
            assert!(columns(&record).is_err(), "{head}");
        }
    }
}
