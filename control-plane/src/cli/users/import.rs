//! `postern users import`: users from a CSV file.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::super::super::api::bulk_users::{BulkAnswer, BulkRequest};
use super::super::client::Client;
use super::super::error::Error;
use super::super::screen::Screen;
use super::csv_file::{self, Line};
use super::definitions::definitions;
use super::import_report::ImportReport;

/// Most users and most bytes of one request. Small, so that a slow control plane answers in time.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 512 << 10;

/// A file to import.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct Import {
    /// CSV file, UTF-8, with a first line of column names
    file: PathBuf,
    /// Write the users [default: only show what would change]
    #[arg(long)]
    apply: bool,
}

/// Imports a file, or shows what would become of its users.
pub(super) async fn import(args: &Import, client: &Client, screen: &mut Screen) -> Result<(), Error> {
    let lines = csv_file::read(&args.file, &definitions(client).await?)?;
    let mut report = ImportReport::new(args.apply);
    let (mut rest, mut stopped) = (&lines[..], None);
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(batch_size(rest));
        match send(batch, args.apply, client).await {
            Ok(answer) => report.add(batch, answer, screen)?,
            Err(error) => {
                stopped = Some(report.stopped(batch, error));
                break;
            }
        }
        rest = later;
        progress(lines.len() - rest.len(), lines.len());
    }
    report.end(screen)?;
    match (stopped, report.refused()) {
        (Some(error), _) => Err(error),
        (None, 0) => Ok(()),
        (None, refused) => {
            let what = if refused == 1 { "1 line of" } else { &format!("{refused} lines of") };
            let verb = if refused == 1 { "was" } else { "were" };
            Err(Error::Usage(format!("{what} {} {verb} refused", args.file.display())))
        }
    }
}

/// How many of the next lines go into one request.
fn batch_size(lines: &[Line]) -> usize {
    let mut bytes = 0;
    for (count, line) in lines.iter().take(BATCH).enumerate() {
        bytes += if line.refused.is_none() { line.bytes + 1 } else { 0 };
        if count > 0 && bytes > BATCH_BYTES {
            return count;
        }
    }
    lines.len().min(BATCH)
}

async fn send(batch: &[Line], apply: bool, client: &Client) -> Result<BulkAnswer, Error> {
    let users: Vec<_> = batch.iter().filter(|line| line.refused.is_none()).map(|line| line.user.clone()).collect();
    if users.is_empty() {
        return Ok(BulkAnswer { results: Vec::new() });
    }
    client.post_patiently("bulk-users", &BulkRequest { dry_run: !apply, users }).await
}

/// Shows on a terminal how much of the file is done.
fn progress(done: usize, all: usize) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() && all > 0 {
        let bar = "#".repeat(done * 30 / all);
        // A terminal that is gone needs no bar.
        let _ = write!(terminal, "\r[{bar:30}] {:3} %", done * 100 / all);
        if done >= all {
            let _ = writeln!(terminal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bulk_users::BulkUser;

    #[test]
    fn a_request_has_few_users_and_few_bytes() {
        let line = |bytes, refused: bool| Line {
            number: 1,
            user: BulkUser::default(),
            bytes,
            refused: refused.then(|| "no".to_owned()),
        };
        let size = |bytes, refused| batch_size(&(0..1_000).map(|_| line(bytes, refused)).collect::<Vec<_>>());
        assert_eq!((size(100, false), size(200 << 10, false), size(600 << 10, false)), (BATCH, 2, 1));
        assert_eq!(size(600 << 10, true), BATCH, "a refused line is not sent");
        assert_eq!(batch_size(&[line(1, false)]), 1);
    }
}
