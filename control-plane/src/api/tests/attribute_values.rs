//! Values of further attributes: unique ones after a refusal, their total size, and sensitive ones whose definition is to go.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Organization, Site};

async fn define(site: &Site, acme: &Organization, definition: Value) {
    let answer = site.post("/api/v1/attributes", &acme.owner, definition).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
}

/// Writes users, and returns the outcome of each.
async fn write(site: &Site, acme: &Organization, users: Value) -> Vec<String> {
    let answer = site.post("/api/v1/bulk-users", &acme.operator, json!({"users": users})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let outcome = |result: &Value| result["outcome"].as_str().unwrap().to_owned();
    answer.body["results"].as_array().unwrap().iter().map(outcome).collect()
}

#[tokio::test]
async fn a_refused_line_neither_takes_unique_values_nor_gives_them_up() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for name in ["badge", "desk"] {
        define(&site, &acme, json!({"name": name, "type": "string", "unique": true})).await;
    }
    let values =
        |name: &str, badge: &str, desk: &str| json!({"user_name": name, "attributes": {"badge": badge, "desk": desk}});
    let made = write(&site, &acme, json!([values("ada", "a1", "d1"), values("ben", "b1", "d2")])).await;
    assert_eq!(made, ["created", "created"]);
    let outcomes = write(
        &site,
        &acme,
        json!([
            // Each is refused for its desk, after its badge was found to be free.
            values("eve", "e1", "d1"),
            values("ada", "a2", "d2"),
            // The badge of eve is free, and so is the one that ada asked for; she has kept her own.
            values("kim", "e1", "d3"),
            values("lea", "a2", "d4"),
            values("max", "a1", "d5"),
        ]),
    )
    .await;
    assert_eq!(outcomes, ["refused", "refused", "created", "created", "refused"]);
    let user = async |name: &str| site.get(&format!("/api/v1/users/{name}"), &acme.auditor).await;
    assert_eq!(user("ada").await.body["attributes"], json!({"badge": "a1", "desk": "d1"}));
    assert_eq!(user("eve").await.status, StatusCode::NOT_FOUND);
    // Of two values in one request by itself, too.
    let patch = json!({"attributes": {"badge": "b2", "desk": "d1"}});
    let refused = site.call(Method::PATCH, "/api/v1/users/ben", &acme.operator, Some(patch)).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert_eq!(
        write(&site, &acme, json!([values("noa", "b2", "d6"), values("oda", "b1", "d7")])).await,
        ["created", "refused"]
    );
}

#[tokio::test]
async fn all_values_of_a_user_together_have_a_bound() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    define(&site, &acme, json!({"name": "tags", "type": "string_list"})).await;
    let list =
        |name: &str, texts: usize| json!({"user_name": name, "attributes": {"tags": vec!["x".repeat(4_000); texts]}});
    assert_eq!(write(&site, &acme, json!([list("ada", 60), list("eve", 70)])).await, ["created", "refused"]);
    let before = site.audit_count(acme.id).await;
    let too_much = json!({"attributes": (0..10).map(|n| (format!("more_{n}"), json!("y".repeat(4_000)))).collect::<serde_json::Map<_, _>>()});
    let refused = site.call(Method::PATCH, "/api/v1/users/ada", &acme.operator, Some(too_much.clone())).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let text = refused.body.to_string();
    assert!(text.contains("256 KiB") && text.contains("take some away"), "{text}");
    let line = json!([{"user_name": "ada", "attributes": too_much["attributes"]}, {"user_name": "ben"}]);
    assert_eq!(write(&site, &acme, line).await, ["refused", "created"]);
    assert_eq!(site.get("/api/v1/users/eve", &acme.auditor).await.status, StatusCode::NOT_FOUND);
    let shown = site.get("/api/v1/users/ada", &acme.auditor).await.body;
    assert_eq!(shown["attributes"].as_object().unwrap().len(), 1, "nothing is written");
    assert_eq!(site.audit_count(acme.id).await, before + 1, "only ben");
}

#[tokio::test]
async fn a_sensitive_definition_stays_while_users_have_values_of_it() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    define(&site, &acme, json!({"name": "ssn", "type": "string", "sensitive": true})).await;
    define(&site, &acme, json!({"name": "title", "type": "string"})).await;
    for name in ["ada", "ben", "eve"] {
        let user = json!({"user_name": name, "attributes": {"ssn": format!("secret of {name}"), "title": "Dr"}});
        assert_eq!(site.post("/api/v1/users", &acme.operator, user).await.status, StatusCode::CREATED);
    }
    assert_eq!(
        site.call(Method::DELETE, "/api/v1/users/eve", &acme.operator, None).await.status,
        StatusCode::NO_CONTENT
    );
    let before = site.audit_count(acme.id).await;
    let forget =
        async |name: &str| site.call(Method::DELETE, &format!("/api/v1/attributes/{name}"), &acme.owner, None).await;
    let refused = forget("ssn").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("2 users") && detail.contains("1 deleted user"), "{detail}");
    assert!(refused.body["cure"].as_str().unwrap().contains("Take the values away"), "{}", refused.body);
    assert_eq!(site.audit_count(acme.id).await, before, "nothing is written");
    // A value that is not sensitive may stay without its definition.
    assert_eq!(forget("title").await.status, StatusCode::NO_CONTENT);
    for name in ["ada", "ben"] {
        let cleared = json!({"attributes": {"ssn": null}});
        let path = format!("/api/v1/users/{name}");
        assert_eq!(site.call(Method::PATCH, &path, &acme.operator, Some(cleared)).await.status, StatusCode::OK);
    }
    assert_eq!(forget("ssn").await.status, StatusCode::CONFLICT, "eve may be restored with hers");
    site.store.purge_users("2027-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(forget("ssn").await.status, StatusCode::NO_CONTENT);
    let log = site.get("/api/v1/audit?limit=200", &acme.auditor).await.body.to_string();
    assert!(log.contains("attribute.removed") && !log.contains("secret of"), "{log}");
}
