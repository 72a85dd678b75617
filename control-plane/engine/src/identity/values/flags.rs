//! What the bits of `userAccountControl` and `groupType` and the like say, by name (MS-ADTS §2.2.12, §2.2.16).

use super::Value;

/// The names of all flags.
pub const FLAGS: &[&str] = &[
    "disabled",
    "distribution",
    "expired",
    "locked",
    "must_change",
    "password_never_expires",
    "scope",
    "security",
    "smartcard_required",
];

/// The attributes that they come from, standard names in lower case.
pub const SOURCES: &[&str] = &[
    "useraccountcontrol",
    "msds-user-account-control-computed",
    "lockouttime",
    "pwdlastset",
    "grouptype",
    "nsaccountlock",
    "pwdreset",
    "pwdaccountlockedtime",
];

const DISABLED: i64 = 0x2;
const LOCKED: i64 = 0x10;
const NEVER_EXPIRES: i64 = 0x1_0000;
const SMARTCARD: i64 = 0x4_0000;
const EXPIRED: i64 = 0x80_0000;
const SECURITY: i64 = 0x8000_0000;

/// A flag, from the first text of the attributes that `read` finds by name. Null: nothing says.
pub fn flag<'v>(name: &str, read: impl Fn(&str) -> Option<&'v str>) -> Value {
    let number = |name: &str| read(name).and_then(|text| text.trim().parse::<i64>().ok());
    let truth = |name: &str| read(name).map(|text| text.trim().eq_ignore_ascii_case("true"));
    let control = |bit: i64| number("useraccountcontrol").map(|bits| bits & bit != 0);
    let computed = |bit: i64| number("msds-user-account-control-computed").map(|bits| bits & bit != 0);
    let group = |bit: i64| number("grouptype").map(|bits| bits & bit != 0);
    let value = match name {
        "disabled" => either(control(DISABLED), truth("nsaccountlock")),
        "locked" => {
            // A lockout that has lapsed leaves its time. What the server computes knows how long it lasts.
            let of_domain = computed(LOCKED).or(number("lockouttime").map(|ticks| ticks > 0));
            either(of_domain, read("pwdaccountlockedtime").map(|_| true))
        }
        "expired" => computed(EXPIRED),
        "must_change" => {
            // Nobody whose password never expires, or who needs a smart card, is asked for a new one.
            let asks = !control(NEVER_EXPIRES | SMARTCARD).unwrap_or_default();
            either(number("pwdlastset").map(|ticks| ticks == 0 && asks), truth("pwdreset"))
        }
        "password_never_expires" => control(NEVER_EXPIRES),
        "smartcard_required" => control(SMARTCARD),
        "security" => group(SECURITY),
        "distribution" => group(SECURITY).map(|security| !security),
        "scope" => return number("grouptype").and_then(scope).map_or(Value::Null, Value::text),
        _ => None,
    };
    value.map_or(Value::Null, Value::Bool)
}

/// True if one says so, unknown if neither says anything.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one || other),
        (one, other) => one.or(other),
    }
}

fn scope(bits: i64) -> Option<&'static str> {
    [(0x8, "universal"), (0x4, "domain_local"), (0x2, "global")]
        .into_iter()
        .find(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| name)
}
