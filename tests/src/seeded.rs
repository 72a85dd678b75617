//! Randomness that a failed run can repeat: everything follows from a seed.

use std::time::Duration;

use crate::relay::Fault;

/// A `SplitMix64` generator.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// One to four cuts and pauses of a line, somewhere within the next `bytes`. Some of the pauses last for `long`.
    pub fn faults(&mut self, bytes: u64, long: Duration) -> Vec<(u64, Fault)> {
        let count = 1 + self.below(4);
        let mut fault = || {
            let at = self.below(bytes);
            let fault = match self.below(30) {
                0 => Fault::Pause(long),
                1..10 => Fault::Pause(Duration::from_millis(self.below(60))),
                _ => Fault::Cut,
            };
            (at, fault)
        };
        (0..count).map(|_| fault()).collect()
    }
}
