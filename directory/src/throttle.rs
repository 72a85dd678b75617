//! Three wrong passwords, and the bind waits for a quarter of an hour and longer: a directory that locks accounts after a
//! few failures must not lock the one that the agent uses. A changed secret is tried at once. Work that nobody asked for
//! spends one try only.

use std::sync::Arc;
use std::time::Duration;

use crate::bind_memory::{BindMemory, Refused};
use crate::config::Credentials;

const FREE_TRIES: u32 = 3;
/// Directories commonly lock after five failures within 15 to 30 minutes. With this wait the fourth comes after 15 and
/// the fifth after 45.
const FIRST_WAIT: Duration = Duration::from_mins(15);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Counts wrong passwords in a row of the directories that have servers in common.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    pub(crate) memory: Arc<BindMemory>,
    /// Held from the permission to its outcome, so that parallel binds cannot use up the tries together.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

/// No bind for now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wait {
    pub(crate) retry_after: Duration,
    /// Why the last bind was refused.
    pub(crate) cause: String,
}

impl Throttle {
    pub(crate) fn remembering(memory: Arc<BindMemory>) -> Self {
        Self { memory, turn: tokio::sync::Mutex::default() }
    }

    /// Whether a bind with these credentials may be tried now at these servers; otherwise how long to wait.
    pub(crate) fn permit(&self, urls: &[String], credentials: &Credentials) -> Result<(), Wait> {
        self.wait(urls, credentials, |refused| refused.blocked_until)
    }

    /// The same for work that nobody asked for: one refused bind is enough for it.
    pub(crate) fn permit_unasked(&self, urls: &[String], credentials: &Credentials) -> Result<(), Wait> {
        self.wait(urls, credentials, |refused| {
            let later = if refused.last == 0 { 0 } else { refused.last.saturating_add(LONGEST_WAIT.as_secs()) };
            later.max(refused.blocked_until)
        })
    }

    fn wait(&self, urls: &[String], credentials: &Credentials, until: impl Fn(&Refused) -> u64) -> Result<(), Wait> {
        let now = self.memory.now();
        let waits = self.memory.recall(urls, credentials).into_iter().map(|refused| {
            // A clock that was set back must not make it wait for longer than ever.
            (until(&refused).saturating_sub(now).min(LONGEST_WAIT.as_secs()), refused.cause)
        });
        match waits.max_by_key(|(wait, _)| *wait) {
            Some((seconds, cause)) if seconds > 0 => Err(Wait { retry_after: Duration::from_secs(seconds), cause }),
            _ => Ok(()),
        }
    }

    /// The directory accepted the credentials.
    pub(crate) fn accepted(&self, urls: &[String], credentials: &Credentials) {
        self.memory.change(urls, credentials, |refused| *refused = Refused::default());
    }

    /// The directory counted a wrong password.
    pub(crate) fn refused(&self, urls: &[String], credentials: &Credentials, cause: &str) {
        let now = self.memory.now();
        self.memory.change(urls, credentials, |refused| {
            refused.failures = refused.failures.saturating_add(1);
            refused.last = now;
            cause.clone_into(&mut refused.cause);
            if let Some(beyond) = refused.failures.checked_sub(FREE_TRIES) {
                let wait = FIRST_WAIT.saturating_mul(1 << beyond.min(8)).min(LONGEST_WAIT);
                refused.blocked_until = now.saturating_add(wait.as_secs());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn password(text: &str) -> Credentials {
        Credentials::Simple { bind_dn: "cn=reader".to_owned(), password: text.to_owned().into() }
    }

    fn urls() -> Vec<String> {
        vec!["ldaps://ldap1.corp.example".to_owned(), "ldaps://ldap2.corp.example".to_owned()]
    }

    fn permit(throttle: &Throttle, credentials: &Credentials) -> Result<(), Duration> {
        throttle.permit(&urls(), credentials).map_err(|wait| wait.retry_after)
    }

    fn refuse(throttle: &Throttle, credentials: &Credentials) {
        throttle.refused(&urls(), credentials, "wrong account or password");
    }

    #[tokio::test(start_paused = true)]
    async fn after_three_wrong_passwords_the_bind_waits_longer_and_longer() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            assert_eq!(permit(&throttle, &password("wrong")), Ok(()));
            refuse(&throttle, &password("wrong"));
        }
        for minutes in [15, 30, 60, 60] {
            let wait = Duration::from_secs(minutes * 60);
            assert_eq!(permit(&throttle, &password("wrong")), Err(wait));
            tokio::time::advance(wait).await;
            assert_eq!(permit(&throttle, &password("wrong")), Ok(()));
            refuse(&throttle, &password("wrong"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_usual_lockout_policy_never_sees_five_failures_in_half_an_hour() {
        let window = Duration::from_mins(30);
        let throttle = Throttle::default();
        let mut refusals = Vec::new();
        while refusals.len() < 12 {
            match permit(&throttle, &password("wrong")) {
                Ok(()) => {
                    refuse(&throttle, &password("wrong"));
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
    async fn work_that_nobody_asked_for_spends_one_try_until_the_cause_may_be_gone() {
        let throttle = Throttle::default();
        assert_eq!(throttle.permit_unasked(&urls(), &password("wrong")), Ok(()));
        refuse(&throttle, &password("wrong"));
        let wait = throttle.permit_unasked(&urls()[1..], &password("wrong")).expect_err("one try");
        assert_eq!(wait.cause, "wrong account or password");
        assert_eq!(permit(&throttle, &password("wrong")), Ok(()), "a job has its three");
        assert_eq!(throttle.permit_unasked(&urls(), &password("right")), Ok(()));
        throttle.memory.allow_one_more_try();
        assert_eq!(throttle.permit_unasked(&urls(), &password("wrong")), Ok(()));
        refuse(&throttle, &password("wrong"));
        tokio::time::advance(LONGEST_WAIT).await;
        assert_eq!(throttle.permit_unasked(&urls(), &password("wrong")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_allows_one_more_try_and_no_more() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            refuse(&throttle, &password("wrong"));
        }
        throttle.memory.allow_one_more_try();
        assert_eq!(permit(&throttle, &password("wrong")), Ok(()));
        refuse(&throttle, &password("wrong"));
        assert!(permit(&throttle, &password("wrong")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_certificate_is_tried_at_once() {
        let throttle = Throttle::default();
        let certificate = |text: &str| Credentials::External { certificate: text.as_bytes().to_vec() };
        for _ in 0..3 {
            assert_eq!(permit(&throttle, &certificate("old")), Ok(()));
            refuse(&throttle, &certificate("old"));
        }
        assert!(permit(&throttle, &certificate("old")).is_err());
        assert_eq!(permit(&throttle, &certificate("new")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_secret_is_tried_at_once() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            assert_eq!(permit(&throttle, &password("wrong")), Ok(()));
            refuse(&throttle, &password("wrong"));
        }
        assert!(permit(&throttle, &password("wrong")).is_err());
        assert_eq!(permit(&throttle, &password("right")), Ok(()));
        for _ in 0..3 {
            throttle.accepted(&urls(), &password("right"));
            refuse(&throttle, &password("right"));
        }
        assert_eq!(permit(&throttle, &password("right")), Ok(()), "an accepted bind forgives those before");
        assert!(permit(&throttle, &password("wrong")).is_err(), "another secret does not");
    }
}
