//! Sealed passwords on their way to an agent: which agent may have them, and when they are not sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use postern_store::{AgentId, Store};
use serde_json::json;

use super::change::Change;
use super::settings::Switches;
use crate::jobs::failure::Failure;

/// The longest that a sealed password is good for.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(30);

/// What the help desk asks for, beside all that is provisioned.
pub const ACTIONS: [&str; 2] = ["set_password", "unlock"];

/// Why a change is not sent, if it sets a password that has expired or that the switches forbid.
pub(super) fn refusal(change: &Change, switches: Switches, now: Timestamp) -> Option<Failure> {
    let expires_at = match change {
        Change::SetPassword { expires_at, .. } => Some(*expires_at),
        Change::Unlock => None,
        _ => return None,
    };
    if !switches.sync_passwords {
        return Some(Failure::new(
            "off",
            "Passwords are not set in this directory, and nobody is unlocked.",
            "Allow sync-passwords (postern provisioning set), and try again.",
        ));
    }
    expires_at.is_some_and(|at| at <= now).then(expired)
}

/// Its time is over. An agent that lost its connection may have set it all the same.
fn expired() -> Failure {
    Failure::new(
        "expired",
        "The time was over before an agent said that it is done.",
        "Look whether the agents of the directory are connected (postern agents list), and try again.",
    )
}

/// Ends passwords that have expired and that no worker looks at, and drops them. Returns how many.
pub async fn expire(store: &Store, now: Timestamp) -> Result<u64, postern_store::Error> {
    let Ok(before) = now.checked_sub(LONGEST) else { return Ok(0) };
    store.expire_asked_operations(before, &json!({ "error": expired() }), now).await
}

/// Whether an agent may have this change: a password only if it is sealed to its key.
pub(super) fn is_for(change: &Change, agent: AgentId) -> bool {
    match change {
        Change::SetPassword { sealed, .. } => sealed.iter().any(|one| one.agent == agent.as_uuid()),
        _ => true,
    }
}

/// What this agent opens. Empty: nothing is sealed to its key.
pub(super) fn sealed_for(change: &Change, agent: AgentId) -> Bytes {
    let Change::SetPassword { sealed, .. } = change else { return Bytes::new() };
    let found = sealed.iter().find(|one| one.agent == agent.as_uuid());
    found.and_then(|one| STANDARD.decode(&one.text).ok()).unwrap_or_default().into()
}

/// No agent that is connected can open it.
pub(super) fn no_key() -> Failure {
    Failure::new(
        "no_key",
        "The password is sealed to the keys of agents of which none is connected.",
        "Set the password again: it is sealed to the keys of the agents that serve the directory now.",
    )
}

#[cfg(test)]
mod tests {
    use super::super::change::Sealed;
    use super::*;

    #[test]
    fn a_password_is_sent_in_time_with_the_switch_on_and_to_its_agent() {
        let (one, other) = (AgentId::new(), AgentId::new());
        let end = Timestamp::from_second(600).unwrap();
        let sealed = vec![Sealed { agent: one.as_uuid(), text: "AQI=".to_owned() }];
        let change = Change::SetPassword { must_change: false, expires_at: end, sealed };
        let (on, off) = (Switches { sync_passwords: true, ..Switches::default() }, Switches::default());
        let code = |change, switches, second| {
            refusal(change, switches, Timestamp::from_second(second).unwrap()).map(|failure| failure.code)
        };
        assert_eq!(code(&change, on, 599), None);
        assert_eq!(code(&change, on, 600).as_deref(), Some("expired"));
        assert_eq!(code(&change, off, 0).as_deref(), Some("off"));
        assert_eq!(code(&Change::Delete, off, 600), None);
        assert!(is_for(&change, one) && !is_for(&change, other) && is_for(&Change::Delete, other));
        assert_eq!(sealed_for(&change, one).as_ref(), &[1, 2]);
        assert!(sealed_for(&change, other).is_empty());
        assert!(!format!("{change:?}").contains("AQI="));
    }
}
