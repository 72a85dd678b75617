//! The times of a timing in a time zone, with the two changes of its clocks.
//!
//! A time that the clocks leave out runs right after the gap, and a time that comes twice runs the first time. A timing
//! that runs in every hour of the day goes by hours that pass instead: it runs in both of two hours of the same name, and
//! has nothing to run in an hour that does not come. The search runs on local time, which knows no such changes; each
//! time that it finds is then placed in the time zone.

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use postern_runtime::nearest;

use super::timing::Timing;
use crate::jobs::kind::InputError;

const HOURS: usize = 24;
/// Times that a search passes over because they come twice: all minutes of two hours, and more than any zone needs.
const MOST_PASSED: usize = 3 * 60;
/// Longer than any name of a time zone.
const MAX_ZONE_BYTES: usize = 64;
/// What lies among the zones of many machines and is none of IANA's: each machine has another one by that name.
const NOT_IANA: &[&str] = &["localtime", "posixrules", "Factory"];

/// The times of a timing.
#[derive(Debug)]
pub struct Times {
    cron: Cron,
    zone: TimeZone,
}

impl Times {
    /// The times of this timing in the time zone of this name. The error names the field, and what it may be.
    pub fn new(timing: &Timing, time_zone: &str) -> Result<Self, InputError> {
        Ok(Self { cron: timing.read()?, zone: zone(time_zone)? })
    }

    /// The first time after this one. `None`: there is none.
    pub fn after(&self, now: Timestamp) -> Option<Timestamp> {
        if self.cron.pattern.hours.values().len() == HOURS {
            return self.cron.find_next_occurrence(&self.zoned(now), false).ok().map(|found| found.timestamp());
        }
        let mut local = self.zone.to_datetime(now);
        for _ in 0..MOST_PASSED {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let found = self.place(local)?;
            if found > now {
                return Some(found);
            }
        }
        None
    }

    fn zoned(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// When the clocks show this, for the first time; or the end of the gap in which they never do.
    fn place(&self, local: DateTime) -> Option<Timestamp> {
        let found = self.zone.to_ambiguous_timestamp(local);
        match found.offset() {
            AmbiguousOffset::Gap { .. } => {
                let before = found.earlier().ok()?;
                self.zone.following(before).next().map(|change| change.timestamp())
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => found.earlier().ok(),
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, InputError> {
    let fits = |name: &&str| name.len() <= MAX_ZONE_BYTES && !NOT_IANA.iter().any(|it| name.eq_ignore_ascii_case(it));
    let found = Some(name).filter(fits).and_then(|name| TimeZone::get(name).ok());
    found.filter(|zone| !zone.is_unknown()).ok_or_else(|| {
        let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
        let is_city = |zone: &&str| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name));
        let known = known.iter().map(String::as_str);
        let meant = known.clone().find(is_city).or_else(|| nearest::one(name, known));
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        let detail = format!("there is no such time zone; give an IANA name like UTC or Europe/Berlin{meant}");
        InputError::new("time_zone", detail)
    })
}

#[cfg(test)]
mod tests;
