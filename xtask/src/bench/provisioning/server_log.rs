//! What happened in the directory and when, as slapd's own log says.

use std::time::Duration;

use anyhow::{Context as _, Result};
use postern_tests::slapd::Slapd;

/// What `RESULT` says of a modify that succeeded, and of an add.
pub(super) const MODIFIED: &str = "RESULT tag=103 err=0";
pub(super) const ADDED: &str = "RESULT tag=105 err=0";

/// A place in the log, from which it is read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    bytes: u64,
}

impl Reader {
    /// The end of the log as it is now.
    pub(super) fn at_the_end(slapd: &Slapd) -> Result<Self> {
        let mut reader = Self::default();
        reader.lines(slapd)?;
        Ok(reader)
    }

    /// The lines since the last look, with the time of each since the epoch.
    pub(super) fn lines(&mut self, slapd: &Slapd) -> Result<Vec<(Duration, String)>> {
        let text = slapd.process().context("slapd does not run")?.log_after(self.bytes)?;
        self.bytes += u64::try_from(text.len())?;
        Ok(text.lines().filter_map(|line| Some((time(line)?, line.to_owned()))).collect())
    }
}

/// The time of a line: seconds and nanoseconds in hexadecimal digits, as `6569c1a2.0bd43d1f`.
fn time(line: &str) -> Option<Duration> {
    let (seconds, fraction) = line.split(' ').next()?.split_once('.')?;
    let of = |digits: &str| u64::from_str_radix(digits, 16).ok();
    Some(Duration::from_secs(of(seconds)?) + Duration::from_nanos(of(fraction)?))
}
