//! Times as directories write them: generalized time (RFC 4517 §3.3.13) and FILETIME (MS-DTYP §2.3.3).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// Seconds from 1601 to 1970.
const TO_1970: i64 = 11_644_473_600;
/// FILETIMEs of 100 nanoseconds in a second.
const TICKS: i64 = 10_000_000;

/// Reads a generalized time, such as `20261128093000Z` or `202611280930+0100`. Without a zone it is UTC.
pub fn parse_generalized_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (date, mut rest) = text.split_at(digits);
    let part = |from: usize, to: usize| date.get(from..to).and_then(|part| part.parse::<i16>().ok());
    let small = |from: usize| part(from, from + 2).and_then(|part| i8::try_from(part).ok());
    let (minute, mut second) = match digits {
        10 => (0, 0),
        12 => (small(10)?, 0),
        14 => (small(10)?, small(12)?),
        _ => return None,
    };
    // A leap second is the one before.
    if second == 60 {
        second = 59;
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        rest = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
        if rest.len() == fraction.len() {
            return None;
        }
    }
    let time = DateTime::new(part(0, 4)?, small(4)?, small(6)?, small(8)?, minute, second, 0).ok()?;
    offset(rest)?.to_timestamp(time).ok()
}

/// Reads a time as people and rules write it: `2026-11-28T09:30:00Z`, `20261128093000Z`, or `2026-11-28`, which is the
/// beginning of that day in UTC.
pub fn written_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let day = || Offset::UTC.to_timestamp(text.parse::<Date>().ok()?.to_datetime(Time::midnight())).ok();
    text.parse().ok().or_else(|| parse_generalized_time(text)).or_else(day)
}

/// The zone at the end of a generalized time.
fn offset(text: &str) -> Option<Offset> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let minutes: i32 = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    Offset::from_seconds(sign * (hours.parse::<i32>().ok()? * 3_600 + minutes * 60)).ok()
}

/// Writes a generalized time in UTC, without parts of a second.
pub fn generalized_time(time: Timestamp) -> String {
    time.strftime("%Y%m%d%H%M%SZ").to_string()
}

/// The time of a FILETIME. `None`: never, which is 0 or the largest number, or beyond all calendars.
pub fn from_filetime(ticks: i64) -> Option<Timestamp> {
    if ticks <= 0 || ticks == i64::MAX {
        return None;
    }
    Timestamp::from_second(ticks / TICKS - TO_1970).ok()
}

/// The FILETIME of a time, without parts of a second.
pub fn filetime(time: Timestamp) -> Option<i64> {
    (time.as_second() + TO_1970).checked_mul(TICKS)
}
