//! Every wrong request is answered by a problem document that says what is wrong, and where it is known, what to do.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use tower::ServiceExt as _;

use super::super::problem::Kind;
use super::{Answer, Site};

fn is_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["type"], format!("urn:postern:problem:{kind}"));
    assert_eq!(answer.body["status"], status);
    assert!(!answer.body["title"].as_str().unwrap().is_empty());
    assert!(!answer.body["detail"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn wrong_requests_get_problems() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let owner = acme.owner.as_str();
    let table = [
        (Method::GET, "/nowhere", None, 404, "not-found"),
        (Method::GET, "/api/v1/nowhere", None, 404, "not-found"),
        (Method::PUT, "/api/v1/jobs", None, 405, "method-not-allowed"),
        (Method::GET, "/api/v1/jobs/not-an-id", None, 404, "not-found"),
        (Method::GET, "/api/v1/jobs?limit=0", None, 400, "invalid-request"),
        (Method::GET, "/api/v1/jobs?limit=1001", None, 400, "invalid-request"),
        (Method::GET, "/api/v1/jobs?cursor=x", None, 400, "invalid-request"),
        (Method::GET, "/api/v1/jobs?directroy=corp", None, 400, "invalid-request"),
        (Method::GET, "/api/v1/jobs?state=dreaming", None, 400, "invalid-request"),
        (Method::POST, "/api/v1/jobs", Some(json!({"kind": "import"})), 422, "unprocessable"),
        (Method::POST, "/api/v1/jobs", Some(json!({"kind": "dance", "directory": "corp"})), 422, "unprocessable"),
        (Method::POST, "/api/v1/jobs", Some(json!({"kind": "lookup_user", "directory": "corp"})), 422, "unprocessable"),
        (Method::POST, "/api/v1/jobs", Some(json!({"kind": "import", "directory": "lab"})), 404, "not-found"),
        (Method::POST, "/api/v1/tokens", Some(json!({"name": " ", "role": "owner"})), 422, "unprocessable"),
        (Method::POST, "/api/v1/enrollment-tokens", Some(json!({"directories": ["Corp!"]})), 422, "unprocessable"),
        (
            Method::POST,
            "/api/v1/enrollment-tokens",
            Some(json!({"expires_at": "2020-01-01T00:00:00Z"})),
            422,
            "unprocessable",
        ),
        (
            Method::PATCH,
            "/api/v1/directories/corp",
            Some(json!({"missing_threshold_percent": 101})),
            422,
            "unprocessable",
        ),
    ];
    for (method, path, body, status, kind) in table {
        let answer = site.call(method, path, owner, body).await;
        is_problem(&answer, status, kind);
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_told_apart() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let send = |content_type: &str, body: String| {
        let request = Request::post("/api/v1/jobs").header("Authorization", format!("Bearer {}", acme.owner));
        request.header("Content-Type", content_type).body(Body::from(body)).unwrap()
    };
    is_problem(&site.send(send("application/json", "{\"kind\": ".into())).await, 400, "invalid-request");
    is_problem(&site.send(send("text/plain", "{}".into())).await, 415, "unsupported-media-type");
    let long = format!("{{\"kind\":\"{}\"}}", "x".repeat(70_000));
    is_problem(&site.send(send("application/json", long)).await, 413, "too-large");
    let unknown = site.send(send("application/json", "{\n  \"kindd\": 1}".into())).await;
    is_problem(&unknown, 422, "unprocessable");
    assert_eq!(unknown.body["errors"][0]["line"], 2);
    let list = site.send(send("application/json", "[\"import\", \"corp\"]".into())).await;
    is_problem(&list, 422, "unprocessable");
    let limit = site.get("/api/v1/jobs?limit=many", &acme.owner).await;
    for (answer, word) in [(&unknown, "known: kind, directory"), (&list, "a list"), (&limit, "\"many\" came")] {
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(word) && !detail.contains("expected struct"), "{detail}");
    }
}

#[tokio::test]
async fn the_character_nul_is_in_no_request() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for path in ["/api/v1/users/a%00b", "/api/v1/users?query=a%00b"] {
        is_problem(&site.get(path, &acme.owner).await, 400, "invalid-request");
    }
    let body = json!({ "user_name": "a\u{0}b" });
    is_problem(&site.post("/api/v1/users", &acme.owner, body).await, 422, "unprocessable");
    // A backslash in front of the letters is no such character.
    let made = site.post("/api/v1/users", &acme.owner, json!({ "user_name": "a", "display_name": "\\u0000" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

#[tokio::test]
async fn a_disabled_directory_takes_no_jobs_and_says_what_to_do() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let patch =
        site.call(Method::PATCH, "/api/v1/directories/corp", &acme.operator, Some(json!({"disabled": true}))).await;
    assert_eq!((patch.status, &patch.body["disabled"]), (StatusCode::OK, &json!(true)));
    let refused = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await;
    is_problem(&refused, 409, "conflict");
    assert!(refused.body["cure"].as_str().unwrap().contains("directories enable corp"));
}

#[tokio::test]
async fn deciding_about_a_job_that_is_not_held_is_a_conflict() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await;
    let path = format!("/api/v1/jobs/{}", job.body["id"].as_str().unwrap());
    for decision in ["approve", "reject"] {
        is_problem(&site.post(&format!("{path}/{decision}"), &acme.operator, json!({})).await, 409, "conflict");
    }
    let canceled = site.post(&format!("{path}/cancel"), &acme.operator, json!({})).await;
    assert_eq!(canceled.body["state"], "canceled");
}

#[tokio::test]
async fn every_answer_carries_an_id_and_keeps_browsers_away() {
    let site = Site::new().await;
    for path in ["/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1/jobs", "/nowhere"] {
        let answer = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.headers["x-request-id"].len(), 36, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn metrics_are_not_the_apis_and_answer_only_who_means_this_machine() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    is_problem(&site.get("/metrics", &acme.owner).await, 404, "not-found");

    let status = async |own: &str, headers: &[(&str, &str)]| {
        let router = crate::api::metrics_router(
            site.api.metrics.clone(),
            std::sync::Arc::clone(&site.api.services),
            own.parse().unwrap(),
        );
        let mut request = Request::get("/metrics");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    for host in ["127.0.0.1:9464", "localhost:9464", "LOCALHOST", "[::1]:9464", "127.0.0.1"] {
        assert_eq!(status("127.0.0.1:9464", &[("host", host)]).await, 200, "{host}");
    }
    for host in ["evil.example:9464", "evil.example", "localhost.evil.example", "10.0.0.1:9464", "", "[::2]"] {
        assert_eq!(status("127.0.0.1:9464", &[("host", host)]).await, 403, "{host}");
    }
    assert_eq!(status("[::ffff:127.0.0.1]:9464", &[("host", "evil.example")]).await, 403);
    for forwarded in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"] {
        assert_eq!(status("127.0.0.1:9464", &[("host", "localhost"), (forwarded, "x")]).await, 403, "{forwarded}");
    }
    // Where an administrator has opened them to the network, they are asked for by name.
    assert_eq!(status("10.0.0.1:9464", &[("host", "postern.corp.example:9464")]).await, 200);
}

#[tokio::test]
async fn a_stopping_control_plane_is_alive_and_not_ready() {
    let site = Site::new().await;
    let get = |path: &str| site.send(Request::get(path).body(Body::empty()).unwrap());
    assert_eq!(get("/readyz").await.status, StatusCode::OK);
    site.api.supervisor.shutdown().stop();
    is_problem(&get("/readyz").await, 503, "unavailable");
    assert_eq!(get("/healthz").await.status, StatusCode::OK);
}

#[test]
fn every_kind_of_problem_is_in_the_handbook() {
    // A new kind does not compile here, and is missed below until it is one of all.
    let place = |kind: Kind| match kind {
        Kind::InvalidRequest => 0,
        Kind::Unauthenticated => 1,
        Kind::Forbidden => 2,
        Kind::NotFound => 3,
        Kind::MethodNotAllowed => 4,
        Kind::Conflict => 5,
        Kind::Unconfirmed => 6,
        Kind::Outdated => 7,
        Kind::Merged => 8,
        Kind::Ambiguous => 9,
        Kind::TooLarge => 10,
        Kind::UnsupportedMediaType => 11,
        Kind::Unprocessable => 12,
        Kind::IdempotencyMismatch => 13,
        Kind::Internal => 14,
        Kind::Unavailable => 15,
        Kind::TooMany => 16,
    };
    let places: std::collections::BTreeSet<usize> = Kind::ALL.into_iter().map(place).collect();
    assert_eq!(places, (0..Kind::ALL.len()).collect());
}
