//! How many changes hold an import.

use postern_store::Threshold;

/// Directories with fewer accounts than this could never reach a threshold's minimum.
pub(super) const SMALL: u64 = 10;
/// They are held from this number of changes on …
pub(super) const SMALL_MINIMUM: u64 = 3;
/// … if that is at least this share, in percent.
const SMALL_SHARE: u64 = 50;

/// Whether a number of changes exceeds a threshold. In small directories half of the accounts does.
pub(super) fn exceeds(threshold: Threshold, count: u64, known: u64) -> bool {
    let (known, percent) = (known.max(count), u64::from(threshold.percent));
    let usual = count >= u64::from(threshold.minimum).max(1) && count * 100 > known * percent;
    // 100 % never holds.
    let small = known < SMALL && percent < 100 && count >= SMALL_MINIMUM;
    usual || small && count * 100 >= known * percent.max(SMALL_SHARE)
}
