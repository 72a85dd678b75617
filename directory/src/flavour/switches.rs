//! Whether a directory lets a user in. The site decides it, from attributes that are always asked for; only the answer
//! travels. What cannot be read is unknown, and unknown is not active.

use bytes::Bytes;

/// Whether a directory lets a user in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Switch {
    /// Nobody can say: what decides it cannot be read. Also that of a group, which has none.
    #[default]
    Unknown,
    /// It does.
    On,
    /// It does until this time, in seconds since 1970.
    OnUntil(i64),
    /// It does not.
    Off,
}

impl Switch {
    /// Whether it lets the user in, now or until some time.
    pub(crate) fn is_on(self) -> bool {
        matches!(self, Self::On | Self::OnUntil(_))
    }
}

/// Since when nobody has signed in, and the policy that says how long that may last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Inactivity {
    /// DN of the policy's entry.
    pub(crate) policy: String,
    /// In seconds since 1970; `None`: it cannot be read.
    pub(crate) since: Option<i64>,
}

/// What one entry says about its switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) switch: Switch,
    /// The attribute for whose sake the switch is unknown.
    pub(crate) unreadable: Option<&'static str>,
}

impl Reading {
    /// Of an entry of which nothing is known yet that speaks against it.
    pub(crate) fn on() -> Self {
        Self { switch: Switch::On, unreadable: None }
    }

    /// Of an entry that has no switch, as groups have none.
    pub(crate) fn none() -> Self {
        Self { switch: Switch::Unknown, unreadable: None }
    }

    /// Adds what another attribute says. Off outweighs unknown, and unknown outweighs on.
    pub(crate) fn and(&mut self, attribute: &'static str, switch: Switch) {
        self.switch = match (self.switch, switch) {
            (Switch::Off, _) | (_, Switch::Off) => Switch::Off,
            (Switch::Unknown, _) | (_, Switch::Unknown) => Switch::Unknown,
            (Switch::On, other) | (other, Switch::On) => other,
            (Switch::OnUntil(one), Switch::OnUntil(other)) => Switch::OnUntil(one.min(other)),
        };
        match self.switch {
            Switch::Unknown => self.unreadable = self.unreadable.or(Some(attribute)),
            _ => self.unreadable = None,
        }
    }
}

/// The values of the attributes that were asked for beside the configured ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needed<'a> {
    names: &'a [&'static str],
    values: &'a [Vec<Bytes>],
}

impl<'a> Needed<'a> {
    /// `values` has the values of each name at the same place.
    pub(crate) fn new(names: &'a [&'static str], values: &'a [Vec<Bytes>]) -> Self {
        Self { names, values }
    }

    /// All values of an attribute.
    pub(crate) fn values(&self, name: &str) -> &'a [Bytes] {
        let place = self.names.iter().position(|known| known.eq_ignore_ascii_case(name));
        place.and_then(|place| self.values.get(place)).map_or(&[], Vec::as_slice)
    }

    /// The first value of an attribute, where it has one that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.values(name).first().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether an attribute has any value.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }
}

/// A generalized time (RFC 4517 §3.3.13) in seconds since 1970: `20261127211604Z`, with or without a fraction.
/// `None`: another form.
pub(crate) fn generalized_time(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    let digits = digits.split(['.', ',']).next()?;
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from a civil date, years counted from March: the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What an entry with these values says, by the rules of a flavour.
    pub(crate) fn read(
        names: &'static [&'static str],
        rule: fn(&Needed<'_>) -> Reading,
        values: &[(&str, &str)],
    ) -> Reading {
        let of = |name: &&str| {
            let own = values.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            own.map(|(_, value)| Bytes::copy_from_slice(value.as_bytes())).collect()
        };
        let values: Vec<Vec<Bytes>> = names.iter().map(of).collect();
        rule(&Needed::new(names, &values))
    }

    #[test]
    fn off_outweighs_unknown_and_unknown_outweighs_on() {
        let all = |switches: &[Switch]| {
            let mut reading = Reading::on();
            for switch in switches {
                reading.and("x", *switch);
            }
            reading.switch
        };
        assert_eq!(all(&[Switch::On, Switch::Off, Switch::Unknown]), Switch::Off);
        assert_eq!(all(&[Switch::On, Switch::Unknown]), Switch::Unknown);
        assert_eq!(all(&[Switch::OnUntil(7), Switch::On, Switch::OnUntil(5)]), Switch::OnUntil(5));
        assert_eq!(all(&[]), Switch::On);
    }

    #[test]
    fn generalized_times_are_read() {
        assert_eq!(generalized_time("19700101000000Z"), Some(0));
        assert_eq!(generalized_time("20261127211604Z"), Some(1_795_814_164));
        assert_eq!(generalized_time("20240229120000.5Z"), Some(1_709_208_000));
        for other in ["", "20261127211604", "20261327211604Z", "2026112721Z", "2026112721160xZ"] {
            assert_eq!(generalized_time(other), None, "{other}");
        }
    }
}
