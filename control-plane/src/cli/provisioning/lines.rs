//! What was done in a directory and what could not be done, as people read it.

use super::super::super::api::provisioning::FailingView;
use super::super::super::api::provisioning_report::OperationView;
use super::super::error::Error;
use super::super::screen::{Screen, text_or, time, word};

/// A user or group whose account could not be changed.
pub(super) fn failing(failing: &FailingView) -> Vec<String> {
    vec![
        failing.kind.clone(),
        text_or(failing.name.as_deref(), "(deleted)"),
        failing.failures.to_string(),
        if failing.next_try_at.as_second() > 0 { time(failing.next_try_at) } else { "now".to_owned() },
        text_or(failing.problem.as_deref(), "-"),
        failing.id.to_string(),
    ]
}

/// One operation of the report, line by line.
pub(super) fn one(found: &OperationView, screen: &mut Screen) -> Result<(), Error> {
    screen.fields(
        found,
        &[
            ("time", time(found.at)),
            (&found.kind, found.name.clone()),
            ("action", found.action.clone()),
            ("state", word(&found.state)),
            ("cause", found.cause.clone()),
            ("by", text_or(found.actor.as_deref(), "-")),
            ("approved by", text_or(found.approved_by.as_deref(), "-")),
            ("changes", found.changes.to_string()),
            ("answer", found.answer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
            ("sent", found.sent.to_string()),
        ],
    )
}

/// An operation as a line of the report.
pub(super) fn operation(operation: &OperationView) -> Vec<String> {
    let answer = operation.answer.as_ref().map_or_else(
        || "-".to_owned(),
        |answer| {
            let error = answer["error"]["message"].as_str();
            error.or_else(|| answer["held"].as_str()).or_else(|| answer["effect"].as_str()).unwrap_or("-").to_owned()
        },
    );
    vec![
        time(operation.at),
        operation.kind.clone(),
        operation.name.clone(),
        operation.target.clone(),
        operation.action.clone(),
        word(&operation.state),
        answer,
        text_or(operation.actor.as_deref(), "-"),
        operation.cause.clone(),
        operation.elapsed_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
        operation.id.to_string(),
    ]
}
