//! How a job fails, and whether it is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::codes;

/// Attempts that may end with an error before the job does.
const ATTEMPTS: u32 = 3;
/// First pause after a temporary error, and the longest.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// A failure with all that an administrator needs. It is stored as the job's `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, for scripts.
    pub code: String,
    /// What failed.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// Whether another try may succeed without a change.
    #[serde(default, skip_serializing)]
    pub retryable: bool,
    /// Result code of the directory's answer (RFC 4511, 4.1.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap_result_code: Option<u32>,
}

impl Failure {
    /// A failure found by the control plane.
    pub fn new(code: &str, message: impl Into<String>, cure: impl Into<String>) -> Self {
        debug_assert!(codes::is_known(code), "{code} is not in the handbook");
        Self {
            code: code.to_owned(),
            message: message.into(),
            cure: Some(cure.into()),
            retryable: false,
            ldap_result_code: None,
        }
    }

    /// An administrator has disabled the job's directory.
    pub fn disabled() -> Self {
        Self::new(
            "disabled",
            "The directory was disabled before the job was done. Nobody was marked missing.",
            "Enable the directory (postern directories enable NAME), then start the job again.",
        )
    }

    /// The database failed, and would fail again.
    pub fn database(error: &postern_store::Error) -> Self {
        Self::new(
            "storage",
            format!("The control plane's database failed at this job: {error}."),
            "Look into the control plane's log for the database's own words; mend or restore the database, then start \
             the job again.",
        )
    }

    /// A fault of the control plane itself.
    pub fn fault() -> Self {
        Self::new(
            "internal",
            "The control plane failed at this job by a fault of its own.",
            "Start the job again; if that fails too, report what the control plane's log says of it.",
        )
    }

    /// The agent answered with the result of another kind of job.
    pub fn unexpected() -> Self {
        Self::new(
            "unsupported",
            "The agent answered with a result that does not belong to this job.",
            "Update the agent and the control plane to the same release.",
        )
    }

    /// The same failure, marked as retryable.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The form in which a job stores it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({ "code": "internal", "message": "unknown" }))
    }
}

/// What happens to a job after an answer.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// It has succeeded.
    Succeed(Value),
    /// It has failed for good.
    Fail(Value),
    /// It is canceled, as requested.
    Cancel,
    /// It is tried again after a pause.
    Retry {
        /// How long to wait.
        after: Duration,
        /// The reason, for people.
        message: String,
    },
}

/// Decides after a failure. `failures` counts the earlier ones, `left` is the time to the job's deadline, `jitter` is
/// random from 0 to 1.
pub fn after_failure(failure: &Failure, failures: u32, left: Duration, cancel_requested: bool, jitter: f64) -> Next {
    if cancel_requested || failure.code == "canceled" {
        return Next::Cancel;
    }
    if !failure.retryable || failures + 1 >= ATTEMPTS {
        return Next::Fail(failure.to_json());
    }
    let limit = RETRY_FIRST.saturating_mul(1 << failures.min(8)).min(RETRY_MAX);
    // At least half of the pause, to give the failed part time to recover.
    let after = limit.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    if after >= left {
        // It would reach its deadline while waiting, and then report that no agent claimed it.
        return Next::Fail(failure.to_json());
    }
    Next::Retry { after, message: format!("Attempt {} of {ATTEMPTS} failed: {}", failures + 1, failure.message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(retryable: bool) -> Failure {
        let failure = Failure::new("unreachable", "no answer", "start it");
        if retryable { failure.retryable() } else { failure }
    }

    const LEFT: Duration = Duration::from_hours(1);

    #[test]
    fn nothing_is_tried_again_after_its_deadline() {
        let failed = after_failure(&failure(true), 0, RETRY_FIRST, false, 1.0);
        assert_eq!(failed, Next::Fail(failure(true).to_json()), "its own failure, not that nobody took it up");
        assert!(matches!(after_failure(&failure(true), 0, RETRY_FIRST * 2, false, 1.0), Next::Retry { .. }));
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        assert!(matches!(after_failure(&failure(false), 0, LEFT, false, 0.0), Next::Fail(_)));
        assert!(matches!(after_failure(&failure(true), 0, LEFT, false, 0.0), Next::Retry { .. }));
        assert!(matches!(after_failure(&failure(true), 1, LEFT, false, 1.0), Next::Retry { .. }));
        assert!(matches!(after_failure(&failure(true), 2, LEFT, false, 0.0), Next::Fail(_)));
        assert_eq!(after_failure(&failure(true), 0, LEFT, true, 0.0), Next::Cancel);
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let pause = |failures| match after_failure(&failure(true), failures, LEFT, false, 1.0) {
            Next::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!((pause(0), pause(1)), (RETRY_FIRST, RETRY_FIRST * 2));
    }
}
