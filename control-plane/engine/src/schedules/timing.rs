//! When a schedule runs, as an administrator writes it and as it is stored.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jobs::kind::InputError;

/// A cron text is no longer than this.
const MAX_CRON_BYTES: usize = 200;
/// The fields of a cron text, in their order.
const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

/// How a schedule repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Each hour, at a minute.
    Hourly,
    /// Each day, at a time.
    Daily,
    /// On days of the week, at a time.
    Weekly,
    /// As a cron text says.
    Cron,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "days are known")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// When a schedule runs, in its time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduleTiming)]
pub struct Timing {
    /// How it repeats.
    pub repeat: Repeat,
    /// `hourly`: the minute, 0 to 59. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 59)]
    pub minute: Option<u8>,
    /// `daily` and `weekly`: the time of day, like `02:30`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// `weekly`: the days, one at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<Day>>,
    /// `cron`: five fields: minute, hour, day of the month, month, day of the week; like `*/15 6-20 * * MON-FRI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
}

impl Day {
    /// As cron counts them.
    const fn number(self) -> u8 {
        match self {
            Self::Sunday => 0,
            Self::Monday => 1,
            Self::Tuesday => 2,
            Self::Wednesday => 3,
            Self::Thursday => 4,
            Self::Friday => 5,
            Self::Saturday => 6,
        }
    }
}

impl Timing {
    /// Reads what says when it runs. The error names the field, and what it may be.
    pub fn read(&self) -> Result<Cron, InputError> {
        self.only_what_belongs()?;
        match self.repeat {
            Repeat::Hourly => {
                let minute = self.minute.unwrap_or_default();
                if minute > 59 {
                    return Err(wrong("minute", "it must be from 0 to 59"));
                }
                cron(&format!("{minute} * * * *"))
            }
            Repeat::Daily => {
                let (hour, minute) = self.time_of_day()?;
                cron(&format!("{minute} {hour} * * *"))
            }
            Repeat::Weekly => {
                let (hour, minute) = self.time_of_day()?;
                let days = self.days.as_deref().unwrap_or_default();
                if days.is_empty() || days.len() > 7 {
                    return Err(wrong("days", "name one to seven days, like monday"));
                }
                let days: Vec<String> = days.iter().map(|day| day.number().to_string()).collect();
                cron(&format!("{minute} {hour} * * {}", days.join(",")))
            }
            Repeat::Cron => cron(self.cron.as_deref().unwrap_or_default()),
        }
    }

    fn only_what_belongs(&self) -> Result<(), InputError> {
        let given = [
            ("minute", self.minute.is_some(), self.repeat == Repeat::Hourly),
            ("at", self.at.is_some(), matches!(self.repeat, Repeat::Daily | Repeat::Weekly)),
            ("days", self.days.is_some(), self.repeat == Repeat::Weekly),
            ("cron", self.cron.is_some(), self.repeat == Repeat::Cron),
        ];
        match given.into_iter().find(|(_, given, belongs)| *given && !belongs) {
            Some((field, ..)) => Err(wrong(field, "it does not belong to this way to repeat")),
            None => Ok(()),
        }
    }

    /// Hour and minute of `at`.
    fn time_of_day(&self) -> Result<(u8, u8), InputError> {
        let two = |text: &str| -> Option<u8> {
            (text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok())?
        };
        let at = self.at.as_deref().and_then(|at| at.split_once(':'));
        at.and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)))
            .filter(|(hour, minute)| *hour < 24 && *minute < 60)
            .ok_or_else(|| wrong("at", "give a time of day from 00:00 to 23:59, like 02:30"))
    }
}

/// For people.
impl fmt::Display for Timing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_deref().unwrap_or_default();
        match self.repeat {
            Repeat::Hourly => write!(formatter, "hourly at minute {}", self.minute.unwrap_or_default()),
            Repeat::Daily => write!(formatter, "daily at {at}"),
            Repeat::Weekly => {
                let days = self.days.iter().flatten().map(|day| format!("{day:?}"));
                write!(formatter, "weekly on {} at {at}", days.collect::<Vec<_>>().join(", "))
            }
            Repeat::Cron => write!(formatter, "cron {}", self.cron.as_deref().unwrap_or_default()),
        }
    }
}

/// Reads a cron text of five fields. A run a minute is the most that it can say.
fn cron(text: &str) -> Result<Cron, InputError> {
    if text.len() > MAX_CRON_BYTES {
        return Err(wrong("cron", format!("it is longer than {MAX_CRON_BYTES} bytes")));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let seconds = if fields.len() == 6 { "; seconds cannot be given, once a minute is the most" } else { "" };
        let detail = format!("it must have five fields, {}; it has {}{seconds}", FIELDS.join(", "), fields.len());
        return Err(wrong("cron", detail));
    }
    let read = if fields.iter().any(|field| has_gap(field)) { None } else { Some(parse(text)) };
    let cron = read.unwrap_or_else(|| Err(croner::errors::CronError::InvalidPattern("a list has a gap".to_owned())));
    let cron = cron.map_err(|error| {
        let place = fields.iter().position(|field| has_gap(field) || parse(&alone(&fields, field)).is_err());
        let place = place.and_then(|place| Some((place, *fields.get(place)?, *FIELDS.get(place)?)));
        match place {
            Some((place, field, name)) => {
                let at = position(text, place);
                let allowed = ALLOWED.get(place).copied().unwrap_or_default();
                wrong("cron", format!("the {name}, {field:?} at character {at}, cannot be read: {allowed}"))
            }
            None => wrong("cron", format!("it cannot be read: {error}")),
        }
    })?;
    if comes(&fields, &cron) {
        Ok(cron)
    } else {
        Err(wrong("cron", "it names a day that never comes, like 30 February"))
    }
}

/// Whether a list has an element of nothing. The parser passes it over, and a field of nothing never matches.
fn has_gap(field: &str) -> bool {
    field.split(',').any(|element| element.trim_matches(['-', '/']).is_empty())
}

/// Whether there is such a day in such a month. A search for it would go through all seconds of years.
fn comes(fields: &[&str], cron: &Cron) -> bool {
    if !fields.last().is_some_and(|day_of_week| matches!(*day_of_week, "*" | "?")) {
        return true;
    }
    let longest = |month: u16| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let nearest_weekday = |day: &str| day.strip_suffix(['W', 'w'])?.parse::<u16>().ok();
    let mut days = cron.pattern.days.values();
    days.extend(fields.get(2).into_iter().flat_map(|days| days.split(',')).filter_map(nearest_weekday));
    let last = fields.get(2).is_some_and(|days| days.contains(['L', 'l']));
    last || cron.pattern.months.values().into_iter().any(|month| days.iter().any(|day| *day <= longest(month)))
}

/// What each field may be.
const ALLOWED: [&str; 5] = [
    "0 to 59, like 30, 0,30 or */15",
    "0 to 23, like 2, 6-20 or */4",
    "1 to 31, L for the last day, or *",
    "1 to 12, JAN to DEC, or *",
    "0 to 7 or SUN to SAT, like MON-FRI, or *",
];

fn parse(text: &str) -> Result<Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text)
}

/// A cron text in which only this field may be wrong.
fn alone(fields: &[&str], field: &str) -> String {
    let place = fields.iter().position(|other| std::ptr::eq(*other, field));
    let only = (0..FIELDS.len()).map(|at| if Some(at) == place { field } else { "*" });
    only.collect::<Vec<_>>().join(" ")
}

/// The character, counted from 1, at which a field of a text begins.
fn position(text: &str, field: usize) -> usize {
    let (mut seen, mut before) = (0, true);
    for (at, letter) in text.chars().enumerate() {
        if before && !letter.is_whitespace() {
            if seen == field {
                return at + 1;
            }
            seen += 1;
        }
        before = letter.is_whitespace();
    }
    1
}

fn wrong(field: &str, detail: impl Into<String>) -> InputError {
    InputError::new(format!("timing.{field}"), detail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn timing(json: Value) -> Timing {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_way_to_repeat_is_read_and_said() {
        for (json, said) in [
            (json!({"repeat": "hourly"}), "hourly at minute 0"),
            (json!({"repeat": "hourly", "minute": 59}), "hourly at minute 59"),
            (json!({"repeat": "daily", "at": "02:30"}), "daily at 02:30"),
            (
                json!({"repeat": "weekly", "days": ["monday", "sunday"], "at": "23:59"}),
                "weekly on Monday, Sunday at 23:59",
            ),
            (
                json!({"repeat": "cron", "cron": "*/15 6-20 * JAN-MAR,12 MON-FRI"}),
                "cron */15 6-20 * JAN-MAR,12 MON-FRI",
            ),
            (json!({"repeat": "cron", "cron": " 0\t2  L * * "}), "cron  0\t2  L * * "),
            (json!({"repeat": "cron", "cron": "0 0 29 2 *"}), "cron 0 0 29 2 *"),
            (json!({"repeat": "cron", "cron": "0 0 30 2 FRI"}), "cron 0 0 30 2 FRI"),
            (json!({"repeat": "cron", "cron": "0 0 31,15W 2 *"}), "cron 0 0 31,15W 2 *"),
        ] {
            let timing = timing(json.clone());
            timing.read().unwrap();
            assert_eq!(timing.to_string(), said);
            assert_eq!(serde_json::to_value(&timing).unwrap(), json, "it is stored as it was written");
        }
    }

    #[test]
    fn what_cannot_be_read_names_the_field_and_what_it_may_be() {
        let long = format!("{} * * * *", "0,".repeat(200));
        for (json, field, says) in [
            (json!({"repeat": "hourly", "minute": 60}), "minute", "from 0 to 59"),
            (json!({"repeat": "hourly", "at": "02:30"}), "at", "does not belong"),
            (json!({"repeat": "daily", "at": "02:30", "cron": "* * * * *"}), "cron", "does not belong"),
            (json!({"repeat": "daily"}), "at", "like 02:30"),
            (json!({"repeat": "daily", "at": "24:00"}), "at", "00:00 to 23:59"),
            (json!({"repeat": "daily", "at": "2:30"}), "at", "like 02:30"),
            (json!({"repeat": "daily", "at": "+2:30"}), "at", "like 02:30"),
            (json!({"repeat": "weekly", "at": "02:30"}), "days", "one to seven days"),
            (json!({"repeat": "weekly", "at": "02:30", "days": []}), "days", "one to seven days"),
            (json!({"repeat": "cron"}), "cron", "five fields"),
            (json!({"repeat": "cron", "cron": "@daily"}), "cron", "five fields, minute, hour"),
            (json!({"repeat": "cron", "cron": "0 0 2 * * *"}), "cron", "it has 6; seconds cannot be given"),
            (json!({"repeat": "cron", "cron": "61 2 * * *"}), "cron", "the minute, \"61\" at character 1"),
            (json!({"repeat": "cron", "cron": "0  25 * * *"}), "cron", "the hour, \"25\" at character 4"),
            (json!({"repeat": "cron", "cron": "0 2 32 * *"}), "cron", "the day of the month, \"32\" at character 5"),
            (json!({"repeat": "cron", "cron": "0 2 * FOO *"}), "cron", "the month, \"FOO\" at character 7"),
            (json!({"repeat": "cron", "cron": "0 2 * * ünf"}), "cron", "the day of the week, \"ünf\" at character 9"),
            (json!({"repeat": "cron", "cron": "0 2 * * */0"}), "cron", "the day of the week, \"*/0\""),
            (json!({"repeat": "cron", "cron": long}), "cron", "longer than 200 bytes"),
            (json!({"repeat": "cron", "cron": ", * * * *"}), "cron", "the minute, \",\" at character 1"),
            (json!({"repeat": "cron", "cron": "0 1,,2 * * *"}), "cron", "the hour, \"1,,2\" at character 3"),
            (json!({"repeat": "cron", "cron": "0 0 * * MON,"}), "cron", "the day of the week, \"MON,\""),
            (json!({"repeat": "cron", "cron": "0 0 30 2 *"}), "cron", "never comes, like 30 February"),
            (json!({"repeat": "cron", "cron": "* * 31 4,6,9,11 *"}), "cron", "never comes"),
            (json!({"repeat": "cron", "cron": "0 0 31W 2,4 *"}), "cron", "never comes"),
        ] {
            let error = timing(json.clone()).read().unwrap_err();
            assert_eq!(error.field, format!("timing.{field}"), "{json}: {error}");
            assert!(error.detail.contains(says), "{json}: {error}");
        }
    }
}
