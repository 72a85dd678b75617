//! How many operations a target is sent within a minute.

use jiff::{SignedDuration, Timestamp};

/// A minute is counted from its first operation.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The operations of the current minute.
#[derive(Debug, Default)]
pub(super) struct Rate {
    began: Option<Timestamp>,
    sent: u32,
}

impl Rate {
    /// How many more may be sent now.
    pub(super) fn room(&mut self, most: u32, now: Timestamp) -> usize {
        if self.began.is_some_and(|began| now.duration_since(began) >= MINUTE) {
            *self = Self::default();
        }
        usize::try_from(most.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }

    /// Notes that one was sent.
    pub(super) fn sent(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
        self.sent = self.sent.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_within_a_minute_and_then_the_next_minute_begins() {
        let (mut rate, now) = (Rate::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(rate.room(2, now), 2);
        rate.sent(now);
        rate.sent(now + SignedDuration::from_secs(59));
        assert_eq!(rate.room(2, now + SignedDuration::from_secs(59)), 0);
        assert_eq!(rate.room(2, now + MINUTE), 2);
        // Less than what was sent already, after the settings have changed.
        rate.sent(now + MINUTE);
        assert_eq!(rate.room(0, now + MINUTE), 0);
    }
}
