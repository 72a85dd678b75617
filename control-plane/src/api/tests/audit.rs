//! The audit log over the API: who and from where, verified and exported.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use super::Site;

/// A request from an address of the documentation's network.
pub(super) async fn from_outside(
    site: &Site,
    method: Method,
    path: &str,
    token: &str,
    body: &str,
) -> (StatusCode, String) {
    let peer: SocketAddr = "192.0.2.7:4242".parse().unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .extension(ConnectInfo(peer))
        .body(Body::from(body.to_owned()))
        .unwrap();
    let answer = site.router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        bytes.extend(frame.unwrap().into_data().unwrap());
    }
    // The server asks once more when a body has ended.
    assert!(body.frame().await.is_none());
    (status, String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn a_change_is_logged_with_its_maker_and_where_it_came_from() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let body = json!({"name": "=cmd()", "role": "auditor"}).to_string();
    let (status, made) = from_outside(&site, Method::POST, "/api/v1/tokens", &acme.owner, &body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let list = site.get("/api/v1/audit", &acme.auditor).await.body;
    let entry = &list["items"][0];
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!((entry["actor_name"].as_str(), entry["address"].as_str()), (Some("owner"), Some("192.0.2.7")));
    assert_eq!((entry["action"].as_str(), entry["object"].as_str()), (Some("token.created"), Some("=cmd()")));
    assert_eq!(entry["after"], json!({"role": "auditor", "expires_at": null}));
    let text = serde_json::from_str::<serde_json::Value>(&made).unwrap()["token"].as_str().unwrap().to_owned();
    assert!(!list.to_string().contains(&text), "the secret is not in the log");
    assert_eq!(site.get("/api/v1/audit", &other.owner).await.body["items"], json!([]));

    // A refused change and a wrong body leave no entry.
    for (token, body) in [(&acme.auditor, body.as_str()), (&acme.owner, "{\"name\": \"\"}")] {
        let (status, _) = from_outside(&site, Method::POST, "/api/v1/tokens", token, body).await;
        assert!(status.is_client_error());
    }
    let verdict = site.get("/api/v1/audit/verify", &acme.auditor).await.body;
    assert_eq!((verdict["whole"].as_bool(), verdict["entries"].as_u64()), (Some(true), Some(1)));
    let head = verdict["head"].as_str().unwrap();
    let known = site.get(&format!("/api/v1/audit/verify?known={head}"), &acme.auditor).await.body;
    assert_eq!(known["whole"].as_bool(), Some(true));
    let forged = format!("1:{}", "0".repeat(64));
    let known = site.get(&format!("/api/v1/audit/verify?known={forged}"), &acme.auditor).await.body;
    assert_eq!((known["wrong_seq"].as_u64(), known["fault"].as_str()), (Some(1), Some("changed")));
    let wrong = site.get("/api/v1/audit/verify?known=1", &acme.auditor).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.body);
}

#[tokio::test]
async fn an_export_ends_when_its_token_is_revoked() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let made = site.post("/api/v1/tokens", &acme.owner, json!({"name": "gone", "role": "auditor"})).await.body;
    let token = made["token"].as_str().unwrap();
    let request = Request::builder()
        .uri("/api/v1/audit/export?format=ndjson")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let answer = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let revoked = site.call(Method::DELETE, "/api/v1/tokens/gone", &acme.owner, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT, "{}", revoked.body);
    let mut body = answer.into_body();
    assert!(body.frame().await.is_some_and(|frame| frame.is_err()), "nothing comes any more");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn the_log_is_exported_whole_and_runs_in_no_spreadsheet() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for _ in 0..3 {
        let body = json!({"name": "=cmd()", "role": "auditor"});
        assert_eq!(site.post("/api/v1/tokens", &acme.owner, body).await.status, StatusCode::CREATED);
    }
    let export = async |format: &str| {
        let path = format!("/api/v1/audit/export?format={format}");
        from_outside(&site, Method::GET, &path, &acme.auditor, "").await
    };
    let (status, csv) = export("csv").await;
    assert_eq!((status, csv.lines().count()), (StatusCode::OK, 4), "{csv}");
    assert!(csv.starts_with("seq,at,actor,") && csv.contains(",'=cmd(),") && !csv.contains(",=cmd(),"), "{csv}");
    let (_, lines) = export("ndjson").await;
    let seqs: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [3, 2, 1]);
}
