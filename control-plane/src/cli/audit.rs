//! `postern audit`: who changed what.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::super::api::audit::{AuditEntryView, AuditVerdictView};
use super::super::api::export::ExportFormat;
use super::client::Client;
use super::error::Error;
use super::list::{Found, ListArgs};
use super::moment;
use super::output_file::download;
use super::screen::{Screen, text_or, time};

/// Commands of `postern audit`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List changes, the latest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Verify that nobody has edited, removed or moved an entry
    #[command(
        after_help = "The command prints the end of the log. Keep it outside of the control plane, for example in a \
        ticket, and give it with --known the next time. Then a log that was rewritten as a whole is found, too."
    )]
    Verify {
        /// The `end:` line of an earlier `verify`
        #[arg(long, value_name = "SEQ:HASH")]
        known: Option<String>,
    },
    /// Write the log to a file or to standard output
    Export {
        #[command(flatten)]
        filter: Filter,
        /// Form of the file
        #[arg(long, default_value = "ndjson")]
        format: ExportFormat,
        /// File to write; it must not exist [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Which changes are wanted.
#[derive(Clone, Debug, Args)]
pub(super) struct Filter {
    /// Only changes by this token or schedule, by id or name
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Only this action, like token.revoked, or a group of actions, like token
    #[arg(long)]
    action: Option<String>,
    /// Only changes of this object, by id or name
    #[arg(long)]
    object: Option<String>,
    /// Only changes at this time or later, like 2026-01-31T00:00:00Z, a date (midnight UTC), or 30d for thirty days ago
    #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
    since: Option<Timestamp>,
    /// Only changes before this time
    #[arg(long, value_name = "TIME", value_parser = moment::earlier)]
    until: Option<Timestamp>,
}

impl Filter {
    fn query(self) -> Vec<(&'static str, String)> {
        let times = [("since", self.since), ("until", self.until)];
        let texts = [("actor", self.by), ("action", self.action), ("object", self.object)];
        let times = times.into_iter().filter_map(|(name, at)| Some((name, at?.to_string())));
        texts.into_iter().filter_map(|(name, text)| Some((name, text?))).chain(times).collect()
    }
}

pub(super) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    match command {
        Command::List { filter, args } => {
            let entries: Found<AuditEntryView> = client.list("audit", &filter.query(), args.most()).await?;
            let head = ["seq", "time", "by", "from", "action", "object", "before", "after", "object id"];
            screen.list(&entries, &args, &head, row)
        }
        Command::Verify { known } => {
            let query: Vec<_> = known.map(|known| ("known", known)).into_iter().collect();
            let verdict: AuditVerdictView = client.get("audit/verify", &query).await?;
            verified(&verdict, screen)
        }
        Command::Export { filter, format, output } => {
            let mut query = filter.query();
            query.push(("format", if format == ExportFormat::Csv { "csv" } else { "ndjson" }.to_owned()));
            download("audit/export", &query, output.as_deref(), client, screen).await
        }
    }
}

fn row(entry: &AuditEntryView) -> Vec<String> {
    let json = |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    vec![
        entry.seq.to_string(),
        time(entry.at),
        entry.actor_name.clone(),
        text_or(entry.address.as_deref(), "-"),
        entry.action.clone(),
        entry.object.clone(),
        json(&entry.before),
        json(&entry.after),
        entry.object_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
    ]
}

fn verified(verdict: &AuditVerdictView, screen: &mut Screen) -> Result<(), Error> {
    if screen.is_json() {
        screen.json(verdict)?;
    } else if verdict.whole {
        screen.line(format!("The log is whole: {} entries.", verdict.entries))?;
        for (name, text) in [("no longer kept, until", &verdict.anchor), ("end", &verdict.head)] {
            if let Some(text) = text {
                screen.line(format!("{name}: {text}"))?;
            }
        }
    }
    let next = "Compare it with an export or a backup from before: somebody has written to the database directly";
    let Some(seq) = verdict.wrong_seq else { return Ok(()) };
    let fault = match verdict.fault.as_deref() {
        Some("missing") => format!("entry {seq} is missing. {next}"),
        Some("foreign") => format!("entry {seq} is not part of it. {next}"),
        Some("removed") => format!("the entries up to {seq} are gone, but not because they were too old. {next}"),
        Some("not_kept") => {
            return Err(Error::Usage(format!(
                "entry {seq} became too old and is no longer kept, so the log cannot be compared with it. Give a later end"
            )));
        }
        _ => format!("entry {seq} was changed, or the one before it. {next}"),
    };
    Err(Error::AuditFault(fault))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(wrong: &Value, fault: &Value) -> Result<(), Error> {
        let whole = wrong.is_null();
        let verdict = json!({
            "whole": whole, "entries": 9, "anchor": null, "head": "9:00ff", "wrong_seq": wrong, "fault": fault,
        });
        verified(&serde_json::from_value(verdict).unwrap(), &mut Screen::new(Box::new(std::io::sink()), false))
    }

    #[test]
    fn a_log_that_is_not_whole_ends_the_command_with_an_error() {
        assert!(verdict(&Value::Null, &Value::Null).is_ok());
        for (fault, says) in [
            ("changed", "entry 7 was changed"),
            ("missing", "entry 7 is missing"),
            ("foreign", "entry 7 is not part of it"),
            ("removed", "the entries up to 7 are gone"),
        ] {
            let error = verdict(&json!(7), &json!(fault)).unwrap_err();
            assert!(matches!(error, Error::AuditFault(_)) && error.exit_code() != 0, "{fault}");
            assert!(error.explain().contains(says), "{}", error.explain());
        }
        let late = verdict(&json!(7), &json!("not_kept")).unwrap_err();
        assert!(matches!(&late, Error::Usage(text) if text.contains("Give a later end")), "{late:?}");
    }
}
