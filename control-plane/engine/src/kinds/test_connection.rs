//! A diagnosis of a directory, made by its agent.

use std::time::Duration;

use async_trait::async_trait;
use postern_proto::limits::MAX_ROWS;
use postern_proto::{text, v1};
use postern_store::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::input::{QUESTION_DEADLINE, only};
use crate::jobs::failure::{Failure, Next};
use crate::jobs::kind::{Attempt, InputError, Kind, Schemas, Words};
use crate::jobs::report::{Ended, Report, line};

/// Nothing can be asked for.
#[derive(Debug, ToSchema)]
pub struct TestConnectionInput {}

/// Runs the agent's diagnosis of a directory.
#[derive(Debug)]
pub struct TestConnection;

#[async_trait]
impl Kind for TestConnection {
    fn words(&self) -> Words {
        Words {
            name: "test_connection",
            word: "test-connection",
            about: "Let the agent diagnose a directory: reaching it, binding, reading, paging",
            noun: "connection test",
        }
    }

    fn deadline(&self) -> Duration {
        QUESTION_DEADLINE
    }

    fn schemas(&self) -> Schemas {
        Schemas::of::<TestConnectionInput, TestConnectionResult>()
    }

    fn input(&self, asked: &Value) -> Result<Value, InputError> {
        only(asked, &[]).map(|()| json!({}))
    }

    fn command(&self, _: &Job) -> Result<v1::command::Kind, InputError> {
        Ok(v1::command::Kind::TestConnection(v1::TestConnection {}))
    }

    fn report(&self, ended: Ended<'_>, report: &mut Report) {
        let checks = ended.error["checks"].as_array().or_else(|| ended.result["checks"].as_array());
        for row in checks.into_iter().flatten() {
            show(row, report);
        }
    }

    async fn answered(
        &self,
        _: Attempt<'_>,
        answer: v1::outcome::Result,
        _: Duration,
    ) -> Result<Option<Next>, postern_store::Error> {
        let v1::outcome::Result::TestConnection(test) = answer else {
            return Ok(Some(Next::Fail(Failure::unexpected().to_json())));
        };
        Ok(Some(after_checks(&checks(&test))))
    }
}

fn show(row: &Value, report: &mut Report) {
    let text = |key: &str| line(row[key].as_str().unwrap_or_default());
    let mark = match row["state"].as_str() {
        Some("passed") => "ok  ",
        Some("warned") => "warn",
        Some("skipped") => "skip",
        _ => "FAIL",
    };
    let elapsed = row["elapsed_ms"].as_u64().unwrap_or_default();
    report.line(format!("{mark}  {:<14}  {} ({elapsed} ms)", text("name"), text("detail")));
    match row["cure"].as_str() {
        Some(cure) if !cure.is_empty() => report.line(format!("      {}", line(cure))),
        _ => {}
    }
}

/// The checks of an answer.
pub(super) fn checks(test: &v1::TestConnectionResult) -> Vec<Check> {
    test.checks.iter().take(MAX_ROWS).map(Check::of).collect()
}

/// A diagnosis in which no check failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TestConnectionResult {
    /// All checks that were made.
    pub checks: Vec<Check>,
}

/// One row of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Stable name.
    pub name: String,
    /// How it went.
    pub state: CheckState,
    /// What was seen.
    pub detail: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

impl Check {
    fn of(row: &v1::CheckRow) -> Self {
        Self {
            state: match row.state() {
                v1::CheckState::Passed => CheckState::Passed,
                v1::CheckState::Warned => CheckState::Warned,
                // A state that this release does not know does not count as passed.
                v1::CheckState::Failed | v1::CheckState::Unspecified => CheckState::Failed,
                v1::CheckState::Skipped => CheckState::Skipped,
            },
            name: text::clean(&row.name),
            detail: text::clean(&row.detail),
            cure: text::optional(&row.cure),
            elapsed_ms: row.elapsed_ms,
        }
    }
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// The job's end by its checks. A test without checks fails.
fn after_checks(checks: &[Check]) -> Next {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_fails_the_job_and_keeps_all_checks() {
        let check = |state| Check { name: "bind".into(), state, detail: "d".into(), cure: None, elapsed_ms: 1 };
        assert!(matches!(after_checks(&[check(CheckState::Passed), check(CheckState::Warned)]), Next::Succeed(_)));
        let Next::Fail(error) = after_checks(&[check(CheckState::Passed), check(CheckState::Failed)]) else { panic!() };
        assert_eq!(error["checks"].as_array().unwrap().len(), 2);
        assert!(matches!(after_checks(&[]), Next::Fail(error) if error["code"] == "check_failed"));
    }
}
