//! Runs of many schedules at one time are spread. By how much a run is later follows from the schedule and the time, so
//! that all replicas agree on it.

use jiff::{SignedDuration, Timestamp};

use crate::records::ScheduleId;

/// When the run of this time takes place: up to so many seconds later.
pub fn spread(schedule: ScheduleId, time: Timestamp, most_seconds: u32) -> Timestamp {
    let mut hasher = blake3::Hasher::new();
    hasher.update(schedule.as_uuid().as_bytes()).update(&time.as_millisecond().to_be_bytes());
    let mut start = [0; 8];
    start.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    let seconds = u64::from_be_bytes(start) % (u64::from(most_seconds) + 1);
    let later = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default());
    time.checked_add(later).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn runs_are_spread_over_the_whole_jitter_and_always_alike() {
        let (one, other) = (ScheduleId::new(), ScheduleId::new());
        let time = |hour: i64| Timestamp::from_second(1_800_000_000 + hour * 3_600).unwrap();
        let late = |schedule, hour| spread(schedule, time(hour), 59).duration_since(time(hour)).as_secs();
        let all: BTreeSet<i64> = (0..2_000).map(|hour| late(one, hour)).collect();
        assert_eq!((all.first(), all.last(), all.len()), (Some(&0), Some(&59), 60));
        assert!((0..100).all(|hour| late(one, hour) == late(one, hour)));
        assert!((0..100).any(|hour| late(one, hour) != late(other, hour)), "two schedules are spread differently");
        assert_eq!(spread(one, time(0), 0), time(0));
        assert!(spread(one, Timestamp::MAX, 3_600) >= Timestamp::MAX, "the end of time is no panic");
    }
}
