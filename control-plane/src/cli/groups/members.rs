//! `postern groups add` and `remove`: many members at a time, with a line for each that failed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::super::super::api::change_groups::{MemberResult, MemberResultKind, MembersChanged, MembersRequest};
use super::super::super::api::groups::GroupDetail;
use super::super::client::Client;
use super::super::error::Error;
use super::super::files;
use super::super::name::Name;
use super::super::screen::{Screen, plain};

/// Members in one request.
const BATCH: usize = 1_000;
/// Bytes of names in one request.
const BATCH_BYTES: usize = 48 * 1024;
/// Longest line of a file.
const LINE_BYTES: usize = 4_096;

/// Which members.
#[derive(Debug, Args)]
pub(in super::super) struct Members {
    /// Ids or names of users or groups
    #[arg(required_unless_present = "file")]
    members: Vec<String>,
    /// File with an id or name on each line
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Members {
    /// Those that are named here. `None`: a file names more, or they are too many for one question.
    pub(super) fn named(&self) -> Option<Vec<String>> {
        let few = self.file.is_none() && self.members.len() <= BATCH;
        few.then(|| self.members.clone())
    }
}

/// Whether members come or go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    /// They become members.
    Add,
    /// They cease to be members.
    Remove,
}

/// What came of all of them.
#[derive(Debug, Default, Serialize)]
struct Counts {
    changed: u64,
    unchanged: u64,
    /// Those that a directory was asked to change.
    pending: u64,
    failed: u64,
    /// Those that failed.
    failures: Vec<MemberResult>,
}

/// Adds members to a group or removes them from it.
pub(super) async fn change(
    group: &Name,
    members: Members,
    direction: Direction,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Error> {
    let detail: GroupDetail = client.get(&format!("groups/{group}"), &[]).await?;
    let path = format!("groups/{}/members", detail.group.id);
    let mut sending = Sending { path, direction, client, screen, waiting: Vec::new(), counts: Counts::default() };
    for member in members.members {
        sending.add(member).await?;
    }
    if let Some(path) = &members.file {
        let failed = |error| files::unreadable(path, error);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        while let Some(line) = line(&mut file).map_err(failed)? {
            if !line.is_empty() {
                sending.add(line).await?;
            }
        }
    }
    sending.send().await?;
    sending.end()
}

/// The next line, without blanks around it. `None`: there is none. What is longer than a name may be ends early and names
/// nobody.
fn line(file: &mut BufReader<File>) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let (taken, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), false),
        };
        let room = LINE_BYTES.saturating_sub(bytes.len());
        bytes.extend(buffer.iter().take(taken.min(room)));
        file.consume(taken);
        if ended {
            let text = String::from_utf8_lossy(&bytes);
            return Ok(Some(text.trim_start_matches('\u{feff}').trim().to_owned()));
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_start_matches('\u{feff}').trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Members on their way to the control plane.
struct Sending<'c> {
    path: String,
    direction: Direction,
    client: &'c Client,
    screen: &'c mut Screen,
    waiting: Vec<String>,
    counts: Counts,
}

impl Sending<'_> {
    async fn add(&mut self, member: String) -> Result<(), Error> {
        let bytes: usize = self.waiting.iter().chain([&member]).map(|name| name.len() + 3).sum();
        if self.waiting.len() >= BATCH || bytes > BATCH_BYTES {
            self.send().await?;
        }
        self.waiting.push(member);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Error> {
        let members = std::mem::take(&mut self.waiting);
        if members.is_empty() {
            return Ok(());
        }
        let request = match self.direction {
            Direction::Add => MembersRequest { add: members, remove: Vec::new() },
            Direction::Remove => MembersRequest { add: Vec::new(), remove: members },
        };
        let answer: MembersChanged = self.client.post(&self.path, &request).await?;
        answer.results.into_iter().try_for_each(|result| self.note(result))
    }

    fn note(&mut self, result: MemberResult) -> Result<(), Error> {
        match result.result {
            MemberResultKind::Added | MemberResultKind::Removed => self.counts.changed += 1,
            MemberResultKind::WasMember | MemberResultKind::WasNoMember => self.counts.unchanged += 1,
            MemberResultKind::Pending => self.counts.pending += 1,
            MemberResultKind::NotFound | MemberResultKind::Refused => {
                self.counts.failed += 1;
                if self.screen.is_json() {
                    self.counts.failures.push(result);
                } else {
                    let why = result.detail.as_deref().unwrap_or("There is no such user or group.");
                    self.screen.line(plain(&format!("{}: {why}", result.member)))?;
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        let Counts { changed, unchanged, pending, failed, .. } = &self.counts;
        if self.screen.is_json() {
            self.screen.json(&self.counts)?;
        } else {
            let one = *unchanged == 1;
            self.screen.line(match self.direction {
                Direction::Add if one => format!("{changed} added, 1 was a member already, {failed} failed."),
                Direction::Add => format!("{changed} added, {unchanged} were members already, {failed} failed."),
                Direction::Remove if one => format!("{changed} removed, 1 was not a member, {failed} failed."),
                Direction::Remove => format!("{changed} removed, {unchanged} were not members, {failed} failed."),
            })?;
            if *pending > 0 {
                self.screen.line(format!("The directory was asked to change {pending}: see `postern groups show`."))?;
            }
        }
        if *failed > 0 { Err(Error::Usage(format!("{failed} members failed"))) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_on_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members");
        let long = "x".repeat(LINE_BYTES * 3);
        std::fs::write(&path, format!("\u{feff}ada\r\n\n  bob b. \n{long}\neve")).unwrap();
        let mut file = BufReader::new(File::open(&path).unwrap());
        let mut lines = Vec::new();
        while let Some(line) = line(&mut file).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["ada", "", "bob b.", &long[..LINE_BYTES], "eve"]);
    }
}
