//! When a schedule runs next, and the runs after that.

use jiff::{SignedDuration, Timestamp};

use super::jitter::spread;
use super::times::Times;
use super::timing::Timing;
use crate::jobs::kind::InputError;
use crate::records::{NextRun, Schedule, ScheduleId};
use postern_store::ScheduleSettings;

/// Jitter is no longer than this.
pub const MAX_JITTER_SECONDS: u32 = 6 * 60 * 60;
/// Times between which the shortest pause is looked for.
const LOOKED_AT: usize = 50;

/// The runs of a schedule.
#[derive(Debug)]
pub struct Plan {
    id: ScheduleId,
    times: Times,
    jitter_seconds: u32,
}

impl Plan {
    /// The runs that these settings make. The error names the field, and what it may be.
    pub fn new(id: ScheduleId, settings: &ScheduleSettings) -> Result<Self, InputError> {
        let timing: Timing = serde_json::from_value(settings.timing.clone())
            .map_err(|error| InputError::new("timing", format!("it cannot be read: {error}")))?;
        let times = Times::new(&timing, &settings.time_zone)?;
        Ok(Self { id, times, jitter_seconds: settings.jitter_seconds })
    }

    /// Checks what new settings must fulfil: there is a run, and jitter does not make one run later than the next.
    pub fn checked(self, now: Timestamp) -> Result<Self, InputError> {
        let Some(first) = self.times.after(now) else {
            return Err(InputError::new("timing", "it names a day that never comes, like 30 February"));
        };
        if self.jitter_seconds > MAX_JITTER_SECONDS {
            let detail = format!("it must be from 0 to {MAX_JITTER_SECONDS}, which is six hours");
            return Err(InputError::new("jitter_seconds", detail));
        }
        let (mut time, mut shortest) = (first, SignedDuration::MAX);
        for next in std::iter::successors(self.times.after(first), |time| self.times.after(*time)).take(LOOKED_AT) {
            shortest = shortest.min(next.duration_since(time));
            time = next;
        }
        if i64::from(self.jitter_seconds) >= shortest.as_secs() && self.jitter_seconds > 0 {
            let detail = format!("it must be shorter than the {} seconds between two runs", shortest.as_secs());
            return Err(InputError::new("jitter_seconds", detail));
        }
        Ok(self)
    }

    /// The first run whose time is after this one. `None`: there is none.
    pub fn after(&self, now: Timestamp) -> Option<NextRun> {
        self.times.after(now).map(|time| NextRun { time, run_at: self.run_at(time) })
    }

    /// When the run of this time takes place.
    pub fn run_at(&self, time: Timestamp) -> Timestamp {
        spread(self.id, time, self.jitter_seconds)
    }
}

/// The next runs of a schedule, as many as are wanted. Of one that is paused, none.
pub fn next_runs(schedule: &Schedule, now: Timestamp, wanted: usize) -> Vec<Timestamp> {
    if schedule.settings.paused {
        return Vec::new();
    }
    let first = schedule.next;
    let later = Plan::new(schedule.id, &schedule.settings).ok();
    let later = std::iter::successors(later.as_ref().and_then(|plan| plan.after(first.time.max(now))), |run| {
        later.as_ref().and_then(|plan| plan.after(run.time))
    });
    std::iter::once(first.run_at).chain(later.map(|run| run.run_at)).take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::{DirectoryId, MissedRuns};

    fn settings(timing: serde_json::Value, jitter_seconds: u32) -> ScheduleSettings {
        ScheduleSettings {
            name: "nightly".to_owned(),
            directory: DirectoryId::new(),
            kind: "import".to_owned(),
            input: json!({}),
            timing,
            time_zone: "UTC".to_owned(),
            jitter_seconds,
            missed_runs: MissedRuns::Skip,
            paused: false,
        }
    }

    fn checked(timing: serde_json::Value, jitter_seconds: u32) -> Result<Plan, InputError> {
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        Plan::new(ScheduleId::new(), &settings(timing, jitter_seconds)).and_then(|plan| plan.checked(now))
    }

    #[test]
    fn jitter_is_shorter_than_the_pause_between_two_runs() {
        let cron = |text: &str| json!({"repeat": "cron", "cron": text});
        for (timing, jitter) in [
            (json!({"repeat": "hourly"}), 3_599),
            (json!({"repeat": "daily", "at": "02:30"}), MAX_JITTER_SECONDS),
            (cron("* * * * *"), 59),
            (cron("0,10 3 * * *"), 599),
        ] {
            checked(timing.clone(), jitter).unwrap();
            checked(timing.clone(), 0).unwrap();
            let error = checked(timing, jitter + 1).unwrap_err();
            assert_eq!(error.field, "jitter_seconds", "{error}");
        }
        let never = checked(cron("0 0 30 2 *"), 0).unwrap_err();
        assert!(never.field == "timing.cron" && never.detail.contains("never comes"), "{never}");
    }

    #[test]
    fn runs_come_in_the_order_of_their_times_whatever_the_jitter() {
        let plan = checked(json!({"repeat": "hourly"}), 3_599).unwrap();
        let mut run = plan.after("2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
        for _ in 0..500 {
            let next = plan.after(run.time).unwrap();
            assert!(run.time <= run.run_at && run.run_at < next.time, "{run:?} {next:?}");
            run = next;
        }
    }
}
