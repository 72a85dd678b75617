//! Merging and splitting users by REST.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Site;

#[tokio::test]
async fn a_merge_is_previewed_and_done_and_the_old_id_names_the_survivor() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let made = site.post("/api/v1/users", &acme.operator, json!({"user_name": "ada", "family_name": "Berg"})).await;
    let old = made.body["id"].as_str().unwrap().to_owned();
    let anna = site.get("/api/v1/users/anna", &acme.operator).await.body["id"].clone();
    let merge = async |token: &str, body: Value| site.post("/api/v1/users/anna/merge", token, body).await;
    let refused = merge(&acme.helpdesk, json!({"user": "ada"})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let shown = merge(&acme.operator, json!({"user": "ada", "preview": true})).await;
    assert_eq!((shown.status, &shown.body["preview"]), (StatusCode::OK, &true.into()), "{}", shown.body);
    assert_eq!((&shown.body["merged"]["user_name"], &shown.body["user"]["id"]), (&"ada".into(), &anna));
    assert_eq!(site.get("/api/v1/users/ada", &acme.operator).await.status, StatusCode::OK, "nothing is written");
    let log = async || {
        let log = site.get("/api/v1/audit", &acme.auditor).await.body;
        let actions = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap().to_owned());
        actions.filter(|action| action.starts_with("user.merged")).collect::<Vec<_>>()
    };
    assert!(log().await.is_empty());
    let done = merge(&acme.operator, json!({"user": "ada"})).await;
    assert_eq!((done.status, &done.body["preview"]), (StatusCode::OK, &false.into()), "{}", done.body);
    assert_eq!(done.body["user"]["family_name"], "Berg");
    let gone = site.get(&format!("/api/v1/users/{old}"), &acme.operator).await;
    assert_eq!((gone.status, &gone.body["merged_into"]), (StatusCode::GONE, &anna), "{}", gone.body);
    let change = site.post(&format!("/api/v1/users/{old}/disable"), &acme.operator, json!({})).await;
    assert_eq!(change.status, StatusCode::GONE, "{}", change.body);
    let mut logged = log().await;
    logged.sort();
    assert_eq!(logged, ["user.merged", "user.merged_away"]);
    let path = format!("/api/v1/audit?object={}", anna.as_str().unwrap());
    let of_anna = site.get(&path, &acme.auditor).await;
    assert!(of_anna.body.to_string().contains(&old), "{}", of_anna.body);
}

#[tokio::test]
async fn a_split_needs_accounts_of_the_user_and_a_free_name() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let split = async |body: Value| site.post("/api/v1/users/anna/split", &acme.operator, body).await;
    for (body, status) in [
        (json!({"accounts": [], "user_name": "x"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"accounts": [home.user], "user_name": "x"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"accounts": [home.account], "user_name": "x"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"accounts": [home.account], "user_name": ""}), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = split(body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let users = site.get("/api/v1/users", &acme.operator).await.body;
    assert_eq!(users["items"].as_array().unwrap().len(), 1, "{users}");
}
