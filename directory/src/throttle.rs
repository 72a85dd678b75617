//! Three wrong passwords, and the bind waits for a quarter of an hour and longer: a directory that locks accounts after a
//! few failures must not lock the one that the agent uses. A changed secret is tried at once.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::config::Credentials;

const FREE_TRIES: u32 = 3;
/// Directories commonly lock after five failures within 15 to 30 minutes. With this wait the fourth comes after 15 and
/// the fifth after 45.
const FIRST_WAIT: Duration = Duration::from_mins(15);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Counts consecutive `invalidCredentials` of the directories that have servers in common.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    // Keyed anew in each process: the fingerprint of a password tells nothing outside of it.
    hasher: RandomState,
    /// By fingerprint of the credentials.
    states: Mutex<HashMap<u64, State>>,
    /// Held from the permission to its outcome, so that parallel binds cannot use up the tries together.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    blocked_until: Option<Instant>,
}

impl Throttle {
    /// Whether a bind with these credentials may be tried now; otherwise how long to wait.
    pub(crate) fn permit(&self, credentials: &Credentials) -> Result<(), Duration> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let until = states.get(&self.fingerprint(credentials)).and_then(|state| state.blocked_until);
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// The directory accepted the credentials.
    pub(crate) fn accepted(&self, credentials: &Credentials) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.remove(&self.fingerprint(credentials));
    }

    /// The directory answered `invalidCredentials`.
    pub(crate) fn refused(&self, credentials: &Credentials) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(self.fingerprint(credentials)).or_default();
        state.failures = state.failures.saturating_add(1);
        if let Some(beyond) = state.failures.checked_sub(FREE_TRIES) {
            let wait = FIRST_WAIT.saturating_mul(1 << beyond.min(8)).min(LONGEST_WAIT);
            state.blocked_until = Some(Instant::now() + wait);
        }
    }

    fn fingerprint(&self, credentials: &Credentials) -> u64 {
        match credentials {
            Credentials::Simple { bind_dn, password } => self.hasher.hash_one((bind_dn, password.expose_secret())),
            Credentials::External { certificate } => self.hasher.hash_one(certificate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Credentials {
        Credentials::Simple { bind_dn: "cn=reader".to_owned(), password: text.to_owned().into() }
    }

    #[tokio::test(start_paused = true)]
    async fn after_three_wrong_passwords_the_bind_waits_longer_and_longer() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            assert_eq!(throttle.permit(&password("wrong")), Ok(()));
            throttle.refused(&password("wrong"));
        }
        for minutes in [15, 30, 60, 60] {
            let wait = Duration::from_secs(minutes * 60);
            assert_eq!(throttle.permit(&password("wrong")), Err(wait));
            tokio::time::advance(wait).await;
            assert_eq!(throttle.permit(&password("wrong")), Ok(()));
            throttle.refused(&password("wrong"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_usual_lockout_policy_never_sees_five_failures_in_half_an_hour() {
        let window = Duration::from_mins(30);
        let throttle = Throttle::default();
        let mut refusals = Vec::new();
        while refusals.len() < 12 {
            match throttle.permit(&password("wrong")) {
                Ok(()) => {
                    throttle.refused(&password("wrong"));
                    refusals.push(Instant::now());
                }
                Err(wait) => tokio::time::advance(wait).await,
            }
        }
        for run in refusals.windows(5) {
            assert!(run[4] - run[0] > window, "{refusals:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_certificate_is_tried_at_once() {
        let throttle = Throttle::default();
        let certificate = |text: &str| Credentials::External { certificate: text.as_bytes().to_vec() };
        for _ in 0..3 {
            assert_eq!(throttle.permit(&certificate("old")), Ok(()));
            throttle.refused(&certificate("old"));
        }
        assert!(throttle.permit(&certificate("old")).is_err());
        assert_eq!(throttle.permit(&certificate("new")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_secret_is_tried_at_once() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            assert_eq!(throttle.permit(&password("wrong")), Ok(()));
            throttle.refused(&password("wrong"));
        }
        assert!(throttle.permit(&password("wrong")).is_err());
        assert_eq!(throttle.permit(&password("right")), Ok(()));
        for _ in 0..3 {
            throttle.accepted(&password("right"));
            throttle.refused(&password("right"));
        }
        assert_eq!(throttle.permit(&password("right")), Ok(()), "an accepted bind forgives those before");
        assert!(throttle.permit(&password("wrong")).is_err(), "another secret does not");
    }
}
