//! Times in zones whose clocks change, against what a calendar says.

use serde_json::{Value, json};

use super::*;

fn times(timing: Value, zone: &str) -> Times {
    Times::new(&serde_json::from_value(timing).unwrap(), zone).unwrap()
}

fn cron(text: &str, zone: &str) -> Times {
    times(json!({"repeat": "cron", "cron": text}), zone)
}

/// The times from one on, in UTC, before another.
fn between(times: &Times, from: &str, to: &str) -> Vec<String> {
    let (mut at, end): (Timestamp, Timestamp) = (from.parse().unwrap(), to.parse().unwrap());
    let mut found = Vec::new();
    while let Some(next) = times.after(at) {
        assert!(next > at, "time goes forward");
        if next >= end {
            break;
        }
        found.push(next.strftime("%dT%H:%M").to_string());
        at = next;
    }
    found
}

// In Berlin the clocks go from 02:00 to 03:00 on 2027-03-28 at 01:00 UTC, and from 03:00 to 02:00 on 2027-10-31 at 01:00 UTC.
const SPRING: (&str, &str) = ("2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z");
const AUTUMN: (&str, &str) = ("2027-10-30T12:00:00Z", "2027-11-01T12:00:00Z");

#[test]
fn a_time_that_does_not_exist_runs_once_right_after_the_gap() {
    let daily = times(json!({"repeat": "daily", "at": "02:30"}), "Europe/Berlin");
    assert_eq!(between(&daily, SPRING.0, SPRING.1), ["28T01:00", "29T00:30"]);
    let weekly = times(json!({"repeat": "weekly", "at": "02:30", "days": ["sunday"]}), "Europe/Berlin");
    assert_eq!(between(&weekly, SPRING.0, SPRING.1), ["28T01:00"]);
    // Several in one gap run once, together with one that stands at its end.
    for text in ["15,45 2 * * *", "0 2,3 * * *", "*/10 2 * * *"] {
        let found = between(&cron(text, "Europe/Berlin"), SPRING.0, "2027-03-28T12:00:00Z");
        assert_eq!(found, ["28T01:00"], "{text}");
    }
    assert_eq!(
        between(&cron("0 */2 * * *", "Europe/Berlin"), "2027-03-27T23:30:00Z", "2027-03-28T03:00:00Z"),
        ["28T01:00", "28T02:00"]
    );
}

#[test]
fn a_time_that_exists_twice_runs_once() {
    let daily = times(json!({"repeat": "daily", "at": "02:30"}), "Europe/Berlin");
    assert_eq!(between(&daily, AUTUMN.0, AUTUMN.1), ["31T00:30", "01T01:30"]);
    let weekly = times(json!({"repeat": "weekly", "at": "02:00", "days": ["sunday", "monday"]}), "Europe/Berlin");
    assert_eq!(between(&weekly, AUTUMN.0, AUTUMN.1), ["31T00:00", "01T01:00"]);
    let several = cron("15,45 2 * * *", "Europe/Berlin");
    assert_eq!(between(&several, AUTUMN.0, "2027-10-31T12:00:00Z"), ["31T00:15", "31T00:45"]);
    // Also where the search begins in the middle of the hour that comes twice.
    for start in ["2027-10-31T00:30:00Z", "2027-10-31T00:59:59.999Z", "2027-10-31T01:20:00Z", "2027-10-31T01:59:59Z"] {
        assert_eq!(between(&daily, start, AUTUMN.1), ["01T01:30"], "{start}");
    }
    let minutely = cron("* 2 * * *", "Europe/Berlin");
    assert_eq!(between(&minutely, AUTUMN.0, "2027-10-31T12:00:00Z").len(), 60);
}

#[test]
fn what_runs_in_every_hour_goes_by_hours_that_pass() {
    let hourly = times(json!({"repeat": "hourly", "minute": 30}), "Europe/Berlin");
    for (from, to) in [SPRING, AUTUMN] {
        let found = between(&hourly, from, to);
        assert_eq!(found.len(), 48);
        assert!(found.iter().all(|time| time.ends_with(":30")), "{found:?}");
    }
    let quarters = cron("*/15 * * * *", "Europe/Berlin");
    for (from, to) in [SPRING, AUTUMN] {
        // The first one is at the start, which is not after it.
        assert_eq!(between(&quarters, from, to).len(), 48 * 4 - 1);
    }
}

#[test]
fn zones_with_half_hours_and_with_changes_at_midnight_are_right_too() {
    // From 02:00 to 02:30 on 2027-10-03 at 15:30 UTC of the day before; back from 02:00 to 01:30 on 2027-04-04 at 15:00 UTC.
    let half = times(json!({"repeat": "daily", "at": "02:15"}), "Australia/Lord_Howe");
    assert_eq!(between(&half, "2027-10-02T00:00:00Z", "2027-10-04T00:00:00Z"), ["02T15:30", "03T15:15"]);
    let half = times(json!({"repeat": "daily", "at": "01:45"}), "Australia/Lord_Howe");
    assert_eq!(between(&half, "2027-04-03T00:00:00Z", "2027-04-05T00:00:00Z"), ["03T14:45", "04T15:15"]);
    // From 00:00 to 01:00 on 2026-04-24 at 22:00 UTC of the day before.
    let midnight = times(json!({"repeat": "daily", "at": "00:00"}), "Africa/Cairo");
    assert_eq!(between(&midnight, "2026-04-22T23:00:00Z", "2026-04-25T12:00:00Z"), ["23T22:00", "24T21:00"]);
    // A whole day that never was: 2011-12-30 in Samoa.
    let lost = times(json!({"repeat": "daily", "at": "12:00"}), "Pacific/Apia");
    assert_eq!(
        between(&lost, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z"),
        ["29T22:00", "30T10:00", "30T22:00", "31T22:00"]
    );
}

/// A walk through all local times, five minutes a step, over both changes of the clocks.
#[test]
fn the_times_are_those_that_a_walk_through_all_minutes_finds() {
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"] {
        for text in ["30 2 * * *", "0 0 * * *", "0 */3 1,15 * *", "20 1,2,3 * * SUN", "45 23 L * *"] {
            let times = cron(text, zone);
            let (start, end): (Timestamp, Timestamp) =
                ("2027-03-01T00:00:00Z".parse().unwrap(), "2027-11-20T00:00:00Z".parse().unwrap());
            let mut walked = Vec::new();
            let mut local = times.zone.to_datetime(start) - jiff::SignedDuration::from_hours(2);
            while local < times.zone.to_datetime(end) {
                local += jiff::SignedDuration::from_mins(5);
                if times.cron.is_time_matching(&local).unwrap() {
                    let found = times.place(local).unwrap();
                    if found > start && found < end && walked.last() != Some(&found) {
                        walked.push(found);
                    }
                }
            }
            let (mut found, mut at) = (Vec::new(), start);
            while let Some(next) = times.after(at).filter(|next| *next < end) {
                found.push(next);
                at = next;
            }
            assert_eq!(found, walked, "{text} in {zone}");
            assert!(!found.is_empty());
        }
    }
}

#[test]
fn a_day_that_comes_in_some_years_has_a_time() {
    assert!(cron("0 0 29 2 *", "UTC").after("2027-03-01T00:00:00Z".parse().unwrap()).is_some());
}

#[test]
fn an_unknown_time_zone_is_refused_with_one_that_is_like_it() {
    let timing = serde_json::from_value(json!({"repeat": "hourly"})).unwrap();
    let refused = |zone: &str| Times::new(&timing, zone).unwrap_err();
    let error = refused("Europe/Berln");
    assert_eq!(error.field, "time_zone");
    assert!(error.detail.ends_with("did you mean Europe/Berlin?"), "{error}");
    assert!(refused("berlin").detail.ends_with("did you mean Europe/Berlin?"), "{}", refused("berlin"));
    for zone in [
        "localtime",
        "Localtime",
        "posixrules",
        "",
        "Etc/Unknown",
        "../../etc/passwd",
        "/usr/share/zoneinfo/UTC",
        "CEST-1",
        &"x".repeat(1 << 20),
    ] {
        assert!(refused(zone).detail.contains("IANA name"), "{zone:.40}");
    }
    for zone in ["UTC", "europe/berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
        Times::new(&timing, zone).unwrap();
    }
}
