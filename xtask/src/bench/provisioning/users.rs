//! Users of the organization, and what is provisioned.

use anyhow::Result;
use postern_tests::site::DIRECTORY;
use serde_json::{Value, json};

use crate::line::Line;

/// All users have an account, and nothing is held.
pub(super) async fn provision(line: &Line, paused: bool) -> Result<()> {
    let limit = json!({ "number": 10_000_000 });
    let settings = json!({
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
