//! What lists and single things look like, and that pages neither repeat nor skip.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::json;

use super::Site;

#[tokio::test]
async fn pages_neither_repeat_nor_skip() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for _ in 0..7 {
        site.post("/api/v1/enrollment-tokens", &acme.operator, json!({})).await;
    }
    let (mut seen, mut pages, mut cursor) = (BTreeSet::new(), 0, String::new());
    loop {
        let page = site.get(&format!("/api/v1/enrollment-tokens?limit=3{cursor}"), &acme.auditor).await.body;
        for item in page["items"].as_array().unwrap() {
            assert!(seen.insert(item["id"].as_str().unwrap().to_owned()));
        }
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), pages), (7, 3));
}

#[tokio::test]
async fn accounts_of_all_kinds_follow_each_other() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let first = site.get("/api/v1/accounts?limit=1", &acme.auditor).await.body;
    let next = first["next_cursor"].as_str().unwrap();
    let second = site.get(&format!("/api/v1/accounts?limit=1&cursor={next}"), &acme.auditor).await.body;
    assert_eq!((&first["items"][0]["kind"], &second["items"][0]["kind"]), (&json!("user"), &json!("group")));
    assert_eq!(second["next_cursor"], json!(null));
    let account = &first["items"][0];
    assert_eq!(account["attributes"], json!({"cn": ["Anna"], "jpegPhoto": [{"base64": "/9g="}]}));
    assert_eq!(account["external_id"], home.account.to_string());
    assert_eq!((&account["user_id"], &account["group_id"]), (&json!(home.user), &json!(null)));
    let groups = site.get("/api/v1/accounts?directory=corp&kind=group", &acme.auditor).await.body;
    assert_eq!(groups["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_comes_with_its_accounts() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let found = site.get("/api/v1/users?query=ANN", &acme.auditor).await.body;
    assert_eq!(found["items"][0]["id"], json!(home.user));
    assert_eq!(site.get("/api/v1/users?query=bert", &acme.auditor).await.body["items"], json!([]));
    let user = site.get(&format!("/api/v1/users/{}", home.user), &acme.auditor).await.body;
    assert_eq!((&user["user_name"], &user["accounts"][0]["dn"]), (&json!("anna"), &json!("uid=anna,ou=people")));
    let group = site.get(&format!("/api/v1/groups/{}", home.group), &acme.auditor).await.body;
    assert_eq!((&group["display_name"], &group["accounts"][0]["kind"]), (&json!("staff"), &json!("group")));
}

#[tokio::test]
async fn a_job_is_told_as_it_was_asked_for() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let body =
        json!({"kind": "lookup_user", "directory": home.directory, "unique_value": "anna", "timeout_seconds": 60});
    let job = site.post("/api/v1/jobs", &acme.operator, body).await;
    assert_eq!(job.status, StatusCode::CREATED);
    assert_eq!(job.body["directory"], json!({"id": home.directory, "name": "corp"}));
    assert_eq!(job.body["state"], "queued");
    assert_eq!(job.body["input"], json!({"unique_value": "anna"}));
    assert_eq!(job.body["deadline"], "2026-11-22T22:01:00Z");
    assert_eq!(job.body["created_by"], "operator");
    let listed = site.get("/api/v1/jobs?directory=corp&kind=lookup_user&state=queued", &acme.auditor).await.body;
    assert_eq!(listed["items"][0], job.body);
    assert_eq!(site.get("/api/v1/jobs?kind=import", &acme.auditor).await.body["items"], json!([]));
}

#[tokio::test]
async fn an_enrollment_token_says_where_to_knock() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let made = site.post("/api/v1/enrollment-tokens", &acme.operator, json!({})).await;
    assert_eq!(made.body["expires_at"], "2026-11-23T22:00:00Z");
    let text = made.body["token"].as_str().unwrap();
    let token: postern_proto::enrollment_token::EnrollmentToken = text.parse().unwrap();
    assert_eq!((token.address.as_str(), token.ca_sha256), ("gateway.example:8443", [7; 32]));
    let hash = crate::secrets::hash(&token.secret);
    assert!(site.api.store.find_enrollment_token(hash, site.now()).await.is_ok());
}

#[tokio::test]
async fn agents_tell_what_they_serve() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let listed = site.get("/api/v1/agents", &acme.auditor).await.body;
    let shown = site.get(&format!("/api/v1/agents/{}", home.agent), &acme.auditor).await.body;
    assert_eq!(listed["items"][0], shown);
    assert_eq!(
        shown["directories"],
        json!([{"id": home.directory, "name": "corp", "flavour": "openldap", "problems": []}])
    );
    let path = format!("/api/v1/agents/{}", home.agent);
    let revoked = site.call(axum::http::Method::DELETE, &path, &acme.owner, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&path, &acme.auditor).await.body["revoked_at"], "2026-11-22T22:00:00Z");
}
