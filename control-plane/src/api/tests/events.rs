//! A job as server-sent events.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::StreamExt as _;
use postern_runtime::clock::SystemClock;
use postern_store::Role;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Site, request};

/// Everything here comes at once; this only keeps a failing test from hanging.
const BOUND: Duration = Duration::from_secs(10);

async fn next_event(body: &mut axum::body::BodyDataStream) -> Option<Value> {
    loop {
        let piece = tokio::time::timeout(BOUND, body.next()).await.unwrap()?.unwrap();
        let text = String::from_utf8(piece.to_vec()).unwrap();
        if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
            assert!(text.contains("event: job"));
            return Some(serde_json::from_str(data).unwrap());
        }
    }
}

async fn follow(site: &Site, id: &str, token: &str) -> axum::body::BodyDataStream {
    let request = request(Method::GET, &format!("/api/v1/jobs/{id}/events"), token, None);
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Body::into_data_stream(response.into_body())
}

#[tokio::test]
async fn events_tell_the_job_until_its_end() {
    let site = Site::with_clock(SystemClock::shared()).await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await.body;
    let id = job["id"].as_str().unwrap();
    let mut events = follow(&site, id, &acme.auditor).await;
    assert_eq!(next_event(&mut events).await.unwrap(), job);
    site.post(&format!("/api/v1/jobs/{id}/cancel"), &acme.operator, json!({})).await;
    assert_eq!(next_event(&mut events).await.unwrap()["state"], "canceled");
    assert_eq!(next_event(&mut events).await, None);
}

#[tokio::test]
async fn the_streams_of_one_organization_do_not_keep_another_one_from_its_own() {
    let site = Site::new().await;
    let mut jobs = Vec::new();
    for name in ["acme", "umbrella"] {
        let organization = site.organization(name).await;
        site.inhabit(organization.id).await;
        let wanted = json!({"kind": "import", "directory": "corp"});
        let job = site.post("/api/v1/jobs", &organization.operator, wanted).await.body;
        jobs.push((format!("/api/v1/jobs/{}/events", job["id"].as_str().unwrap()), organization.auditor));
    }
    let open = async |(path, token): &(String, String)| {
        site.router.clone().oneshot(request(Method::GET, path, token, None)).await.unwrap()
    };
    let mut streams = Vec::new();
    let refused = loop {
        let response = open(&jobs[0]).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        streams.push(response);
        assert!(streams.len() < 1_000, "one organization has all");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(open(&jobs[1]).await.status(), StatusCode::OK);
    streams.pop();
    assert_eq!(open(&jobs[0]).await.status(), StatusCode::OK, "a stream that ends gives its place back");
}

#[tokio::test]
async fn a_revoked_token_does_not_go_on_reading() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await.body;
    let mut events = follow(&site, job["id"].as_str().unwrap(), &acme.auditor).await;
    assert!(next_event(&mut events).await.is_some());
    let current = site.get("/api/v1/current-token", &acme.auditor).await.body;
    let path = format!("/api/v1/tokens/{}", current["id"].as_str().unwrap());
    site.call(Method::DELETE, &path, &acme.owner, None).await;
    // The stream looks at the token again when its clock says so; nothing moves before it is asked to.
    let turning = async {
        loop {
            site.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        event = next_event(&mut events) => assert_eq!(event, None),
        () = turning => {}
    }
}

#[tokio::test]
async fn events_end_when_the_control_plane_stops() {
    let site = Site::with_clock(SystemClock::shared()).await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await.body;
    let mut events = follow(&site, job["id"].as_str().unwrap(), &acme.auditor).await;
    assert!(next_event(&mut events).await.is_some());
    site.api.supervisor.shutdown().stop();
    assert_eq!(next_event(&mut events).await, None);
}

#[tokio::test]
async fn a_revoked_token_hears_of_no_change_though_no_clock_moves() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let listening = site.api.services.listen();
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await.body;
    let mut events = follow(&site, job["id"].as_str().unwrap(), &acme.auditor).await;
    assert!(next_event(&mut events).await.is_some());
    let current = site.get("/api/v1/current-token", &acme.auditor).await.body;
    let path = format!("/api/v1/tokens/{}", current["id"].as_str().unwrap());
    let revoking = async {
        site.call(Method::DELETE, &path, &acme.owner, None).await;
        next_event(&mut events).await
    };
    tokio::select! {
        event = revoking => assert_eq!(event, None),
        () = listening => {}
    }
}

#[tokio::test]
async fn an_expired_token_ends_its_stream_to_the_second() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let short = site.token(acme.id, Role::Auditor, Some(site.now() + Duration::from_mins(1))).await;
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await.body;
    site.clock.advance(Duration::from_secs(59));
    let mut events = follow(&site, job["id"].as_str().unwrap(), &short).await;
    assert!(next_event(&mut events).await.is_some());
    let turning = async {
        while site.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        site.clock.advance(Duration::from_secs(1));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        event = next_event(&mut events) => assert_eq!(event, None),
        () = turning => {}
    }
}
