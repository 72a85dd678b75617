//! What was counted within the last hour or minute, in sixty parts. A part counts until all of it is over, so that never
//! too little is counted.

use serde::{Deserialize, Serialize};

const PARTS: i64 = 60;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counted {
    /// Entries deleted, in an hour.
    Deletes,
    /// Users disabled, in an hour.
    Disables,
    /// Passwords set, in a minute.
    PasswordSets,
}

impl Counted {
    /// All that are counted.
    pub(crate) const ALL: [Self; 3] = [Self::Deletes, Self::Disables, Self::PasswordSets];

    /// The key of the limit.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Deletes => "max_deletes_per_hour",
            Self::Disables => "max_disables_per_hour",
            Self::PasswordSets => "max_password_sets_per_minute",
        }
    }

    /// How long each counts.
    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Deletes | Self::Disables => 3_600,
            Self::PasswordSets => 60,
        }
    }

    fn part(self) -> i64 {
        self.seconds() / PARTS
    }
}

/// The parts in which something was counted: when each began, by seconds since 1970, and how often.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Window(Vec<(i64, u32)>);

impl Window {
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    pub(super) fn add(&mut self, counted: Counted, now: i64) {
        let start = now - now.rem_euclid(counted.part());
        match self.0.iter_mut().find(|(begun, _)| *begun == start) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((start, 1)),
        }
    }

    /// Drops the parts that are over.
    pub(super) fn forget(&mut self, counted: Counted, now: i64) {
        self.0.retain(|(start, _)| start.saturating_add(counted.part()).saturating_add(counted.seconds()) > now);
    }

    /// Parts that begin later than now, or more of them than there can be, become one that begins now.
    pub(super) fn settle(&mut self, counted: Counted, now: i64) {
        self.forget(counted, now);
        let many = self.0.len() > usize::try_from(PARTS + 1).unwrap_or(usize::MAX);
        let (odd, kept): (Vec<_>, Vec<_>) = self.0.drain(..).partition(|(start, _)| many || *start > now);
        self.0 = kept;
        let sum = odd.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        if sum > 0 {
            let start = now - now.rem_euclid(counted.part());
            match self.0.iter_mut().find(|(begun, _)| *begun == start) {
                Some((_, count)) => *count = count.saturating_add(sum),
                None => self.0.push((start, sum)),
            }
        }
    }
}
