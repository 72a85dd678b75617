//! When so many changes hold an import.

use postern_store::Threshold;

/// In a directory of fewer accounts than this, the minimum of a threshold would never be reached.
pub(super) const SMALL: u64 = 10;
/// … of at least so many.
pub(super) const SMALL_MINIMUM: u64 = 3;
/// There, this share holds, percent …
const SMALL_SHARE: u64 = 50;

/// Whether so many of so many are more than a threshold allows. In small directories half of them are.
pub(super) fn exceeds(threshold: Threshold, count: u64, known: u64) -> bool {
    let (known, percent) = (known.max(count), u64::from(threshold.percent));
    let usual = count >= u64::from(threshold.minimum).max(1) && count * 100 > known * percent;
    // With 100 % nothing is ever held.
    let small = known < SMALL && percent < 100 && count >= SMALL_MINIMUM;
    usual || small && count * 100 >= known * percent.max(SMALL_SHARE)
}
