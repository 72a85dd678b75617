//! The agent's own diagnosis of one directory, at the request of the control plane.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use postern_proto::v1;

use super::kind::{Kind, Run, Work};
use crate::command::End;
use crate::failure::Failure;
use crate::served::{Check, CheckState};

/// Diagnoses a directory.
#[derive(Debug)]
pub(super) struct TestConnection;

impl Kind for TestConnection {
    fn name(&self) -> &'static str {
        "test_connection"
    }

    fn read(&self, asked: &v1::command::Kind) -> Option<Result<Arc<dyn Run>, Failure>> {
        let v1::command::Kind::TestConnection(v1::TestConnection {}) = asked else { return None };
        Some(Ok(Arc::new(Self)))
    }
}

impl Run for TestConnection {
    /// A diagnosis that finds trouble is still an answer.
    fn run<'a>(&'a self, work: &'a Work) -> BoxFuture<'a, End> {
        Box::pin(async {
            let checks = work.directory.check().await.iter().map(row).collect();
            End::Answered(v1::outcome::Result::TestConnection(v1::TestConnectionResult { checks }))
        })
    }
}

/// A check without what must stay on this machine.
fn row(check: &Check) -> v1::CheckRow {
    let state = match check.state {
        CheckState::Passed => v1::CheckState::Passed,
        CheckState::Warned => v1::CheckState::Warned,
        CheckState::Failed => v1::CheckState::Failed,
        CheckState::Skipped => v1::CheckState::Skipped,
    };
    v1::CheckRow {
        name: check.name.clone(),
        state: state.into(),
        detail: check.detail.clone(),
        cure: check.cure.clone().unwrap_or_default(),
        elapsed_ms: u64::try_from(check.elapsed.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_checks_local_detail_does_not_travel() {
        let row = row(&Check {
            name: "connect".into(),
            state: CheckState::Failed,
            detail: "refused".into(),
            detail_local: "ldaps://ldap1.corp.example refused".into(),
            cure: None,
            elapsed: Duration::from_millis(5),
        });
        assert!(!format!("{row:?}").contains("ldap1"));
    }
}
