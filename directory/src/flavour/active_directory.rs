//! Active Directory: what is asked for, and who is let in.

use super::switches::{Needed, Reading, Switch};

/// Asked for of every user.
pub(super) const USERS: &[&str] = &[
    "userAccountControl",
    "accountExpires",
    "lockoutTime",
    "pwdLastSet",
    "objectSid",
    "primaryGroupID",
    "isCriticalSystemObject",
    "whenChanged",
    "msDS-UserAccountDisabled",
];

/// Asked for of every group.
pub(super) const GROUPS: &[&str] = &["objectSid", "groupType", "isCriticalSystemObject", "whenChanged"];

/// `ADS_UF_ACCOUNTDISABLE` (MS-ADTS §2.2.16). `ADS_UF_LOCKOUT` ends by itself and says nothing here.
const ACCOUNT_DISABLED: i64 = 0x2;

const SECONDS_FROM_1601_TO_1970: i64 = 11_644_473_600;

/// Every user of a domain has both attributes (MS-SAMR §3.1.1.8.1): where one does not show, it is hidden from us.
/// AD LDS has `msDS-UserAccountDisabled` in place of both.
pub(super) fn switch(needed: &Needed<'_>) -> Reading {
    let mut reading = Reading::on();
    if let Some(disabled) = needed.text("msDS-UserAccountDisabled")
        && !needed.has("userAccountControl")
    {
        let off = disabled.eq_ignore_ascii_case("true");
        reading.and("msDS-UserAccountDisabled", if off { Switch::Off } else { Switch::On });
        return reading;
    }
    reading.and("userAccountControl", account_control(needed.text("userAccountControl")));
    reading.and("accountExpires", expires(needed.text("accountExpires")));
    reading
}

/// AD writes the flags as a signed 32-bit number.
fn account_control(flags: Option<&str>) -> Switch {
    match flags.and_then(|flags| flags.parse::<i64>().ok()) {
        None => Switch::Unknown,
        Some(flags) if flags & ACCOUNT_DISABLED != 0 => Switch::Off,
        Some(_) => Switch::On,
    }
}

/// Tenths of microseconds since 1601; 0 and the largest number mean never (MS-ADA1, `accountExpires`).
fn expires(time: Option<&str>) -> Switch {
    match time.and_then(|time| time.parse::<i64>().ok()) {
        None => Switch::Unknown,
        // As an unsigned number, a negative one is larger than any time.
        Some(time) if time <= 0 || time == i64::MAX => Switch::On,
        Some(time) => Switch::OnUntil(time / 10_000_000 - SECONDS_FROM_1601_TO_1970),
    }
}

#[cfg(test)]
mod tests {
    use super::super::switches::tests::read;
    use super::*;

    const NEVER: &str = "9223372036854775807";

    fn of(values: &[(&str, &str)]) -> Reading {
        read(USERS, switch, values)
    }

    #[test]
    fn a_disabled_or_expired_user_is_off() {
        let of = |control, expires| of(&[("userAccountControl", control), ("accountExpires", expires)]).switch;
        assert_eq!(of("512", NEVER), Switch::On);
        assert_eq!(of("512", "0"), Switch::On);
        assert_eq!(of("514", NEVER), Switch::Off);
        assert_eq!(of("-2147483134", "0"), Switch::Off);
        assert_eq!(of("528", NEVER), Switch::On, "a lockout ends by itself");
        assert_eq!(of("512", "116444736010000000"), Switch::OnUntil(1));
    }

    #[test]
    fn a_switch_that_does_not_show_is_unknown() {
        assert_eq!(of(&[]).unreadable, Some("userAccountControl"));
        assert_eq!(of(&[("accountExpires", NEVER)]).switch, Switch::Unknown);
        let expiry_hidden = of(&[("userAccountControl", "512")]);
        assert_eq!((expiry_hidden.switch, expiry_hidden.unreadable), (Switch::Unknown, Some("accountExpires")));
        assert_eq!(of(&[("userAccountControl", "514")]).switch, Switch::Off, "off is off, whatever is hidden");
        assert_eq!(of(&[("userAccountControl", "rubbish"), ("accountExpires", NEVER)]).switch, Switch::Unknown);
    }

    #[test]
    fn ad_lds_has_a_switch_of_its_own() {
        assert_eq!(of(&[("msDS-UserAccountDisabled", "TRUE")]).switch, Switch::Off);
        assert_eq!(of(&[("msDS-UserAccountDisabled", "FALSE")]).switch, Switch::On);
    }
}
