//! Points in time on the command line: a time, a date, or how long from now.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use postern_runtime::clock::{Clock as _, SystemClock};

use super::tokens::lifetime;

/// A time to come: `30d` is in thirty days.
pub(super) fn later(text: &str) -> Result<Timestamp, String> {
    read(text, |lifetime| SystemClock.now().checked_add(lifetime))
}

/// A time that is past: `30d` is thirty days ago.
pub(super) fn earlier(text: &str) -> Result<Timestamp, String> {
    read(text, |lifetime| SystemClock.now().checked_sub(lifetime))
}

fn read(text: &str, from_now: impl Fn(SignedDuration) -> Result<Timestamp, jiff::Error>) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    // A parser of dates takes the beginning of a time without a zone, too.
    let date = (text.len() == "2026-12-31".len()).then(|| text.parse::<Date>().ok()).flatten();
    let at = match (date, lifetime(text)) {
        (Some(date), _) => date.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp()),
        (None, Ok(lifetime)) => from_now(lifetime).ok(),
        (None, Err(_)) => None,
    };
    at.ok_or_else(|| {
        "give a date and time with a time zone, like 2026-12-31T00:00:00Z, a date, which means midnight UTC, or a span \
         like 12h or 30d"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_a_date_and_a_span_are_points_in_time() {
        for parse in [later, earlier] {
            assert_eq!(parse("2027-01-31").unwrap(), parse("2027-01-31T00:00:00Z").unwrap());
            assert_eq!(parse("2027-01-31T02:00:00+02:00").unwrap(), parse("2027-01-31").unwrap());
            for wrong in ["", "tomorrow", "2027-01-31T10:00", "2027-13-31", "31.01.2027", "-3d", "9999999999d"] {
                let said = parse(wrong).unwrap_err();
                assert!(said.contains("with a time zone, like 2026-12-31T00:00:00Z"), "{wrong}: {said}");
            }
        }
        let now = SystemClock.now();
        assert!(later("30d").unwrap() > now && earlier("30d").unwrap() < now);
    }
}
