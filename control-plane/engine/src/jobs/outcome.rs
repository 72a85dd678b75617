//! What an agent's answer makes of a job: the next state, and what administrators read.

use std::time::Duration;

use postern_store::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Attempts that may end with an error before the job does.
const ATTEMPTS: u32 = 3;
/// First pause after an error that may pass, and the longest.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// The end of a command, as the agent tells it.
#[derive(Debug)]
pub struct AgentOutcome {
    /// The command's job.
    pub job: JobId,
    /// Its generation.
    pub attempt: u32,
    /// How long the agent worked on it.
    pub elapsed: Duration,
    /// What came of it.
    pub result: AgentResult,
}

/// What came of a command.
#[derive(Debug)]
pub enum AgentResult {
    /// It failed.
    Failed(Failure),
    /// All chunks and the summary were delivered.
    Imported(ImportReport),
    /// The checks of a connection test.
    Checked(Vec<Check>),
    /// The user that was looked up with its groups, in columnar encoding.
    Found {
        /// One entry.
        user: bytes::Bytes,
        /// Any number of entries.
        groups: bytes::Bytes,
    },
}

/// A failure with everything that an administrator needs. This is the `error` of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, for scripts.
    pub code: String,
    /// What failed.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// Worth trying again without a change by anybody.
    #[serde(default, skip_serializing)]
    pub retryable: bool,
    /// Result code of the directory's answer (RFC 4511, 4.1.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap_result_code: Option<u32>,
}

impl Failure {
    /// A failure of our own making.
    pub fn new(code: &str, message: impl Into<String>, cure: impl Into<String>) -> Self {
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

    /// The database failed at the job, and would again.
    pub fn database(error: &postern_store::Error) -> Self {
        Self::new(
            "storage",
            format!("The control plane's database failed at this job: {error}."),
            "Look into the control plane's log for the database's own words; mend or restore the database, then start \
             the job again.",
        )
    }

    /// The control plane itself failed at the job.
    pub fn fault() -> Self {
        Self::new(
            "internal",
            "The control plane failed at this job by a fault of its own.",
            "Start the job again; if that fails too, report what the control plane's log says of it.",
        )
    }

    /// The same, but worth another try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// As a job keeps it.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({ "code": "internal", "message": "unknown" }))
    }
}

/// What the agent tells of an import beside its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Users delivered.
    pub users: u64,
    /// Groups delivered.
    pub groups: u64,
    /// Pages read.
    pub pages: u64,
    /// Referrals that were not followed.
    pub referrals: u64,
    /// Entries without what an import needs, such as an external id.
    pub unusable: u64,
    /// Some of them, with the reason.
    pub unusable_samples: Vec<String>,
    /// Entries that were left out, and groups whose members were not read.
    #[serde(default)]
    pub remarks: u64,
    /// Some of them, with the reason.
    #[serde(default)]
    pub remark_samples: Vec<String>,
    /// The attribute that cannot be read, where it is unknown who is let in.
    #[serde(default)]
    pub unreadable_switch: Option<String>,
    /// Values that were too large to be delivered; their entries came without them.
    #[serde(default)]
    pub values_left_out: u64,
    /// Some of them, by entry and attribute.
    #[serde(default)]
    pub left_out_samples: Vec<String>,
    /// How long the agent worked on it, milliseconds.
    pub elapsed_ms: u64,
}

/// One row of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub name: String,
    /// `passed`, `warned`, `failed` or `skipped`.
    pub state: CheckState,
    /// What was seen.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As it should be.
    Passed,
    /// It works, but something should be changed.
    Warned,
    /// It does not work.
    Failed,
    /// Not made, because an earlier one failed.
    Skipped,
}

/// What becomes of a job after an answer.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// It is done.
    Succeed(Value),
    /// It has failed for good.
    Fail(Value),
    /// It ends as it was asked to.
    Cancel,
    /// It is tried again after a pause.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why, for those who watch.
        message: String,
    },
}

/// Decides after a failure. `failures` counts those before this one, `left` is the time to the job's deadline, `jitter`
/// is drawn from 0 to 1.
pub fn after_failure(failure: &Failure, failures: u32, left: Duration, cancel_requested: bool, jitter: f64) -> Next {
    if cancel_requested || failure.code == "canceled" {
        return Next::Cancel;
    }
    if !failure.retryable || failures + 1 >= ATTEMPTS {
        return Next::Fail(failure.to_json());
    }
    let limit = RETRY_FIRST.saturating_mul(1 << failures.min(8)).min(RETRY_MAX);
    // At least half of it, so that what failed has time to recover.
    let after = limit.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    if after >= left {
        // It would end at its deadline while it waits, and say that nobody took it up.
        return Next::Fail(failure.to_json());
    }
    Next::Retry { after, message: format!("Attempt {} of {ATTEMPTS} failed: {}", failures + 1, failure.message) }
}

/// A connection test is as good as its checks, and none is no test.
pub fn after_checks(checks: &[Check]) -> Next {
    if checks.is_empty() {
        let cure = "Look into the agent's log, and update the agent.";
        return Next::Fail(Failure::new("check_failed", "The agent made no check.", cure).to_json());
    }
    let Some(failed) = checks.iter().find(|check| check.state == CheckState::Failed) else {
        return Next::Succeed(json!({ "checks": checks }));
    };
    Next::Fail(json!({
        "code": "check_failed",
        "message": format!("The check {} failed: {}", failed.name, failed.detail),
        "cure": failed.cure,
        "checks": checks,
    }))
}

/// How far a command has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProgress {
    /// The command's job.
    pub job: JobId,
    /// Its generation.
    pub attempt: u32,
    /// Entries read so far.
    pub entries_read: u64,
    /// Pages read so far.
    pub pages_read: u64,
    /// `users` or `groups`.
    pub phase: Option<String>,
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

    #[test]
    fn a_failed_check_fails_the_job_and_keeps_all_checks() {
        let check = |state| Check { name: "bind".into(), state, detail: "d".into(), cure: None, elapsed_ms: 1 };
        assert!(matches!(after_checks(&[check(CheckState::Passed), check(CheckState::Warned)]), Next::Succeed(_)));
        let Next::Fail(error) = after_checks(&[check(CheckState::Passed), check(CheckState::Failed)]) else { panic!() };
        assert_eq!(error["checks"].as_array().unwrap().len(), 2);
        assert!(matches!(after_checks(&[]), Next::Fail(error) if error["code"] == "check_failed"));
    }
}
