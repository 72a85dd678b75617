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
