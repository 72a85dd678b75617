//! 389 Directory Server and `FreeIPA`: what is asked for, and who is let in.

use super::general;
use super::switches::{Inactivity, Needed, Reading, Switch, generalized_time};

/// Asked for of every user. `nsAccountLock` is operational, and virtual where a role or a class of service sets it.
pub(super) const USERS: &[&str] = &[
    "nsAccountLock",
    "accountUnlockTime",
    "passwordRetryCount",
    "lastLoginTime",
    "createTimestamp",
    "acctPolicySubentry",
    "shadowExpire",
];

/// What a server writes as `accountUnlockTime` where only an administrator unlocks.
const NEVER_UNLOCKED: i64 = 0;

pub(super) fn switch(needed: &Needed<'_>) -> Reading {
    let mut reading = Reading::on();
    match needed.text("nsAccountLock") {
        Some(value) => reading.and("nsAccountLock", locked_if(value.eq_ignore_ascii_case("true"))),
        None if needed.has("nsAccountLock") => reading.and("nsAccountLock", Switch::Unknown),
        None => {}
    }
    if needed.text("accountUnlockTime").and_then(generalized_time) == Some(NEVER_UNLOCKED) {
        reading.and("passwordRetryCount", tried_too_often(needed.text("passwordRetryCount")));
    }
    general::shadow_expire(needed, &mut reading);
    reading
}

/// The Account Policy plug-in's view of the user: a user who has never signed in counts from the entry's creation, which is what
/// the plug-in does unless it is configured otherwise.
pub(super) fn inactivity(needed: &Needed<'_>) -> Option<Inactivity> {
    let policy = needed.text("acctPolicySubentry")?.to_owned();
    let since = needed.text("lastLoginTime").or_else(|| needed.text("createTimestamp"));
    Some(Inactivity { policy, since: since.and_then(generalized_time) })
}

/// A reset sets the count to 0 and leaves the time. The limit stands where nobody may read it, so that any count is taken
/// for the limit.
fn tried_too_often(count: Option<&str>) -> Switch {
    match count.map(str::parse::<u64>) {
        Some(Ok(0)) => Switch::On,
        Some(Ok(_)) => Switch::Off,
        Some(Err(_)) | None => Switch::Unknown,
    }
}

fn locked_if(locked: bool) -> Switch {
    if locked { Switch::Off } else { Switch::On }
}

#[cfg(test)]
mod tests {
    use super::super::switches::tests::read;
    use super::*;

    fn of(values: &[(&str, &str)]) -> Reading {
        read(USERS, switch, values)
    }

    #[test]
    fn only_true_locks() {
        assert_eq!(of(&[("nsAccountLock", "TRUE")]).switch, Switch::Off);
        for other in ["false", "yes", "1"] {
            assert_eq!(of(&[("nsAccountLock", other)]).switch, Switch::On, "{other}");
        }
    }

    #[test]
    fn a_lock_that_no_time_ends_is_off_until_it_is_reset() {
        let of = |time, count| of(&[("accountUnlockTime", time), ("passwordRetryCount", count)]).switch;
        assert_eq!(of("19700101000000Z", "3"), Switch::Off);
        assert_eq!(of("19700101000000Z", "0"), Switch::On);
        assert_eq!(of("20261127211604Z", "3"), Switch::On, "it ends by itself");
    }
}
