//! Users of a file: found by id or name, checked, masked. Decisions and deletions that are repeated or undone.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Organization, Site};

async fn create(site: &Site, acme: &Organization, user: Value) -> Value {
    let made = site.post("/api/v1/users", &acme.operator, user).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body
}

/// Writes users, and returns what became of each.
async fn write(site: &Site, acme: &Organization, users: Value) -> Vec<Value> {
    let answer = site.post("/api/v1/bulk-users", &acme.operator, json!({"users": users})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body["results"].as_array().unwrap().clone()
}

fn reason(result: &Value) -> &str {
    result["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_user_is_found_by_the_id_of_an_export() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let ada = create(&site, &acme, json!({"user_name": "ada"})).await["id"].clone();
    let bo = create(&site, &acme, json!({"user_name": "bo"})).await["id"].clone();
    let foreign = create(&site, &other, json!({"user_name": "eve"})).await["id"].clone();
    let results = write(
        &site,
        &acme,
        json!([
            {"id": ada, "active": true, "user_name": "ada.l"},
            {"id": ada, "user_name": "ada.m"},
            {"id": bo, "active": false, "user_name": "bob"},
            {"id": foreign, "user_name": "eve"},
            {"user_name": "ADA", "active": true},
            {"user_name": "ada.L", "email": "x@example.org"},
        ]),
    )
    .await;
    let outcomes: Vec<_> = results.iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["changed", "refused", "refused", "refused", "created", "refused"], "{results:?}");
    assert_eq!(
        (&results[0]["before"]["user_name"], &results[0]["after"]["user_name"]),
        (&json!("ada"), &json!("ada.l"))
    );
    assert!(reason(&results[2]).contains("disable or enable the user"), "{}", results[2]);
    assert!(reason(&results[3]).contains("no user with the id"), "{}", results[3]);
    let shown = site.get(&format!("/api/v1/users/{}", bo.as_str().unwrap()), &acme.auditor).await.body;
    assert_eq!((&shown["user_name"], &shown["active"]), (&json!("bo"), &json!(true)), "nothing is written");
    let taken = write(&site, &acme, json!([{"id": bo, "user_name": "Ada.L"}])).await;
    assert!(reason(&taken[0]).contains(&format!("ada.l ({})", ada.as_str().unwrap())), "{}", taken[0]);
}

#[tokio::test]
async fn sensitive_values_are_masked_in_what_changes() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let definition = json!({"name": "badge", "type": "integer", "sensitive": true});
    assert_eq!(site.post("/api/v1/attributes", &acme.owner, definition).await.status, StatusCode::CREATED);
    create(&site, &acme, json!({"user_name": "ada", "attributes": {"badge": 77}})).await;
    let users = json!([{"user_name": "ada", "email": "ada@example.org", "attributes": {"badge": 78}}]);
    for dry_run in [true, false] {
        let body = json!({"dry_run": dry_run, "users": users});
        let answer = site.post("/api/v1/bulk-users", &acme.operator, body).await.body;
        let text = answer.to_string();
        assert!(text.contains("\"attributes.badge\":\"***\"") && text.contains("ada@example.org"), "{text}");
        assert!(!text.contains(":77") && !text.contains(":78"), "{text}");
    }
    assert_eq!(site.get("/api/v1/users/ada", &acme.auditor).await.body["attributes"]["badge"], 78);
}

#[tokio::test]
async fn a_refusal_names_every_field_that_is_wrong() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let wrong = json!({"user_name": " ", "email": "nobody", "attributes": {"Title": "x"}});
    let refused = site.post("/api/v1/users", &acme.operator, wrong.clone()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields: Vec<_> = refused.body["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["user_name", "email", "attributes.Title"], "{}", refused.body);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("The user name must be 1 to 256 characters"), "{detail}");
    assert!(detail.contains("The e-mail address must be like name@example.org."), "{detail}");
    let result = write(&site, &acme, json!([wrong])).await.remove(0);
    assert!(reason(&result).contains("user_name:") && reason(&result).contains("; email:"), "{result}");
    // The same for what directories say.
    let home = site.inhabit(acme.id).await;
    let path = format!("/api/v1/users/{}", home.user);
    let sources = site.get(&path, &acme.auditor).await.body["sources"].clone();
    let all: serde_json::Map<_, _> =
        sources.as_object().unwrap().keys().map(|field| (field.clone(), json!("other"))).collect();
    let all: serde_json::Map<_, _> =
        all.into_iter().filter(|(field, _)| !field.contains('.') && field != "email").collect();
    let refused = site.call(Method::PATCH, &path, &acme.operator, Some(Value::Object(all))).await;
    let detail = refused.body["detail"].as_str().unwrap();
    assert_eq!(refused.status, StatusCode::CONFLICT, "{detail}");
    assert!(
        detail.contains("user name") && detail.contains("of this user come") && detail.contains("corp"),
        "{detail}"
    );
}

#[tokio::test]
async fn what_a_repeated_decision_does_not_say_stays() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    create(&site, &acme, json!({"user_name": "ada"})).await;
    let disable = async |body: Value| {
        let answer = site.post("/api/v1/users/ada/disable", &acme.operator, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        (answer.body["suspension"]["reason"].clone(), answer.body["suspension"]["until"].clone())
    };
    let (reason, until) = (json!("lost laptop"), json!("2026-11-23T00:00:00Z"));
    assert_eq!(disable(json!({"reason": reason, "until": until})).await, (reason.clone(), until.clone()));
    assert_eq!(disable(json!({})).await, (reason.clone(), until.clone()));
    assert_eq!(disable(json!({"reason": "left"})).await, (json!("left"), until.clone()));
    let later = json!("2026-11-24T00:00:00Z");
    assert_eq!(disable(json!({"until": later})).await, (json!("left"), later.clone()));
    // A decision that has ended says nothing any more.
    site.clock.advance(std::time::Duration::from_hours(72));
    assert_eq!(disable(json!({})).await, (Value::Null, Value::Null));
}

#[tokio::test]
async fn deleted_users_and_groups_are_restored_by_name_or_id_if_only_one_fits() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    for (kind, body) in [("users", json!({"user_name": "ada"})), ("groups", json!({"display_name": "ada"}))] {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let made = site.post(&format!("/api/v1/{kind}"), &acme.operator, body.clone()).await;
            ids.push(made.body["id"].as_str().unwrap().to_owned());
            let path = format!("/api/v1/{kind}/{}", ids.last().unwrap());
            assert_eq!(site.call(Method::DELETE, &path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
        }
        let restore = async |name: &str, organization: &Organization| {
            site.post(&format!("/api/v1/{kind}/{name}/restore"), &organization.operator, json!({})).await
        };
        for name in ["ada", ids[0].as_str(), "nobody"] {
            let foreign = restore(name, &other).await;
            assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{kind} {name}");
            let cure = foreign.body["cure"].as_str().unwrap();
            assert!(cure.contains(&format!("postern {kind} deleted")), "{cure}");
        }
        let several = restore("ada", &acme).await;
        assert_eq!(several.status, StatusCode::CONFLICT);
        assert_eq!(several.body["candidates"].as_array().unwrap().len(), 2, "{}", several.body);
        let listed = site.get(&format!("/api/v1/deleted-{kind}"), &acme.auditor).await.body;
        assert_eq!(listed["items"].as_array().unwrap().len(), 2, "nothing is written");
        // Ids of one moment begin alike; all but the last digit tells them apart.
        let beginning = &ids[0][..35];
        assert_eq!(restore(beginning, &acme).await.body["id"], ids[0].as_str(), "{kind}");
        let gone = site.call(Method::DELETE, &format!("/api/v1/{kind}/{}", ids[0]), &acme.operator, None).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
    }
    let eve = create(&site, &acme, json!({"user_name": "eve"})).await;
    let path = format!("/api/v1/users/{}", eve["id"].as_str().unwrap());
    assert_eq!(site.call(Method::DELETE, &path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
    let restored = site.post("/api/v1/users/eve/restore", &acme.operator, json!({})).await;
    assert_eq!((restored.status, &restored.body["id"]), (StatusCode::OK, &eve["id"]), "{}", restored.body);
}
