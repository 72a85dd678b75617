//! The rules of a directory by REST.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Site, request};

const PATH: &str = "/api/v1/directories/corp/mapping";

async fn put(site: &Site, token: &str, version: Option<&str>, rules: Value) -> Answer {
    let mut request = request(Method::PUT, PATH, token, Some(json!({"rules": rules})));
    if let Some(version) = version {
        request.headers_mut().insert("If-Match", version.parse().unwrap());
    }
    site.send(request).await
}

#[tokio::test]
async fn rules_are_saved_in_versions_and_brought_back() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let before = site.get(PATH, &acme.auditor).await;
    assert_eq!((before.status, &before.body["version"]), (StatusCode::OK, &0.into()));
    let defaults = before.body["rules"].clone();
    assert!(defaults.as_array().unwrap().iter().any(|rule| rule["target"] == "email" && rule["expression"] == "mail"));

    let first = put(&site, &acme.operator, Some("0"), defaults.clone()).await;
    assert_eq!((first.status, &first.body["version"]), (StatusCode::OK, &1.into()), "{}", first.body);
    assert_eq!(first.body["saved_by"], "operator");
    let other = json!([{"target": "email", "expression": "lower(mail)"}]);
    for (version, status) in [("0", StatusCode::CONFLICT), ("x", StatusCode::BAD_REQUEST), ("\"1\"", StatusCode::OK)] {
        let answer = put(&site, &acme.operator, Some(version), other.clone()).await;
        assert_eq!(answer.status, status, "{version}: {}", answer.body);
    }
    let back = site.post(&format!("{PATH}/versions/1/restore"), &acme.operator, json!({})).await;
    assert_eq!((&back.body["version"], &back.body["restored_from"]), (&3.into(), &1.into()), "{}", back.body);
    assert_eq!(site.get(PATH, &acme.auditor).await.body["rules"], defaults);
    let versions = site.get(&format!("{PATH}/versions"), &acme.auditor).await.body;
    let numbers: Vec<_> = versions["items"].as_array().unwrap().iter().map(|item| item["version"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    for unknown in ["9", "x"] {
        let answer = site.post(&format!("{PATH}/versions/{unknown}/restore"), &acme.operator, json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test]
async fn rules_that_do_not_compile_are_not_saved() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let many: Vec<_> =
        (0..101).map(|rule| json!({"target": format!("attributes.a{rule}"), "expression": "cn"})).collect();
    for (rules, part) in [
        (json!([{"target": "email", "expression": "lower(mail"}]), "rule 1 (email): at character 11"),
        (json!([{"target": "nickname", "expression": "mail"}]), "rule 1 (nickname)"),
        (json!([{"of": "groups", "target": "email", "expression": "mail"}]), "display_name and description"),
        (json!(many), "a directory may have 100"),
    ] {
        let answer = put(&site, &acme.operator, None, rules).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
    assert_eq!(site.get(PATH, &acme.auditor).await.body["version"], 0);
}

#[tokio::test]
async fn rules_of_another_organization_do_not_exist() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    site.inhabit(acme.id).await;
    let rules = json!([{"target": "email", "expression": "mail"}]);
    assert_eq!(put(&site, &other.owner, None, rules).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get(PATH, &other.owner).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get(PATH, &acme.owner).await.body["version"], 0);
}
