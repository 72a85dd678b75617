//! What the agent opens, and what it refuses.

use tempfile::TempDir;
use uuid::Uuid;

use super::*;

const ANNA: Binding<'_> = Binding { directory: "corp", external_id: "f81d4fae", must_change: false };

fn now() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn sealed(passwords: &Passwords, minutes: i64) -> Vec<u8> {
    let expires = now() + SignedDuration::from_mins(minutes);
    let ms = u64::try_from(expires.as_millisecond()).unwrap();
    sealed::seal("secret", &passwords.key.public(), &ANNA, ms).unwrap()
}

fn command() -> CommandId {
    CommandId(Uuid::now_v7())
}

fn opens(passwords: &Passwords, sealed: &[u8], command: CommandId) -> Result<bool, String> {
    match passwords.open(sealed, &ANNA, command, now()) {
        Ok(Opened::Password(..)) => Ok(true),
        Ok(Opened::DoneBefore) => Ok(false),
        Err(failure) => {
            assert!(!format!("{failure:?}").contains("secret\""), "{failure:?}");
            Err(failure.message)
        }
    }
}

fn stored(folder: &TempDir, agent: u128, now: Timestamp) -> Passwords {
    Passwords::stored(folder.path(), AgentId(Uuid::from_u128(agent)), now).unwrap()
}

#[test]
fn what_is_wrong_with_a_sealed_password_is_said() {
    let passwords = Passwords::in_memory();
    let good = sealed(&passwords, 10);
    let other = sealed(&Passwords::in_memory(), 10);
    let mut changed = good.clone();
    changed[200] ^= 1;
    for (what, sealed, expected) in [
        ("other key", other, "sealed to another key"),
        ("changed", changed, "damaged, or is for another user"),
        ("truncated", good[..good.len() - 1].to_vec(), "wrong length"),
        ("empty", Vec::new(), "wrong length"),
        ("expired", sealed(&passwords, 0), "expired at 2026-11-28T10:00:00Z"),
        ("long", sealed(&passwords, 61), "longer than an hour"),
    ] {
        let message = opens(&passwords, &sealed, command()).unwrap_err();
        assert!(message.contains(expected), "{what}: {message}");
    }
    for binding in [Binding { directory: "other", ..ANNA }, Binding { external_id: "other", ..ANNA }] {
        assert!(passwords.open(&good, &binding, command(), now()).is_err(), "{binding:?}");
    }
    // None of the refused ones has used the good one up.
    assert_eq!(opens(&passwords, &good, command()), Ok(true));
}

#[test]
fn one_command_uses_a_sealed_password_also_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let passwords = stored(&folder, 1, now());
    let sealed = sealed(&passwords, 10);
    let (first, second) = (command(), command());
    assert_eq!(opens(&passwords, &sealed, first), Ok(true));
    // The answer was lost before the password was set.
    assert_eq!(opens(&passwords, &sealed, first), Ok(true));
    assert!(opens(&passwords, &sealed, second).unwrap_err().contains("used before"));
    let passwords = stored(&folder, 1, now());
    assert!(opens(&passwords, &sealed, second).unwrap_err().contains("used before"));
    let Ok(Opened::Password(_, id)) = passwords.open(&sealed, &ANNA, first, now()) else { panic!("not opened") };
    passwords.done(id);
    assert_eq!(opens(&passwords, &sealed, first), Ok(false));
    let passwords = stored(&folder, 1, now());
    assert_eq!(opens(&passwords, &sealed, first), Ok(false));
    assert!(opens(&passwords, &sealed, second).is_err());
}

#[cfg(unix)]
#[test]
fn a_key_is_private_and_is_replaced_when_it_is_old_damaged_or_anothers() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let key = |agent, now| stored(&folder, agent, now).public_key();
    let first = key(1, now());
    let file = folder.path().join("password-key.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key(1, now()), first);
    let later = now() + SignedDuration::from_hours(31 * 24);
    let second = key(1, later);
    assert_ne!(second, first);
    let third = key(2, later);
    assert_ne!(third, second);
    std::fs::write(&file, "{").unwrap();
    let fourth = key(2, later);
    assert_ne!(fourth, third);
    // Ids that cannot be read may hide one that was used.
    std::fs::write(folder.path().join("passwords-used"), "x").unwrap();
    assert_ne!(key(2, later), fourth);
}
