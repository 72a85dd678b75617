//! A POST with an `Idempotency-Key` is carried out once.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Answer, Site, request};

async fn post(site: &Site, path: &str, token: &str, key: &str, body: Value) -> Answer {
    let mut request = request(Method::POST, path, token, Some(body));
    request.headers_mut().insert("Idempotency-Key", key.parse().unwrap());
    site.send(request).await
}

async fn count(site: &Site, path: &str, token: &str) -> usize {
    site.get(path, token).await.body["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_is_done_once() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    for (path, body) in [
        ("/api/v1/jobs", json!({"kind": "import", "directory": "corp"})),
        ("/api/v1/enrollment-tokens", json!({})),
        ("/api/v1/tokens", json!({"name": "ci", "role": "auditor"})),
    ] {
        let before = count(&site, path, &acme.owner).await;
        let first = post(&site, path, &acme.owner, path, body.clone()).await;
        let again = post(&site, path, &acme.owner, path, body).await;
        assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED), "{path}");
        assert_eq!(first.body, again.body, "the secret included");
        assert!(
            !first.headers.contains_key("idempotent-replayed") && again.headers.contains_key("idempotent-replayed")
        );
        assert_eq!(count(&site, path, &acme.owner).await, before + 1, "{path}");
    }
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    post(&site, "/api/v1/enrollment-tokens", &acme.owner, "k", json!({})).await;
    let body = json!({"directories": ["corp"]});
    let other = post(&site, "/api/v1/enrollment-tokens", &acme.owner, "k", body).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.body["type"], "urn:postern:problem:idempotency-mismatch");
}

#[tokio::test]
async fn keys_of_different_callers_never_meet() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let mine = post(&site, "/api/v1/enrollment-tokens", &acme.owner, "k", json!({})).await;
    let theirs = post(&site, "/api/v1/enrollment-tokens", &acme.operator, "k", json!({})).await;
    assert_ne!(mine.body["token"], theirs.body["token"]);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let wrong = post(&site, "/api/v1/tokens", &acme.owner, "k", json!({"name": "", "role": "owner"})).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = post(&site, "/api/v1/tokens", &acme.owner, "k", json!({"name": "ci", "role": "owner"})).await;
    assert_eq!(right.status, StatusCode::CREATED);
    assert_eq!(post(&site, "/api/v1/tokens", &acme.owner, "", json!({})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_may_not_do_it_is_refused_before_the_key_is_claimed() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    // The key is in use, so claiming it would show.
    let first = post(&site, "/api/v1/enrollment-tokens", &acme.operator, "k", json!({})).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let body = json!({"name": "ci", "role": "auditor"});
    let refused = post(&site, "/api/v1/tokens", &acme.operator, "k", body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    let again = post(&site, "/api/v1/enrollment-tokens", &acme.operator, "k", json!({})).await;
    assert_eq!((again.status, again.body), (StatusCode::CREATED, first.body));
}

#[tokio::test]
async fn what_a_caller_that_hangs_up_has_asked_for_is_done_and_told_when_it_comes_again() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let body = json!({"kind": "import", "directory": "corp"});
    let mut first = request(Method::POST, "/api/v1/jobs", &acme.owner, Some(body.clone()));
    first.headers_mut().insert("Idempotency-Key", "k".parse().unwrap());
    let mut call = Box::pin(site.router.clone().oneshot(first));
    while count(&site, "/api/v1/jobs", &acme.owner).await == 0 {
        assert!(futures_util::poll!(&mut call).is_pending(), "answered before it could be cut");
    }
    drop(call);
    let answered = async {
        loop {
            let again = post(&site, "/api/v1/jobs", &acme.owner, "k", body.clone()).await;
            if again.status != StatusCode::CONFLICT {
                return again;
            }
            assert_eq!(again.headers["retry-after"], "1");
        }
    };
    let again = tokio::time::timeout(std::time::Duration::from_secs(20), answered).await.expect("an answer");
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.body);
    assert!(again.headers.contains_key("idempotent-replayed"));
    assert_eq!(count(&site, "/api/v1/jobs", &acme.owner).await, 1);
}

#[tokio::test]
async fn the_query_and_the_version_are_part_of_the_request() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.post("/api/v1/users", &acme.operator, json!({"user_name": "ada"})).await;
    let send = async |path: &str, key: &str, known: Option<&str>| {
        let mut request = request(Method::POST, path, &acme.operator, Some(json!({})));
        request.headers_mut().insert("Idempotency-Key", key.parse().unwrap());
        if let Some(known) = known {
            request.headers_mut().insert("If-Match", known.parse().unwrap());
        }
        site.send(request).await
    };
    let path = "/api/v1/users/ada/disable";
    assert_eq!(send(path, "k", Some("*")).await.status, StatusCode::OK);
    let again = send(path, "k", Some("*")).await;
    assert!(again.headers.contains_key("idempotent-replayed"), "{}", again.body);
    for (path, known) in [(path, None), (path, Some("\"1\"")), ("/api/v1/users/ada/disable?a=b", Some("*"))] {
        let other = send(path, "k", known).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {known:?}: {}", other.body);
        assert_eq!(other.body["type"], "urn:postern:problem:idempotency-mismatch");
    }
    // Neither may pass for a part of the other.
    assert_eq!(send("/api/v1/users/ada/enable?a", "q", None).await.status, StatusCode::OK);
    assert_eq!(send("/api/v1/users/ada/enable", "q", Some("a")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
