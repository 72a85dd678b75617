//! Who may do what: every endpoint that changes something, with every role.

use axum::http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use super::Site;

/// All but auditors, who only look.
const NO_AUDITOR: &str = "helpdesk, operator and owner";

/// Method, path, least role.
const TABLE: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/tokens", "auditor"),
    ("GET", "/api/v1/current-token", "helpdesk"),
    ("POST", "/api/v1/tokens", "owner"),
    ("GET", "/api/v1/tokens/{id}", "auditor"),
    ("DELETE", "/api/v1/tokens/{id}", "owner"),
    ("GET", "/api/v1/enrollment-tokens", "auditor"),
    ("POST", "/api/v1/enrollment-tokens", "operator"),
    ("GET", "/api/v1/enrollment-tokens/{id}", "auditor"),
    ("DELETE", "/api/v1/enrollment-tokens/{id}", "operator"),
    ("POST", "/api/v1/agents/{id}/directories", "operator"),
    ("GET", "/api/v1/agents", "auditor"),
    ("GET", "/api/v1/agents/{id}", "auditor"),
    ("DELETE", "/api/v1/agents/{id}", "owner"),
    ("GET", "/api/v1/organization", "auditor"),
    ("PATCH", "/api/v1/organization", "owner"),
    ("GET", "/api/v1/directories", "auditor"),
    ("GET", "/api/v1/directories/{id}", "auditor"),
    ("PATCH", "/api/v1/directories/{id}", "operator"),
    ("DELETE", "/api/v1/directories/{id}", "operator"),
    ("GET", "/api/v1/directory-order", "auditor"),
    ("PUT", "/api/v1/directory-order", "owner"),
    ("POST", "/api/v1/directory-order/effect", "owner"),
    ("GET", "/api/v1/directories/{id}/matching", "auditor"),
    ("PUT", "/api/v1/directories/{id}/matching", "owner"),
    ("GET", "/api/v1/directories/{id}/mapping", "auditor"),
    ("PUT", "/api/v1/directories/{id}/mapping", "operator"),
    ("POST", "/api/v1/directories/{id}/mapping/preview", "operator"),
    ("POST", "/api/v1/directories/{id}/mapping/effect", "operator"),
    ("GET", "/api/v1/directories/{id}/outbound-mapping", "auditor"),
    ("PUT", "/api/v1/directories/{id}/outbound-mapping", "operator"),
    ("POST", "/api/v1/directories/{id}/outbound-mapping/preview", "operator"),
    ("GET", "/api/v1/directories/{id}/outbound-mapping/versions", "auditor"),
    ("POST", "/api/v1/directories/{id}/outbound-mapping/versions/{version}/restore", "operator"),
    ("GET", "/api/v1/directories/{id}/mapping/versions", "auditor"),
    ("POST", "/api/v1/directories/{id}/mapping/versions/{version}/restore", "operator"),
    ("GET", "/api/v1/directories/{id}/password-keys", NO_AUDITOR),
    ("POST", "/api/v1/users/{id}/password", NO_AUDITOR),
    ("POST", "/api/v1/users/{id}/unlock", NO_AUDITOR),
    ("GET", "/api/v1/password-changes/{id}", NO_AUDITOR),
    ("GET", "/api/v1/directories/{id}/provisioning", "auditor"),
    ("PUT", "/api/v1/directories/{id}/provisioning", "owner"),
    ("DELETE", "/api/v1/directories/{id}/provisioning", "owner"),
    ("POST", "/api/v1/directories/{id}/provisioning/compare", "operator"),
    ("GET", "/api/v1/directories/{id}/provisioning/failures", "auditor"),
    ("GET", "/api/v1/directories/{id}/provisioning/plans", "auditor"),
    ("POST", "/api/v1/directories/{id}/provisioning/plans", "operator"),
    ("GET", "/api/v1/directories/{id}/provisioning/plans/{plan}", "auditor"),
    ("DELETE", "/api/v1/directories/{id}/provisioning/plans/{plan}", "operator"),
    ("GET", "/api/v1/directories/{id}/provisioning/plans/{plan}/operations", "auditor"),
    ("POST", "/api/v1/directories/{id}/provisioning/plans/{plan}/apply", "operator"),
    ("POST", "/api/v1/directories/{id}/provisioning/approve", "operator"),
    ("POST", "/api/v1/directories/{id}/provisioning/reject", "operator"),
    ("POST", "/api/v1/provisioning/consequences", "auditor"),
    ("GET", "/api/v1/reports/provisioning", "auditor"),
    ("GET", "/api/v1/reports/provisioning/{id}", "auditor"),
    ("GET", "/api/v1/users/{id}/provision/explain?target=corp", "auditor"),
    ("POST", "/api/v1/users/{id}/provision", "operator"),
    ("POST", "/api/v1/users/{id}/link", "operator"),
    ("GET", "/api/v1/jobs", "auditor"),
    ("POST", "/api/v1/jobs", "operator"),
    ("GET", "/api/v1/jobs/{id}", "auditor"),
    ("GET", "/api/v1/jobs/{id}/events", "auditor"),
    ("GET", "/api/v1/jobs/{id}/preview", "auditor"),
    ("POST", "/api/v1/jobs/{id}/cancel", "operator"),
    ("POST", "/api/v1/jobs/{id}/approve", "operator"),
    ("POST", "/api/v1/jobs/{id}/reject", "operator"),
    ("GET", "/api/v1/schedules", "auditor"),
    ("POST", "/api/v1/schedules", "operator"),
    ("GET", "/api/v1/schedules/{id}", "auditor"),
    ("PATCH", "/api/v1/schedules/{id}", "operator"),
    ("DELETE", "/api/v1/schedules/{id}", "operator"),
    ("POST", "/api/v1/schedules/{id}/pause", "operator"),
    ("POST", "/api/v1/schedules/{id}/resume", "operator"),
    ("GET", "/api/v1/accounts", "helpdesk"),
    ("GET", "/api/v1/accounts/{id}", "helpdesk"),
    ("GET", "/api/v1/users", "helpdesk"),
    ("GET", "/api/v1/users/{id}", "helpdesk"),
    ("GET", "/api/v1/groups", "helpdesk"),
    ("GET", "/api/v1/groups/{id}", "helpdesk"),
    ("GET", "/api/v1/groups/{id}/members", "helpdesk"),
    ("POST", "/api/v1/groups", "operator"),
    ("PATCH", "/api/v1/groups/{id}", "operator"),
    ("DELETE", "/api/v1/groups/{id}", "operator"),
    ("POST", "/api/v1/groups/{id}/restore", "operator"),
    ("POST", "/api/v1/groups/{id}/members", "operator"),
    ("PUT", "/api/v1/groups/{id}/members/{member}", "operator"),
    ("DELETE", "/api/v1/groups/{id}/members/{member}", "operator"),
    ("GET", "/api/v1/users/{id}/groups", "helpdesk"),
    ("GET", "/api/v1/deleted-groups", "helpdesk"),
    ("POST", "/api/v1/users", "operator"),
    ("POST", "/api/v1/bulk-users", "operator"),
    ("PATCH", "/api/v1/users/{id}", "operator"),
    ("DELETE", "/api/v1/users/{id}", "operator"),
    ("POST", "/api/v1/users/{id}/disable", "operator"),
    ("POST", "/api/v1/users/{id}/enable", "operator"),
    ("POST", "/api/v1/users/{id}/restore", "operator"),
    ("POST", "/api/v1/users/{id}/merge", "operator"),
    ("POST", "/api/v1/users/{id}/split", "operator"),
    ("GET", "/api/v1/deleted-users", "helpdesk"),
    ("GET", "/api/v1/attributes", "helpdesk"),
    ("POST", "/api/v1/attributes", "owner"),
    ("DELETE", "/api/v1/attributes/{id}", "owner"),
    ("GET", "/api/v1/audit", "auditor"),
    ("GET", "/api/v1/audit/verify", "auditor"),
    ("GET", "/api/v1/audit/export?format=csv", "auditor"),
    ("GET", "/api/v1/conflicts", "helpdesk"),
    ("GET", "/api/v1/conflicts/{id}", "helpdesk"),
    ("POST", "/api/v1/conflicts/{id}", "operator"),
    ("GET", "/api/v1/ignored-conflicts", "helpdesk"),
];

fn may(role: &str, least: &str) -> bool {
    if least == NO_AUDITOR { role != "auditor" } else { rank(role) >= rank(least) }
}

fn rank(role: &str) -> usize {
    ["helpdesk", "auditor", "operator", "owner"].iter().position(|name| *name == role).unwrap()
}

#[tokio::test]
async fn every_endpoint_keeps_to_the_table_of_roles() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for (method, path, least) in TABLE {
        let method: Method = method.parse().unwrap();
        let path = path.replace("{id}", &Uuid::now_v7().to_string()).replace("{member}", &Uuid::now_v7().to_string());
        let path = path.replace("{plan}", &Uuid::now_v7().to_string());
        for (role, token) in [
            ("helpdesk", &acme.helpdesk),
            ("auditor", &acme.auditor),
            ("operator", &acme.operator),
            ("owner", &acme.owner),
        ] {
            let body = (method != Method::GET).then(|| json!({"nonsense": 1}));
            let status = site.call(method.clone(), &path, token, body).await.status;
            let forbidden = status == StatusCode::FORBIDDEN;
            assert_eq!(forbidden, !may(role, least), "{role} {method} {path}: {status}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{role} {method} {path}");
        }
        let status = site.call(method.clone(), &path, "pst_wrong", None).await.status;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[test]
fn the_table_of_roles_is_complete() {
    let mut described: Vec<String> = Vec::new();
    for (path, item) in crate::api::v1::document().paths.paths {
        let operations =
            [("GET", item.get), ("POST", item.post), ("PATCH", item.patch), ("DELETE", item.delete), ("PUT", item.put)];
        described.extend(
            operations.into_iter().filter(|(_, found)| found.is_some()).map(|(name, _)| format!("{name} {path}")),
        );
    }
    let mut table: Vec<String> =
        TABLE.iter().map(|(method, path, _)| format!("{method} {}", path.split('?').next().unwrap())).collect();
    described.sort();
    table.sort();
    assert_eq!(described, table);
}

#[tokio::test]
async fn expired_and_revoked_tokens_are_refused() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let end = site.now() + SignedDuration::from_mins(10);
    let short = site.token(acme.id, postern_store::Role::Owner, Some(end)).await;
    let current = site.get("/api/v1/current-token", &short).await;
    assert_eq!((current.status, current.body["organization"].as_str()), (StatusCode::OK, Some("acme")));
    site.clock.advance(std::time::Duration::from_mins(10));
    let refused = site.get("/api/v1/current-token", &short).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"postern\"");

    let made = site.post("/api/v1/tokens", &acme.owner, json!({"name": "ci", "role": "operator"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let text = made.body["token"].as_str().unwrap().to_owned();
    assert!(text.starts_with("pst_"));
    assert_eq!(site.get("/api/v1/jobs", &text).await.status, StatusCode::OK);
    let path = format!("/api/v1/tokens/{}", made.body["id"].as_str().unwrap());
    assert_eq!(site.call(Method::DELETE, &path, &acme.owner, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get("/api/v1/jobs", &text).await.status, StatusCode::UNAUTHORIZED);
    let listed = site.get("/api/v1/tokens", &acme.owner).await;
    assert!(!listed.body.to_string().contains(&text), "a token is shown once");
}
