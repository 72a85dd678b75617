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
    for (answer, tag) in [(&before, "\"0\""), (&first, "\"1\"")] {
        assert_eq!(answer.headers["etag"], tag);
    }
    for (version, status) in [
        ("\"0\"", StatusCode::PRECONDITION_FAILED),
        ("x", StatusCode::PRECONDITION_FAILED),
        ("\"1\"", StatusCode::OK),
        ("*", StatusCode::OK),
    ] {
        let answer = put(&site, &acme.operator, Some(version), other.clone()).await;
        assert_eq!(answer.status, status, "{version}: {}", answer.body);
        if status != StatusCode::OK {
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains("operator saved version 1 at 2026-11-22T22:00:00Z"), "{detail}");
        }
    }
    let path = format!("{PATH}/versions/1/restore");
    let mut late = request(Method::POST, &path, &acme.operator, Some(json!({})));
    late.headers_mut().insert("If-Match", "\"1\"".parse().unwrap());
    assert_eq!(site.send(late).await.status, StatusCode::PRECONDITION_FAILED);
    let back = site.post(&format!("{PATH}/versions/1/restore"), &acme.operator, json!({})).await;
    assert_eq!((&back.body["version"], &back.body["restored_from"]), (&4.into(), &1.into()), "{}", back.body);
    assert_eq!(site.get(PATH, &acme.auditor).await.body["rules"], defaults);
    let versions = site.get(&format!("{PATH}/versions"), &acme.auditor).await.body;
    let numbers: Vec<_> = versions["items"].as_array().unwrap().iter().map(|item| item["version"].clone()).collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
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

fn rule(target: &str, expression: &str) -> Value {
    json!({"target": target, "expression": expression})
}

#[tokio::test]
async fn a_preview_shows_inputs_results_errors_and_the_user_before_and_after_and_writes_nothing() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let secret = json!({"name": "badge", "type": "string", "sensitive": true});
    assert_eq!(site.post("/api/v1/attributes", &acme.owner, secret).await.status, StatusCode::CREATED);
    let attributes = r#"{"mail":["Ada@Example.ORG"],"userAccountControl":["514"],"whenCreated":["20261128093000.0Z"],
        "carLicense":["4711"]}"#;
    site.give_attributes(acme.id, home.directory, home.account, attributes).await;
    let before = site.audit_count(acme.id).await;
    let rules = json!([
        rule("email", "lower(mail)"),
        rule("attributes.since", "date(whenCreated)"),
        rule("attributes.off", "flags.disabled"),
        rule("family_name", "sn + 1"),
        rule("attributes.badge", "carLicense"),
    ]);
    let path = format!("{PATH}/preview");
    let found = site.post(&path, &acme.operator, json!({"user": "anna", "rules": rules})).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.body);
    let body = &found.body;
    assert_eq!((&body["version"], &body["job_id"], &body["provided_by"]), (&Value::Null, &Value::Null, &Value::Null));
    let input = |name: &str| {
        let all = body["inputs"].as_array().unwrap();
        all.iter().find(|input| input["name"].as_str().unwrap().eq_ignore_ascii_case(name)).cloned().unwrap()
    };
    assert_eq!(input("whenCreated")["raw"], json!(["20261128093000.0Z"]));
    assert_eq!(input("whenCreated")["values"], json!(["2026-11-28T09:30:00Z"]));
    assert_eq!(input("userAccountControl")["type"], "a number");
    assert_eq!(input("sn")["values"], json!([]), "a rule reads it, and the account has none");
    assert_eq!(input("carLicense")["raw"], json!(["***"]), "a sensitive attribute is made of it");
    let results: Vec<&Value> = body["rules"].as_array().unwrap().iter().map(|rule| &rule["result"]).collect();
    assert_eq!(results, [&json!("ada@example.org"), &json!("2026-11-28"), &json!("true"), &Value::Null, &json!("***")]);
    let error = body["rules"][3]["error"].as_str().unwrap();
    assert!(error.contains("the rule family_name fails on uid=anna,ou=people") && error.contains("sn="), "{error}");
    assert_eq!(body["before"]["user_name"], "anna");
    assert_eq!(body["after"]["email"], "ada@example.org");
    assert_eq!(body["after"]["attributes.badge"], "***");
    assert!(!body.to_string().contains("4711"), "{body}");
    // Nothing was written.
    assert_eq!(site.get(PATH, &acme.auditor).await.body["version"], 0);
    assert_eq!(site.audit_count(acme.id).await, before);
    let user = site.get("/api/v1/users/anna", &acme.auditor).await;
    assert_ne!(user.body["email"], "ada@example.org");
}

#[tokio::test]
async fn a_preview_of_saved_rules_groups_and_unknown_users() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let path = format!("{PATH}/preview");
    let defaults = site.post(&path, &acme.operator, json!({"user": "anna"})).await;
    assert_eq!((defaults.status, &defaults.body["version"]), (StatusCode::OK, &0.into()), "{}", defaults.body);
    put(&site, &acme.operator, None, json!([{"of": "groups", "target": "description", "expression": "upper('x')"}]))
        .await;
    let group = site.post(&path, &acme.operator, json!({"group": "staff"})).await;
    assert_eq!((group.status, &group.body["version"]), (StatusCode::OK, &1.into()), "{}", group.body);
    assert_eq!(group.body["after"]["description"], "X");
    for (body, status) in [
        (json!({"user": "nobody"}), StatusCode::NOT_FOUND),
        (json!({}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"user": "anna", "group": "staff"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"group": "staff", "live": true}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"user": "anna", "rules": [rule("email", "lower(")]}), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = site.post(&path, &acme.operator, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
}

const OUTBOUND: &str = "/api/v1/directories/corp/outbound-mapping";

#[tokio::test]
async fn outbound_rules_are_saved_in_versions_of_their_own_and_tried_on_a_user() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let before = site.get(OUTBOUND, &acme.auditor).await;
    assert_eq!((before.status, &before.body["version"]), (StatusCode::OK, &0.into()), "{}", before.body);
    let defaults = before.body["rules"].clone();
    let save =
        async |rules: Value| site.call(Method::PUT, OUTBOUND, &acme.operator, Some(json!({"rules": rules}))).await;
    assert_eq!(save(defaults).await.body["version"], 1);
    let saved = save(json!([rule("mail", "user_name + '@x.example'"), rule("sn", "user_name - 1")])).await;
    assert_eq!((saved.status, &saved.body["version"]), (StatusCode::OK, &2.into()), "{}", saved.body);
    let found = site.post(&format!("{OUTBOUND}/preview"), &acme.operator, json!({"user": "anna"})).await;
    assert_eq!((found.status, &found.body["version"]), (StatusCode::OK, &2.into()), "{}", found.body);
    let attributes = &found.body["attributes"];
    assert_eq!((&attributes[0]["attribute"], &attributes[0]["values"]), (&"mail".into(), &json!(["anna@x.example"])));
    assert!(attributes[1]["error"].is_string(), "{attributes}");
    let refused = save(json!([rule("userPassword", "user_name"), rule("cn", "mail")])).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = refused.body["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("passwords") && detail.contains("rule 2 (cn)"), "{detail}");
    let back = site.post(&format!("{OUTBOUND}/versions/1/restore"), &acme.operator, json!({})).await;
    assert_eq!((&back.body["version"], &back.body["restored_from"]), (&3.into(), &1.into()), "{}", back.body);
    let versions = site.get(&format!("{OUTBOUND}/versions"), &acme.auditor).await.body;
    assert_eq!(versions["items"].as_array().unwrap().len(), 3);
    // The inbound rules are others.
    assert_eq!(site.get(PATH, &acme.auditor).await.body["version"], 0);
}

#[tokio::test]
async fn rules_that_take_too_much_away_are_refused_until_their_losses_are_confirmed() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    site.give_attributes(acme.id, home.directory, home.account, r#"{"mail": ["anna@x.example"]}"#).await;
    let strict = json!({"vanished_threshold_percent": 0, "vanished_threshold_minimum": 1});
    let answer = site.call(Method::PATCH, "/api/v1/directories/corp", &acme.operator, Some(strict)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let before = site.audit_count(acme.id).await;
    let rules = json!([rule("email", "null")]);
    let counted = site.post(&format!("{PATH}/effect"), &acme.operator, json!({"rules": rules})).await;
    assert_eq!(
        (&counted.body["losing"], &counted.body["needs_confirmation"]),
        (&2.into(), &true.into()),
        "{}",
        counted.body
    );
    for confirm in [Value::Null, 1.into(), 3.into()] {
        let body = json!({"rules": rules, "confirm": confirm});
        let refused = site.call(Method::PUT, PATH, &acme.operator, Some(body)).await;
        assert_eq!(
            (refused.status, &refused.body["type"]),
            (StatusCode::CONFLICT, &"urn:postern:problem:unconfirmed".into())
        );
        assert_eq!(refused.body["effect"], counted.body, "{}", refused.body);
        assert!(refused.body["cure"].as_str().unwrap().contains("\"confirm\": 2"), "{}", refused.body);
    }
    assert_eq!(site.get(PATH, &acme.auditor).await.body["version"], 0, "nothing was saved");
    assert_eq!(site.audit_count(acme.id).await, before, "and nothing was noted");
    let body = json!({"rules": rules, "confirm": 2});
    let saved = site.call(Method::PUT, PATH, &acme.operator, Some(body)).await;
    assert_eq!((saved.status, &saved.body["version"]), (StatusCode::OK, &1.into()), "{}", saved.body);
}
