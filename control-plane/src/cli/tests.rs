//! The command line as a whole: its reference, and commands against a served API.

use clap::CommandFactory as _;

use super::Cli;
use crate::api::jobs::JobView;

/// A job as the API tells it.
pub(super) fn sample_job() -> JobView {
    serde_json::from_value(serde_json::json!({
        "id": "0193541c-0000-7000-8000-000000000001", "kind": "import",
        "directory": {"id": "0193541c-0000-7000-8000-000000000002", "name": "corp"},
        "state": "running", "input": {}, "progress": {"entries_read": 500, "pages_read": 1, "rate_per_second": 123.5, "phase": "users"},
        "result": null, "error": null, "hold": null, "message": null, "cancel_requested": false, "attempt": 1,
        "created_by": "first owner", "decided_by": null, "created_at": "2026-11-22T22:00:00Z", "started_at": null,
        "finished_at": null, "deadline": "2026-11-23T22:00:00Z"
    }))
    .unwrap()
}

#[test]
fn the_arguments_fit_together() {
    Cli::command().debug_assert();
}

#[test]
fn the_reference_is_as_reviewed() {
    insta::assert_snapshot!(super::docs::cli_reference());
}
