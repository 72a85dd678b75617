//! `postern jobs preview`: what an import would do, user by user and group by group, as a table, as CSV or as JSON.

use std::path::{Path, PathBuf};

use clap::Args;
use postern_engine::intake::preview::row::{Action, Row};

use super::super::super::api::jobs::preview::{actions, lines};
use super::super::choice::choice;
use super::super::client::Client;
use super::super::error::Error;
use super::super::list::{Found, ListArgs};
use super::super::name::Name;
use super::super::output_file::download;
use super::super::screen::Screen;

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
        query.push(("format", "csv".to_owned()));
        let file = Some(file.as_path()).filter(|file| *file != Path::new("-"));
        return download(&path, &query, file, client, screen).await;
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
