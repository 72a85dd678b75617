//! Answers that nobody reads cost their own token, and nobody else.

use axum::http::Method;
use tower::ServiceExt as _;

use super::super::shares::AT_ONCE;
use super::{Site, request};

#[tokio::test]
async fn a_token_whose_answers_are_not_read_waits_and_others_go_on() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let list = |token: &str| site.router.clone().oneshot(request(Method::GET, "/api/v1/users", token, None));
    let mut unread = Vec::new();
    for _ in 0..AT_ONCE {
        unread.push(list(&acme.auditor).await.unwrap());
    }
    let mut next = Box::pin(list(&acme.auditor));
    // Other tokens get through meanwhile, each with as many turns as the waiting one.
    for _ in 0..5 {
        tokio::select! {
            biased;
            _ = &mut next => panic!("it is answered though no answer before it was read"),
            other = list(&acme.owner) => assert!(other.unwrap().status().is_success()),
        }
    }
    unread.pop();
    assert!(next.await.unwrap().status().is_success());
}
