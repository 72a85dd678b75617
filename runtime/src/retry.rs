//! How long to wait before trying again: exponential, with full jitter so that many clients do not return in step.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Delays that grow from one failure to the next: each is drawn evenly from nothing up to a limit, and the limit
/// doubles until it reaches the maximum. It never gives up.
#[derive(Debug)]
pub struct Backoff {
    policy: ExponentialBackoff,
    initial: Duration,
    max: Duration,
    /// How many delays stay short at the beginning, and how many of these are left.
    quick: u32,
    quick_left: u32,
}

impl Backoff {
    /// The first delay is at most `initial`, none is longer than `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        // The policy draws from interval ± factor × interval. With half the limit as its interval and a factor of
        // one that is exactly "from nothing to the limit": full jitter.
        let mut policy = ExponentialBackoff {
            initial_interval: initial / 2,
            current_interval: initial / 2,
            max_interval: max / 2,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        policy.reset();
        Self { policy, initial, max, quick: 0, quick_left: 0 }
    }

    /// The same, but so many delays at the beginning stay within `initial`: for the other end of a line that is most
    /// likely being restarted.
    #[must_use]
    pub fn quick(mut self, delays: u32) -> Self {
        (self.quick, self.quick_left) = (delays, delays);
        self
    }

    /// How long to wait after the failure that has just happened.
    pub fn next_delay(&mut self) -> Duration {
        if self.quick_left > 0 {
            self.quick_left -= 1;
            return self.initial.min(self.max).mul_f64(rand::random());
        }
        self.policy.next_backoff().unwrap_or(self.max).min(self.max)
    }

    /// It worked: the next failure starts from the beginning.
    pub fn reset(&mut self) {
        self.quick_left = self.quick;
        self.policy.reset();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: Duration = Duration::from_mins(1);

    proptest! {
        #[test]
        fn no_delay_exceeds_its_limit(initial_ms in 1_u64..10_000, failures in 1_u32..40) {
            let initial = Duration::from_millis(initial_ms);
            let mut backoff = Backoff::new(initial, MAX);
            for failure in 0..failures {
                let limit = initial.saturating_mul(1 << failure.min(20)).min(MAX);
                // A nanosecond for the policy's rounding.
                prop_assert!(backoff.next_delay() <= limit + Duration::from_nanos(1));
            }
        }
    }

    #[test]
    fn delays_are_spread_over_the_whole_range() {
        let delays: Vec<Duration> =
            (0..2_000).map(|_| Backoff::new(Duration::from_secs(10), MAX).next_delay()).collect();
        assert!(delays.iter().any(|delay| *delay < Duration::from_secs(1)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_secs(9)));
    }

    #[test]
    fn quick_delays_come_first_and_again_after_a_success() {
        let initial = Duration::from_millis(100);
        for _ in 0..200 {
            let mut backoff = Backoff::new(initial, MAX).quick(3);
            for _ in 0..2 {
                assert!((0..3).all(|_| backoff.next_delay() <= initial));
                assert!((0..20).any(|_| backoff.next_delay() > initial));
                backoff.reset();
            }
        }
    }

    #[test]
    fn a_success_starts_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), MAX);
        for _ in 0..20 {
            backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(101));
    }
}
