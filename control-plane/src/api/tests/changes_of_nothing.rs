//! A request that changes nothing leaves no entry in the audit log, and one that does leaves one.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::Site;

#[tokio::test]
async fn what_changes_nothing_is_not_in_the_audit_log() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let made = site.post("/api/v1/users", &acme.operator, json!({"user_name": "ada"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = site.post("/api/v1/groups", &acme.operator, json!({"display_name": "crew"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let until = "2026-12-24T00:00:00Z";
    let steps = [
        (Method::PATCH, "organization", json!({}), 0),
        (Method::PATCH, "organization", json!({"job_retention_days": 7, "joins_users": false}), 1),
        (Method::PATCH, "organization", json!({"job_retention_days": 7, "joins_users": false}), 0),
        (Method::PATCH, "organization", json!({"missing_users": "keep"}), 1),
        (Method::PATCH, "organization", json!({"missing_users": "keep"}), 0),
        (Method::PATCH, "directories/corp", json!({}), 0),
        (Method::PATCH, "directories/corp", json!({"display_name": "Corp", "missing_threshold_percent": 7}), 1),
        (Method::PATCH, "directories/corp", json!({"display_name": "Corp", "missing_threshold_percent": 7}), 0),
        (Method::PATCH, "directories/corp", json!({"removed_threshold_percent": 3}), 1),
        (Method::PATCH, "directories/corp", json!({"removed_threshold_percent": 3}), 0),
        (Method::PATCH, "directories/corp", json!({"disabled": true}), 1),
        (Method::PATCH, "directories/corp", json!({"disabled": true}), 0),
        (Method::PATCH, "users/ada", json!({}), 0),
        (Method::POST, "users/ada/disable", json!({"reason": "lost", "until": until}), 1),
        (Method::POST, "users/ada/disable", json!({}), 0),
        (Method::POST, "users/ada/disable", json!({"reason": "lost", "until": until}), 0),
        (Method::POST, "users/ada/disable", json!({"reason": "found"}), 1),
        (Method::POST, "users/ada/enable", json!({}), 1),
        (Method::POST, "users/ada/enable", json!({}), 0),
        (Method::PATCH, "groups/crew", json!({}), 0),
        (Method::PUT, "groups/crew/members/ada", json!({}), 1),
        (Method::PUT, "groups/crew/members/ada", json!({}), 0),
        (Method::POST, "agents/site-1/directories", json!({"directory": "lab"}), 1),
        (Method::POST, "agents/site-1/directories", json!({"directory": "lab"}), 0),
    ];
    for (place, (method, path, body, entries)) in steps.into_iter().enumerate() {
        let before = site.audit_count(acme.id).await;
        let answer = site.call(method.clone(), &format!("/api/v1/{path}"), &acme.owner, Some(body.clone())).await;
        assert!(answer.status.is_success(), "{method} {path} {body}: {}", answer.body);
        let written = site.audit_count(acme.id).await - before;
        assert_eq!(written, entries, "step {place}: {method} {path} {body}");
    }
}
