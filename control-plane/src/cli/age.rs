//! Ages of things, for people.

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The age of something, in the largest unit that gives at least two.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).unsigned_abs().as_secs();
    if at > now && seconds > MINUTE {
        return "in the future: a clock is wrong".to_owned();
    }
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / MINUTE),
        7_200..172_800 => format!("{} h ago", seconds / HOUR),
        _ => format!("{} days ago", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn ages_are_rounded_down_in_the_unit_that_people_use() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let said = |seconds| ago(now - SignedDuration::from_secs(seconds), now);
        assert_eq!(said(0), "0 s ago");
        assert_eq!(said(119), "119 s ago");
        assert_eq!(said(120), "2 min ago");
        assert_eq!(said(7_199), "119 min ago");
        assert_eq!(said(7_200), "2 h ago");
        assert_eq!(said(172_800), "2 days ago");
        assert_eq!(said(-5), "5 s ago", "clocks differ a little");
        assert_eq!(said(-3_600), "in the future: a clock is wrong");
    }
}
