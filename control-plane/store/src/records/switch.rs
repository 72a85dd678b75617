//! Whether an account is enabled in its directory, as it is stored.

use jiff::Timestamp;

/// Whether an account is enabled in its directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// Unknown. A present account keeps the last known value.
    #[default]
    Unknown,
    /// Enabled.
    On,
    /// Enabled until this time.
    OnUntil(Timestamp),
    /// Disabled.
    Off,
}

impl Switch {
    /// Whether the account is enabled at this time.
    pub fn is_on(self, now: Timestamp) -> bool {
        match self {
            Self::On => true,
            Self::OnUntil(end) => now < end,
            Self::Unknown | Self::Off => false,
        }
    }

    /// The stored form: until when, in milliseconds.
    pub(crate) fn on_until(self) -> Option<i64> {
        match self {
            Self::Unknown => None,
            Self::Off => Some(0),
            Self::OnUntil(end) => Some(end.as_millisecond().max(0)),
            Self::On => Some(i64::MAX),
        }
    }

    pub(crate) fn from_on_until(on_until: Option<i64>) -> Self {
        match on_until {
            None => Self::Unknown,
            Some(i64::MAX) => Self::On,
            Some(end) => match Timestamp::from_millisecond(end) {
                Ok(end) if end > Timestamp::UNIX_EPOCH => Self::OnUntil(end),
                _ => Self::Off,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_stored_and_read_as_the_same() {
        let end = Timestamp::from_second(1_800_000_000).unwrap();
        for switch in [Switch::Unknown, Switch::On, Switch::Off, Switch::OnUntil(end)] {
            assert_eq!(Switch::from_on_until(switch.on_until()), switch);
        }
        assert_eq!(Switch::from_on_until(Some(-1)), Switch::Off);
        assert!(Switch::OnUntil(end).is_on(Timestamp::UNIX_EPOCH) && !Switch::OnUntil(end).is_on(end));
        assert!(!Switch::Unknown.is_on(Timestamp::UNIX_EPOCH));
    }
}
