//! `postern jobs preview`: what an import would do, user by user and group by group, as a table, as CSV or as JSON.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use postern_engine::intake::preview::row::{Action, Row};
use postern_engine::jobs::report::value;
use postern_engine::spreadsheet;
use serde_json::Value;

use super::super::super::api::page::Listing;
use super::super::choice::choice;
use super::super::client::Client;
use super::super::error::Error;
use super::super::list::{Found, ListArgs};
use super::super::name::Name;
use super::super::screen::Screen;

const HEAD: [&str; 9] = ["kind", "name", "dn", "container", "actions", "waits", "attribute", "before", "after"];

/// Which preview to show, and how.
#[derive(Debug, Args)]
pub(in super::super) struct Preview {
    /// Id of the job, or its beginning
    id: Name,
    /// Only users and groups that this would happen to
    #[arg(long, value_parser = choice::<Action>())]
    action: Option<Action>,
    /// Write all of it as CSV to this file, which must not exist; `-` is standard output. Each changed value has a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["limit", "all", "columns", "json"])]
    csv: Option<PathBuf>,
    #[command(flatten)]
    args: ListArgs,
}

pub(super) async fn show(preview: Preview, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let path = format!("jobs/{}/preview", preview.id);
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(preview.action.map(|action| ("action", action.as_str().to_owned())));
    if let Some(file) = &preview.csv {
        return csv(&path, query, file, client, screen).await;
    }
    let found: Found<Row> = client.list(&path, &query, preview.args.most()).await?;
    screen.list(&found, &preview.args, &["kind", "name", "what happens", "waits", "values", "dn"], |row| {
        let values: Vec<String> = lines(row)
            .into_iter()
            .map(
                |[name, before, after]| {
                    if before.is_empty() && after.is_empty() { name } else { format!("{name}: {before} -> {after}") }
                },
            )
            .collect();
        let dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
        vec![
            row.kind.clone(),
            dash(row.name.as_ref()),
            actions(row).replace('_', " "),
            if row.waits { "yes" } else { "no" }.to_owned(),
            if values.is_empty() { "-".to_owned() } else { values.join("; ") },
            dash(row.dn.as_ref()),
        ]
    })
}

/// Writes all rows, a page at a time.
async fn csv(
    path: &str,
    filter: Vec<(&str, String)>,
    file: &PathBuf,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Error> {
    let failed = |source| Error::Io { what: "writing the file", source };
    let mut file = match file.to_str() {
        Some("-") => None,
        _ => Some(File::options().write(true).create_new(true).open(file).map_err(failed)?),
    };
    let mut put = |line: String| match &mut file {
        Some(file) => file.write_all(line.as_bytes()).map_err(failed),
        None => screen.bytes(line.as_bytes()),
    };
    put(spreadsheet::line(HEAD))?;
    let mut cursor: Option<String> = None;
    loop {
        let mut query = filter.clone();
        query.push(("limit", "1000".to_owned()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Listing<Row> = client.get(path, &query).await?;
        for row in &page.items {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let waits = if row.waits { "yes" } else { "no" }.to_owned();
            let head = [row.kind.clone(), text(&row.name), text(&row.dn), text(&row.container), actions(row), waits];
            let mut values = lines(row);
            if values.is_empty() {
                values.push(Default::default());
            }
            for value in values {
                put(spreadsheet::line(head.iter().chain(&value)))?;
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    file.map_or(Ok(()), |file| file.sync_all().map_err(failed))
}

fn actions(row: &Row) -> String {
    row.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(" ")
}

/// What changes in a row: attribute, before and after.
fn lines(row: &Row) -> Vec<[String; 3]> {
    let text = |shown: &Value| if shown.is_null() { String::new() } else { value(shown) };
    let mut lines: Vec<[String; 3]> = row
        .changes
        .iter()
        .map(|change| [change.attribute.clone(), text(&change.before), text(&change.after)])
        .collect();
    lines.extend(row.account_attributes.iter().map(|name| [format!("account {name}"), String::new(), String::new()]));
    if let Some(members) = &row.members {
        for (name, count, names) in [
            ("members added", members.added, &members.added_names),
            ("members removed", members.removed, &members.removed_names),
        ] {
            if count > 0 {
                let more = if count > names.len() as u64 { ", …" } else { "" };
                lines.push([name.to_owned(), String::new(), format!("{count}: {}{more}", names.join(", "))]);
            }
        }
    }
    lines
}
