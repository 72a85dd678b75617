//! OpenLDAP and servers of no known flavour: what is asked for, and who is let in. A server without any of these
//! switches has none, and its users are let in.

use super::switches::{Needed, Reading, Switch};

/// Asked for of every user: the switches of password policy, RFC 2307 and of servers that are of no flavour of ours
/// (eDirectory, Oracle, `PingDirectory` and `OpenDJ`).
pub(super) const USERS: &[&str] = &[
    "pwdAccountLockedTime",
    "shadowExpire",
    "nsAccountLock",
    "loginDisabled",
    "ds-pwp-account-disabled",
    "objectClass",
];

/// How many of them are switches, which most users have no value of.
const SWITCHES: usize = 5;

/// Asked for of every group.
pub(super) const GROUPS: &[&str] = &[];

/// The value by which password policy locks an account for good (draft-behera-ldap-password-policy §5.3.3); any other
/// is a lock that ends by itself, after a few wrong passwords.
const LOCKED_FOR_GOOD: &str = "000001010000Z";

const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

pub(super) fn switch(needed: &Needed<'_>) -> Reading {
    let mut reading = Reading::on();
    read(needed, "pwdAccountLockedTime", &mut reading, |time| off_if(time == LOCKED_FOR_GOOD));
    shadow_expire(needed, &mut reading);
    for flag in ["nsAccountLock", "loginDisabled", "ds-pwp-account-disabled"] {
        read(needed, flag, &mut reading, |value| off_if(value.eq_ignore_ascii_case("true")));
    }
    reading
}

/// The switches that a user has no value of and could have.
pub(super) fn absent(needed: &Needed<'_>) -> u8 {
    let classes = needed.values("objectClass");
    let shadow = classes.is_empty() || classes.iter().any(|class| class.eq_ignore_ascii_case(b"shadowAccount"));
    let could = |name: &str| name != "shadowExpire" || shadow;
    let absent = hideable().iter().enumerate().filter(|(_, name)| !needed.has(name) && could(name));
    absent.fold(0, |bits, (place, _)| bits | 1 << place)
}

/// See [`super::Flavour::hideable`].
pub(super) fn hideable() -> &'static [&'static str] {
    USERS.get(..SWITCHES).unwrap_or_default()
}

/// Adds what an attribute says, where it has a value.
fn read(needed: &Needed<'_>, name: &'static str, reading: &mut Reading, rule: impl Fn(&str) -> Switch) {
    match needed.text(name) {
        Some(value) => reading.and(name, rule(value)),
        None if needed.has(name) => reading.and(name, Switch::Unknown),
        None => {}
    }
}

/// The day from which an account has expired, counted from 1970. As `pam_unix` reads it: on that day it has expired; only -1
/// means never, and 0 is the first day of 1970. shadow(5) leaves 0 open.
pub(super) fn shadow_expire(needed: &Needed<'_>, reading: &mut Reading) {
    read(needed, "shadowExpire", reading, |day| match day.parse::<i64>() {
        Ok(-1) => Switch::On,
        Ok(day) => Switch::OnUntil(day.saturating_mul(SECONDS_OF_A_DAY)),
        Err(_) => Switch::Unknown,
    });
}

fn off_if(off: bool) -> Switch {
    if off { Switch::Off } else { Switch::On }
}

#[cfg(test)]
mod tests {
    use super::super::switches::tests;
    use super::*;

    fn of(name: &str, value: &str) -> Switch {
        tests::read(USERS, switch, &[(name, value)]).switch
    }

    #[test]
    fn a_user_without_any_switch_is_on() {
        assert_eq!(tests::read(USERS, switch, &[]), Reading::on());
    }

    #[test]
    fn a_day_of_expiry_can_be_absent_only_where_the_class_allows_it() {
        let absent = |class: &str| {
            let of = |name: &&str| match *name {
                "objectClass" => vec![bytes::Bytes::copy_from_slice(class.as_bytes())],
                _ => Vec::new(),
            };
            let values: Vec<_> = USERS.iter().map(of).collect();
            absent(&Needed::new(USERS, &values))
        };
        assert_eq!(absent("inetOrgPerson"), 0b1_1101);
        assert_eq!(absent("SHADOWACCOUNT"), 0b1_1111);
    }

    #[test]
    fn password_policy_locks_for_good_or_for_a_time() {
        assert_eq!(of("pwdAccountLockedTime", LOCKED_FOR_GOOD), Switch::Off);
        assert_eq!(of("pwdAccountLockedTime", "20261127211604Z"), Switch::On);
    }

    #[test]
    fn shadow_expire_is_read_as_pam_unix_does() {
        assert_eq!(of("shadowExpire", "-1"), Switch::On);
        assert_eq!(of("shadowExpire", "0"), Switch::OnUntil(0));
        assert_eq!(of("shadowExpire", "20000"), Switch::OnUntil(20_000 * 86_400));
        assert_eq!(of("shadowExpire", "-2"), Switch::OnUntil(-172_800));
        assert_eq!(of("shadowExpire", "soon"), Switch::Unknown);
    }

    #[test]
    fn flags_of_other_servers_are_read() {
        for flag in ["nsAccountLock", "loginDisabled", "ds-pwp-account-disabled"] {
            assert_eq!(of(flag, "TRUE"), Switch::Off, "{flag}");
            assert_eq!(of(flag, "false"), Switch::On, "{flag}");
        }
    }
}
