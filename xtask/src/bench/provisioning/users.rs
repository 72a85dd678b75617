//! Users of the organization, and what is provisioned.

use anyhow::Result;
use postern_tests::site::DIRECTORY;
use serde_json::{Value, json};

use crate::line::Line;

/// The number of the first user of many.
pub(super) const FIRST: u32 = 10;

/// All users have an account, and nothing is held.
pub(super) async fn provision(line: &Line, paused: bool) -> Result<()> {
    set(line, paused, "enforce").await
}

/// The same, but nothing is sent without a plan.
pub(super) async fn report_only(line: &Line) -> Result<()> {
    set(line, false, "report").await
}

async fn set(line: &Line, paused: bool, mode: &str) -> Result<()> {
    let limit = json!({ "number": 10_000_000 });
    let settings = json!({
        "mode": mode,
        "switches": { "create_users": true, "edit_users": true },
        "assignment": { "kind": "all" },
        "thresholds": { "creates": limit, "updates": limit },
    });
    let path = format!("/api/v1/directories/{DIRECTORY}/provisioning");
    line.api.put(&path, &json!({ "settings": settings, "paused": paused })).await.map(drop)
}

/// The body of one user.
pub(super) fn user(number: u32) -> Value {
    let name = format!("bench{number:06}");
    json!({
        "user_name": name, "given_name": "Bench", "family_name": format!("Number {number}"),
        "email": format!("{name}@corp.example"), "attributes": { "title": "Engineer" },
    })
}
