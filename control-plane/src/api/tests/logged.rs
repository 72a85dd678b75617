//! The audit log has what was restored, revoked, discarded and unlocked, with what it was before.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Organization, Site};

/// The newest entry about an action; there is exactly one.
async fn logged(site: &Site, acme: &Organization, action: &str) -> Value {
    let log = site.get(&format!("/api/v1/audit?action={action}"), &acme.auditor).await.body;
    let items = log["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{action}: {log}");
    items[0].clone()
}

async fn done(site: &Site, acme: &Organization, method: Method, path: &str, body: Option<Value>) -> Value {
    let answer = site.call(method, path, &acme.owner, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn what_is_revoked_is_logged_with_what_it_was() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    done(&site, &acme, Method::POST, "/api/v1/tokens", Some(json!({"name": "ci", "role": "auditor"}))).await;
    done(&site, &acme, Method::DELETE, "/api/v1/tokens/ci", None).await;
    let entry = logged(&site, &acme, "token.revoked").await;
    assert_eq!(
        (&entry["object"], &entry["before"]["role"], &entry["after"]),
        (&json!("ci"), &json!("auditor"), &Value::Null)
    );
    let made =
        done(&site, &acme, Method::POST, "/api/v1/enrollment-tokens", Some(json!({"directories": ["corp"]}))).await;
    let id = made["id"].as_str().unwrap();
    done(&site, &acme, Method::DELETE, &format!("/api/v1/enrollment-tokens/{id}"), None).await;
    let entry = logged(&site, &acme, "enrollment_token.revoked").await;
    assert_eq!(entry["object_id"], json!(id), "{entry}");
    assert!(entry["before"].to_string().contains("corp"), "{entry}");
    assert!(!entry.to_string().contains(made["token"].as_str().unwrap()));
}

#[tokio::test]
async fn what_is_restored_is_logged_and_only_what_was_seen_is_restored() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for (kind, name) in [("user", "user_name"), ("group", "display_name")] {
        let all = format!("/api/v1/{kind}s");
        let made = done(&site, &acme, Method::POST, &all, Some(json!({name: "team"}))).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let (one, restore) = (format!("{all}/{id}"), format!("{all}/{id}/restore"));
        done(&site, &acme, Method::DELETE, &one, None).await;
        let deleted = async || done(&site, &acme, Method::GET, &format!("/api/v1/deleted-{kind}s"), None).await;
        let first = deleted().await["items"][0]["etag"].as_str().unwrap().to_owned();
        let with = async |etag: &str| {
            site.call_with(Method::POST, &restore, &acme.operator, &[("if-match", etag)], None).await
        };
        assert_eq!(with(&first).await.status, StatusCode::OK);
        let entry = logged(&site, &acme, &format!("{kind}.restored")).await;
        assert_eq!(
            (&entry["object"], &entry["object_id"], &entry["after"][name]),
            (&json!("team"), &json!(id), &json!("team"))
        );
        // It was deleted once more: that is not the one that was seen.
        site.clock.advance(Duration::from_secs(1));
        done(&site, &acme, Method::DELETE, &one, None).await;
        let refused = with(&first).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap().contains("owner deleted it"), "{}", refused.body);
        assert_eq!(deleted().await["items"].as_array().unwrap().len(), 1, "nothing is restored");
        logged(&site, &acme, &format!("{kind}.restored")).await;
        let second = deleted().await["items"][0]["etag"].as_str().unwrap().to_owned();
        assert_eq!(with(&second).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_unlocked_or_discarded_is_logged() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let settings =
        json!({"switches": {"sync_passwords": true, "enable_disable_users": true}, "assignment": {"kind": "all"}});
    let path = "/api/v1/directories/corp/provisioning";
    done(&site, &acme, Method::PUT, path, Some(json!({"settings": settings}))).await;
    done(&site, &acme, Method::POST, "/api/v1/users/anna/unlock", Some(json!({"target": "corp"}))).await;
    let entry = logged(&site, &acme, "user.unlocked").await;
    assert_eq!((&entry["object"], &entry["object_id"]), (&json!("anna"), &json!(home.user)), "{entry}");
    assert_eq!(entry["after"]["target"], "corp");
    let plan = done(&site, &acme, Method::POST, &format!("{path}/plans"), Some(json!({}))).await;
    let id = plan["id"].as_str().unwrap();
    done(&site, &acme, Method::DELETE, &format!("{path}/plans/{id}"), None).await;
    let entry = logged(&site, &acme, "plan.discarded").await;
    assert!(entry.to_string().contains(id) && entry["object"] == "corp", "{entry}");
}
