//! Answers that nobody reads cost their own token, and nobody else.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use postern_engine::services::{Actor, Who};
use postern_store::{ApiTokenId, OrganizationId, Role};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::super::auth::Caller;
use super::super::share::{AT_ONCE, READING_AT_ONCE};
use super::super::shares;
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

/// A route that answers once it may, for a token of its own of an organization.
fn slow(site: &Site, organization: OrganizationId, may_end: &Arc<Semaphore>) -> Router {
    let may_end = Arc::clone(may_end);
    let token = ApiTokenId::new();
    let caller = Caller {
        token,
        actor: Actor {
            organization,
            who: Who::Token { id: token, name: "auditor".into() },
            role: Role::Auditor,
            address: None,
            probe: None,
        },
        expires_at: None,
    };
    let answer = move || async move { drop(may_end.acquire().await.unwrap()) };
    let route = Router::new().route("/slow", get(answer));
    route.layer(from_fn_with_state(site.api.clone(), shares::wait)).layer(axum::Extension(caller))
}

#[tokio::test]
async fn an_organization_reads_with_a_part_of_the_readers_however_many_tokens_it_uses() {
    let site = Site::new().await;
    let (acme, other) = (OrganizationId::new(), OrganizationId::new());
    let (never, at_once) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(1)));
    let read = |organization, may_end: &Arc<Semaphore>, method| {
        let list = request(method, "/slow", "", None);
        Box::pin(slow(&site, organization, may_end).oneshot(list))
    };
    let mut slow: Vec<_> = (0..READING_AT_ONCE).map(|_| read(acme, &never, Method::GET)).collect();
    for one in &mut slow {
        assert!(futures_util::poll!(one.as_mut()).is_pending());
    }
    // A HEAD request runs the handler of GET.
    let mut next = [Method::GET, Method::HEAD].map(|method| read(acme, &at_once, method));
    for one in &mut next {
        assert!(futures_util::poll!(one.as_mut()).is_pending(), "it has its part already");
    }
    assert!(read(other, &at_once, Method::GET).await.unwrap().status().is_success());
    slow.pop();
    for one in next {
        assert!(one.await.unwrap().status().is_success());
    }
}
