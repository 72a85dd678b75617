//! A request that is sent slowly, or that waits: its token may become invalid in the meantime.

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use jiff::SignedDuration;
use postern_store::{PageRequest, Role};
use serde_json::json;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::super::share::AT_ONCE;
use super::{Organization, Site, request};

/// Requests that write.
fn writes() -> Vec<(Method, &'static str, String)> {
    vec![
        (Method::POST, "/api/v1/tokens", json!({"name": "backdoor", "role": "owner"}).to_string()),
        (Method::POST, "/api/v1/enrollment-tokens", "{}".to_owned()),
        (Method::PATCH, "/api/v1/organization", json!({"joins_users": false}).to_string()),
        (Method::PATCH, "/api/v1/directories/corp", json!({"disabled": true}).to_string()),
        (Method::DELETE, "/api/v1/directories/corp", String::new()),
    ]
}

/// Everything that these requests would change.
async fn state(site: &Site, acme: &Organization) -> String {
    let (store, page) = (&site.store, PageRequest::first(100));
    let tokens = store.list_api_tokens(acme.id, &page).await.unwrap().items;
    let names: Vec<String> = tokens.into_iter().map(|token| token.name).collect();
    let enrollment = store.list_enrollment_tokens(acme.id, &page).await.unwrap().items;
    let organization = store.get_organization(acme.id).await.unwrap();
    let directories = store.list_directories(acme.id, &page).await.unwrap().items;
    format!("{names:?} {enrollment:?} {organization:?} {directories:?}")
}

/// Sends a request whose body arrives only after `meanwhile`.
async fn slowly(site: &Site, mut request: Request<Body>, body: String, meanwhile: impl AsyncFnOnce()) -> Response {
    let (asked, is_asked) = oneshot::channel();
    let (rest, waits) = oneshot::channel();
    let arrives = futures_util::stream::once(async move {
        let _ = asked.send(());
        let _ = waits.await;
        Ok::<_, std::convert::Infallible>(Bytes::from(body))
    });
    *request.body_mut() = Body::from_stream(arrives);
    let mut call = Box::pin(site.router.clone().oneshot(request));
    tokio::select! {
        answer = &mut call => return answer.unwrap(),
        asked = is_asked => asked.unwrap(),
    }
    meanwhile().await;
    rest.send(()).unwrap();
    call.await.unwrap()
}

#[tokio::test]
async fn a_token_that_is_revoked_or_expires_before_the_body_has_arrived_writes_nothing() {
    for (method, path, body) in writes() {
        for key in [None, Some("k")] {
            for expires in [false, true] {
                let site = Site::new().await;
                let acme = site.organization("acme").await;
                site.inhabit(acme.id).await;
                let end = site.now() + SignedDuration::from_hours(1);
                let token = site.token(acme.id, Role::Owner, Some(end)).await;
                let before = state(&site, &acme).await;
                let mut request = request(method.clone(), path, &token, Some(json!({})));
                if let Some(key) = key {
                    request.headers_mut().insert("Idempotency-Key", key.parse().unwrap());
                }
                let meanwhile = async || {
                    if expires {
                        site.clock.advance(std::time::Duration::from_hours(1));
                    } else {
                        let tokens = site.store.list_api_tokens(acme.id, &PageRequest::first(100)).await.unwrap();
                        let id = tokens.items.last().unwrap().id;
                        site.store.revoke_api_token(acme.id, id, site.now()).await.unwrap();
                    }
                };
                let answer = slowly(&site, request, body.clone(), meanwhile).await;
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path} {key:?} {expires}");
                assert_eq!(state(&site, &acme).await, before, "{method} {path} {key:?} {expires}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_request_waits_for_a_place_neither_writes_nor_reads() {
    let reads = (Method::GET, "/api/v1/users", String::new());
    for (method, path, body) in writes().into_iter().chain([reads]) {
        let site = Site::new().await;
        let acme = site.organization("acme").await;
        site.inhabit(acme.id).await;
        let token = site.token(acme.id, Role::Owner, None).await;
        let tokens = site.store.list_api_tokens(acme.id, &PageRequest::first(100)).await.unwrap();
        let id = tokens.items.last().unwrap().id;
        let before = state(&site, &acme).await;
        let mut unread = Vec::new();
        for _ in 0..AT_ONCE {
            let list = request(Method::GET, "/api/v1/users", &token, None);
            unread.push(site.router.clone().oneshot(list).await.unwrap());
        }
        let mut waits = request(method.clone(), path, &token, Some(json!({})));
        *waits.body_mut() = Body::from(body);
        let mut waits = Box::pin(site.router.clone().oneshot(waits));
        // Other tokens get through meanwhile, each with as many turns as the waiting one.
        for _ in 0..5 {
            tokio::select! {
                biased;
                _ = &mut waits => panic!("it is answered though no answer before it was read"),
                other = site.get("/api/v1/users", &acme.owner) => assert!(other.status.is_success()),
            }
        }
        site.store.revoke_api_token(acme.id, id, site.now()).await.unwrap();
        unread.clear();
        let answer = waits.await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(state(&site, &acme).await, before, "{method} {path}");
    }
}
