//! The API's description: complete, answered without a token, and changed only on purpose.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::Site;
use crate::api::v1;

#[test]
fn the_description_is_as_reviewed() {
    insta::assert_snapshot!(v1::document_json().unwrap());
}

#[tokio::test]
async fn the_description_needs_no_token() {
    let site = Site::new().await;
    let answer = site.send(Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let wanted: serde_json::Value = serde_json::from_str(&v1::document_json().unwrap()).unwrap();
    assert_eq!(answer.body, wanted);
}

#[test]
fn no_name_of_a_thing_is_a_word_of_a_path() {
    let document: serde_json::Value = serde_json::from_str(&v1::document_json().unwrap()).unwrap();
    let paths: Vec<Vec<&str>> =
        document["paths"].as_object().unwrap().keys().map(|path| path.split('/').collect()).collect();
    for path in &paths {
        for (place, word) in path.iter().enumerate().filter(|(_, word)| !word.starts_with('{')) {
            let names_a_thing = |other: &&Vec<&str>| {
                other[..place] == path[..place] && other.get(place).is_some_and(|other| other.starts_with('{'))
            };
            let other = paths.iter().filter(|other| other.len() > place).find(names_a_thing);
            assert!(other.is_none(), "{}: a thing named {word} cannot be reached", path.join("/"));
        }
    }
}

#[tokio::test]
async fn a_user_and_a_token_may_be_named_like_a_word_of_a_path() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for name in ["bulk", "deleted", "restore"] {
        let made = site.post("/api/v1/users", &acme.operator, serde_json::json!({"user_name": name})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let shown = site.get(&format!("/api/v1/users/{name}"), &acme.auditor).await;
        assert_eq!((shown.status, &shown.body["id"]), (StatusCode::OK, &made.body["id"]), "{name}");
    }
    let made =
        site.post("/api/v1/tokens", &acme.owner, serde_json::json!({"name": "current", "role": "auditor"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let gone = site.call(axum::http::Method::DELETE, "/api/v1/tokens/current", &acme.owner, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);
}
