//! Users that administrators make and change: values, versions, names, decisions, deletion.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use postern_engine::records::{DirectoryId, IdentityId, PendingChange, PendingId, UserId};
use serde_json::{Value, json};

use super::{Answer, Organization, Site};

async fn create(site: &Site, acme: &Organization, name: &str) -> Value {
    let made = site.post("/api/v1/users", &acme.operator, json!({"user_name": name})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body
}

async fn patch(site: &Site, acme: &Organization, path: &str, body: Value) -> Answer {
    site.call(Method::PATCH, &format!("/api/v1/{path}"), &acme.operator, Some(body)).await
}

#[tokio::test]
async fn a_user_is_made_changed_and_shown_with_its_sources() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let body = json!({"user_name": " Ada ", "given_name": "Ada", "attributes": {"title": "Dr."}});
    let made = site.post("/api/v1/users", &acme.operator, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((&made.body["user_name"], &made.body["active"]), (&json!("Ada"), &json!(true)));
    let path = format!("users/{}", made.body["id"].as_str().unwrap());
    let shown = site.get(&format!("/api/v1/{path}"), &acme.auditor).await;
    assert_eq!((&shown.body["sources"], &shown.body["attributes"]), (&json!({}), &json!({"title": "Dr."})));

    // A merge patch: absent fields stay, null takes away.
    let body = json!({"given_name": null, "email": "ada@example.org", "attributes": {"title": null, "floor": "3"}});
    let changed = patch(&site, &acme, &path, body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!((&changed.body["given_name"], &changed.body["email"]), (&json!(null), &json!("ada@example.org")));
    assert_eq!(changed.body["attributes"], json!({"floor": "3"}));
    let found = site.get("/api/v1/users?query=ada@", &acme.auditor).await.body;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    let log = site.get("/api/v1/audit?action=user.changed", &acme.auditor).await.body;
    assert_eq!(log["items"][0]["before"], json!({"given_name": "Ada", "attributes.title": "Dr."}));
    assert_eq!(log["items"][0]["after"], json!({"email": "ada@example.org", "attributes.floor": "3"}));

    // The same once more changes nothing, and is not logged.
    let again = patch(&site, &acme, &path, json!({"email": "ada@example.org"})).await;
    assert_eq!((again.status, &again.body["updated_at"]), (StatusCode::OK, &changed.body["updated_at"]));
    let log = site.get("/api/v1/audit?action=user.changed", &acme.auditor).await.body;
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_belongs_to_one_user() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    create(&site, &acme, "straße").await;
    let bo = create(&site, &acme, "bo").await;
    for taken in ["STRASSE", "Straße", " strasse"] {
        let refused = site.post("/api/v1/users", &acme.operator, json!({"user_name": taken})).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{taken}: {}", refused.body);
        assert_eq!(refused.body["errors"][0]["field"], "user_name");
    }
    let path = format!("users/{}", bo["id"].as_str().unwrap());
    let refused = patch(&site, &acme, &path, json!({"user_name": "Strasse", "given_name": "Bo"})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let shown = site.get(&format!("/api/v1/{path}"), &acme.auditor).await.body;
    assert_eq!((&shown["user_name"], &shown["given_name"]), (&json!("bo"), &json!(null)), "nothing is written");
    assert_eq!(patch(&site, &acme, &path, json!({"user_name": "BO"})).await.status, StatusCode::OK, "its own name");
    create(&site, &other, "strasse").await;
    let wrong = site.post("/api/v1/users", &acme.operator, json!({"user_name": "x", "email": "nobody"})).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.body["errors"][0]["field"], "email");
}

/// A change of an attribute that a directory has been asked to make.
async fn ask(site: &Site, acme: &Organization, directory: DirectoryId, (user, what): (&Value, &str), wanted: Value) {
    let change = PendingChange {
        id: PendingId::new(),
        target: directory.into(),
        identity: IdentityId::User(UserId::from_uuid(serde_json::from_value(user["id"].clone()).unwrap())),
        what: what.to_owned(),
        wanted,
        asked_at: site.now(),
        asked_by: "ada".to_owned(),
        refused: None,
    };
    let mut tx = site.store.begin_identities(acme.id, site.now()).await.unwrap();
    tx.ask_changes(&[change]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_a_directory_was_asked_for_is_part_of_the_version() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let directory = site.inhabit(acme.id).await.directory;
    let bo = create(&site, &acme, "bo").await;
    let path = format!("/api/v1/users/{}", bo["id"].as_str().unwrap());
    let tag = async || site.get(&path, &acme.operator).await.headers["etag"].to_str().unwrap().to_owned();
    let change = async |tag: &str, name: &str| {
        let headers = [("if-match", tag)];
        site.call_with(Method::PATCH, &path, &acme.operator, &headers, Some(json!({"given_name": name}))).await
    };
    let before = tag().await;
    ask(&site, &acme, directory, (&bo, "email"), json!("bo@x.example")).await;
    let after = tag().await;
    assert_ne!(before, after);
    assert_eq!(change(&before, "Bo").await.status, StatusCode::PRECONDITION_FAILED);
    let changed = change(&after, "Bo").await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!(changed.headers["etag"].to_str().unwrap(), tag().await, "the answer has the version that is read");
}

#[tokio::test]
async fn a_unique_value_that_a_directory_was_asked_for_is_nobody_elses() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let directory = site.inhabit(acme.id).await.directory;
    let badge = json!({"name": "badge", "type": "string", "unique": true});
    assert_eq!(site.post("/api/v1/attributes", &acme.owner, badge).await.status, StatusCode::CREATED);
    let (di, ed) = (create(&site, &acme, "di").await, create(&site, &acme, "ed").await);
    ask(&site, &acme, directory, (&di, "attributes.badge"), json!("B-1")).await;
    let wanted = |badge: &str| json!({"attributes": {"badge": badge}});
    let path = |user: &Value| format!("users/{}", user["id"].as_str().unwrap());
    for taken in ["B-1", "b-1"] {
        let refused = patch(&site, &acme, &path(&ed), wanted(taken)).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap();
        assert_eq!(refused.body["errors"][0]["field"], "attributes.badge");
        assert!(detail.contains("ada has asked") && detail.contains(di["id"].as_str().unwrap()), "{detail}");
    }
    assert_eq!(patch(&site, &acme, &path(&ed), wanted("B-2")).await.status, StatusCode::OK);
    let refused = patch(&site, &acme, &path(&di), wanted("B-2")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
}

#[tokio::test]
async fn a_change_that_is_based_on_an_older_version_is_refused_with_who_was_first() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let ada = create(&site, &acme, "ada").await;
    let path = format!("/api/v1/users/{}", ada["id"].as_str().unwrap());
    let tag = site.get(&path, &acme.operator).await.headers["etag"].to_str().unwrap().to_owned();
    let with = async |method: Method, path: &str, tag: &str, body: Value| {
        site.call_with(method, path, &acme.operator, &[("if-match", tag)], Some(body)).await
    };
    let first = with(Method::PATCH, &path, &tag, json!({"display_name": "Ada"})).await;
    assert_eq!(first.status, StatusCode::OK);
    let newer = first.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(newer, tag);
    for (method, path, body) in [
        (Method::PATCH, path.clone(), json!({"display_name": "Eve"})),
        (Method::POST, format!("{path}/disable"), json!({})),
        (Method::POST, format!("{path}/enable"), json!({})),
        (Method::DELETE, path.clone(), json!({})),
    ] {
        let refused = with(method.clone(), &path, &tag, body).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{method} {path}: {}", refused.body);
        assert!(
            refused.body["detail"].as_str().unwrap().contains("operator changed display_name at"),
            "{}",
            refused.body
        );
    }
    let shown = site.get(&path, &acme.operator).await;
    assert_eq!((&shown.body["display_name"], &shown.body["active"]), (&json!("Ada"), &json!(true)));
    assert_eq!(shown.headers["etag"].to_str().unwrap(), newer);
    for good in [newer.as_str(), "*", "\"x\", *"] {
        assert_eq!(with(Method::POST, &format!("{path}/enable"), good, json!({})).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_administrators_decision_holds_until_it_is_ended() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let ada = create(&site, &acme, "ada").await;
    let path = format!("/api/v1/users/{}", ada["id"].as_str().unwrap());
    let body = json!({"reason": "lost laptop", "until": "2026-11-23T00:00:00Z"});
    let disabled = site.post(&format!("{path}/disable"), &acme.operator, body).await;
    assert_eq!((disabled.status, &disabled.body["active"]), (StatusCode::OK, &json!(false)), "{}", disabled.body);
    assert_eq!(disabled.body["suspension"]["by"], "operator");
    let past = json!({"until": "2026-11-22T00:00:00Z"});
    assert_eq!(site.post(&format!("{path}/disable"), &acme.operator, past).await.status.as_u16(), 422);
    assert_eq!(site.store.end_suspensions("2026-11-22T23:59:59Z".parse().unwrap()).await.unwrap(), 0);
    assert_eq!(site.store.end_suspensions("2026-11-23T00:00:00Z".parse().unwrap()).await.unwrap(), 1);
    let shown = site.get(&path, &acme.auditor).await.body;
    assert_eq!((&shown["active"], &shown["suspension"]), (&json!(true), &json!(null)));
    for (action, active) in [("disable", false), ("disable", false), ("enable", true), ("enable", true)] {
        let answer = site.post(&format!("{path}/{action}"), &acme.operator, json!({})).await;
        assert_eq!((answer.status, answer.body["active"].as_bool()), (StatusCode::OK, Some(active)), "{action}");
    }
}

#[tokio::test]
async fn a_deleted_user_can_be_restored_until_it_is_purged() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let ada = create(&site, &acme, "ada").await;
    let id = ada["id"].as_str().unwrap();
    let path = format!("/api/v1/users/{id}");
    site.post(&format!("{path}/disable"), &acme.operator, json!({"reason": "left"})).await;
    assert_eq!(site.call(Method::DELETE, &path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&path, &acme.auditor).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/api/v1/users", &acme.auditor).await.body["items"], json!([]));
    let listed = site.get("/api/v1/deleted-users", &acme.auditor).await.body;
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["deleted_by"]), (&json!(id), &json!("operator")));
    assert_eq!(site.get("/api/v1/deleted-users", &other.owner).await.body["items"], json!([]));
    let restore = format!("{path}/restore");
    assert_eq!(site.post(&restore, &other.owner, json!({})).await.status, StatusCode::NOT_FOUND);
    // Its name is free meanwhile; who has it keeps it.
    let heir = create(&site, &acme, "Ada").await;
    assert_eq!(site.post(&restore, &acme.operator, json!({})).await.status, StatusCode::CONFLICT);
    let heir = format!("/api/v1/users/{}", heir["id"].as_str().unwrap());
    assert_eq!(site.call(Method::DELETE, &heir, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
    let restored = site.post(&restore, &acme.operator, json!({})).await;
    assert_eq!((restored.status, &restored.body["active"]), (StatusCode::OK, &json!(false)), "{}", restored.body);
    assert_eq!(restored.body["suspension"]["reason"], "left");
    assert_eq!(site.post(&restore, &acme.operator, json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post(&format!("{path}/enable"), &acme.operator, json!({})).await.body["active"], true);
    assert_eq!(site.store.purge_users(site.now()).await.unwrap(), 0);
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(site.store.purge_users(site.now()).await.unwrap(), 1, "the heir");
}

#[tokio::test]
async fn what_a_directory_says_is_changed_there() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let path = format!("users/{}", home.user);
    let shown = site.get(&format!("/api/v1/{path}"), &acme.auditor).await.body;
    assert_eq!(shown["sources"]["user_name"], "corp", "{shown}");
    let refused = patch(&site, &acme, &path, json!({"user_name": "eve", "attributes": {"floor": "3"}})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body["detail"].as_str().unwrap().contains("corp"), "{}", refused.body);
    let after = site.get(&format!("/api/v1/{path}"), &acme.auditor).await.body;
    assert_eq!(after["attributes"], shown["attributes"], "nothing is written");
    let refused = site.call(Method::DELETE, &format!("/api/v1/{path}"), &acme.operator, None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body["detail"].as_str().unwrap().contains("corp"), "{}", refused.body);
    let own = patch(&site, &acme, &path, json!({"attributes": {"floor": "3"}})).await;
    assert_eq!((own.status, &own.body["attributes"]["floor"]), (StatusCode::OK, &json!("3")), "{}", own.body);
}

#[tokio::test]
async fn values_of_defined_attributes_are_checked_kept_apart_and_masked() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    for definition in [
        json!({"name": "badge", "type": "integer", "required": true, "unique": true}),
        json!({"name": "salary", "type": "integer", "sensitive": true}),
        json!({"name": "start", "type": "date_time"}),
    ] {
        assert_eq!(site.post("/api/v1/attributes", &acme.owner, definition).await.status, StatusCode::CREATED);
    }
    let make = async |name: &str, attributes: Value| {
        site.post("/api/v1/users", &acme.operator, json!({"user_name": name, "attributes": attributes})).await
    };
    for (attributes, field) in [
        (json!({}), "attributes.badge"),
        (json!({"badge": "7"}), "attributes.badge"),
        (json!({"badge": 7, "start": "soon"}), "attributes.start"),
    ] {
        let refused = make("ada", attributes).await;
        assert_eq!((refused.status.as_u16(), &refused.body["errors"][0]["field"]), (422, &json!(field)));
    }
    let ada = make("ada", json!({"badge": 7, "salary": 5_000, "start": "2026-01-31T10:00:00+02:00"})).await;
    assert_eq!(ada.status, StatusCode::CREATED, "{}", ada.body);
    assert_eq!(ada.body["attributes"]["start"], "2026-01-31T08:00:00Z");
    let log = site.get("/api/v1/audit?action=user.", &acme.auditor).await.body;
    assert_eq!(log["items"][0]["after"]["attributes.salary"], "***");
    assert!(!log.to_string().contains("5000"), "{log}");
    // A unique value belongs to one user, until the user gives it up.
    let refused = make("bo", json!({"badge": 7})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert_eq!(site.get("/api/v1/users?query=bo", &acme.auditor).await.body["items"], json!([]), "nothing is written");
    let path = format!("users/{}", ada.body["id"].as_str().unwrap());
    assert_eq!(patch(&site, &acme, &path, json!({"attributes": {"badge": null}})).await.status.as_u16(), 422);
    assert_eq!(patch(&site, &acme, &path, json!({"attributes": {"badge": 8}})).await.status, StatusCode::OK);
    assert_eq!(make("bo", json!({"badge": 7})).await.status, StatusCode::CREATED);
    let ada_path = format!("/api/v1/{path}");
    assert_eq!(site.call(Method::DELETE, &ada_path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(make("cy", json!({"badge": 8})).await.status, StatusCode::CREATED, "a deleted user gives it up");
    let restored = site.post(&format!("{ada_path}/restore"), &acme.operator, json!({})).await;
    assert_eq!(restored.status, StatusCode::CONFLICT, "{}", restored.body);
    assert_eq!(site.get("/api/v1/deleted-users", &acme.auditor).await.body["items"].as_array().unwrap().len(), 1);
    // Another organization has attributes of its own; a used name cannot be defined any more.
    let free = json!({"user_name": "x", "attributes": {"badge": "7"}});
    assert_eq!(site.post("/api/v1/users", &other.owner, free).await.status, StatusCode::CREATED);
    let late = site.post("/api/v1/attributes", &other.owner, json!({"name": "badge", "type": "integer"})).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.body);
}

#[tokio::test]
async fn many_users_are_made_changed_or_refused_one_by_one() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let badge = json!({"name": "badge", "type": "string", "unique": true});
    assert_eq!(site.post("/api/v1/attributes", &acme.owner, badge).await.status, StatusCode::CREATED);
    create(&site, &acme, "bo").await;
    let anna = site.get(&format!("/api/v1/users/{}", home.user), &acme.auditor).await.body;
    let users = json!([
        {"user_name": "ada", "attributes": {"badge": "A1"}},
        {"user_name": "BO", "email": "bo@example.org"},
        {"user_name": "Ada"},
        {"user_name": "cy", "attributes": {"badge": "a1"}},
        {"user_name": ""},
        {"user_name": "dee", "email": "nobody"},
        {"user_name": anna["user_name"]},
    ]);
    let outcomes = async |dry_run: bool| {
        let body = json!({"dry_run": dry_run, "users": users});
        let answer = site.post("/api/v1/bulk-users", &acme.operator, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let results = answer.body["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected = ["created", "changed", "refused", "refused", "refused", "refused", "unchanged"];
    assert_eq!(outcomes(true).await, expected);
    let log = site.get("/api/v1/audit?action=user.", &acme.auditor).await.body;
    assert_eq!(log["items"].as_array().unwrap().len(), 1, "a dry run writes nothing");
    assert_eq!(outcomes(false).await, expected);
    let log = site.get("/api/v1/audit?action=user.", &acme.auditor).await.body;
    let actions: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, [Some("user.changed"), Some("user.created"), Some("user.created")]);
    assert_eq!(site.get("/api/v1/audit/verify", &acme.auditor).await.body["whole"], true);
    let again = ["unchanged", "unchanged", "refused", "refused", "refused", "refused", "unchanged"];
    assert_eq!(outcomes(false).await, again, "once more changes nothing");
    assert_eq!(site.get("/api/v1/users?query=cy", &acme.auditor).await.body["items"], json!([]));
    let many: Vec<Value> = (0..1_001).map(|number| json!({"user_name": format!("u{number}")})).collect();
    let refused = site.post("/api/v1/bulk-users", &acme.operator, json!({"users": many})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_request_with_many_users_may_be_longer_than_others() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let user = |number: u32| json!({"user_name": format!("user{number:04}"), "display_name": "x".repeat(200)});
    let users: Vec<Value> = (0..1_000).map(user).collect();
    let answer = site.post("/api/v1/bulk-users", &acme.operator, json!({"users": users})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["results"].as_array().unwrap().len(), 1_000);
    // One that is too long even for that says how long it may be.
    let users: Vec<Value> = (0..1_000).map(|_| json!({"user_name": "x".repeat(1_100)})).collect();
    let refused = site.post("/api/v1/bulk-users", &acme.operator, json!({"users": users})).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.body["detail"].as_str().unwrap().contains("1048576 bytes"), "{}", refused.body);
}

#[tokio::test]
async fn no_attribute_has_the_name_of_a_fact_about_every_user() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for name in ["email", "disabled", "active", "id"] {
        let made = json!({"user_name": "ada", "attributes": {name: "x"}});
        let made = site.post("/api/v1/users", &acme.operator, made).await;
        let defined = site.post("/api/v1/attributes", &acme.owner, json!({"name": name, "type": "string"})).await;
        assert_eq!((made.status.as_u16(), defined.status.as_u16()), (422, 422), "{name}");
    }
    assert_eq!(site.get("/api/v1/users", &acme.auditor).await.body["items"], json!([]), "nothing is written");
}

#[tokio::test]
async fn what_is_deleted_can_be_restored_for_thirty_days() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let delete = async |kind: &str, id: &Value| {
        let path = format!("/api/v1/{kind}/{}", id.as_str().unwrap());
        assert_eq!(site.call(Method::DELETE, &path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
        format!("{path}/restore")
    };
    let group = site.post("/api/v1/groups", &acme.operator, json!({"display_name": "Staff"})).await.body;
    let (ada, group) = (create(&site, &acme, "ada").await, group);
    let restores = [delete("users", &ada["id"]).await, delete("groups", &group["id"]).await];
    site.clock.advance(Duration::from_hours(29 * 24));
    crate::upkeep::purge(&site.store, &site.clock.shared()).await;
    for restore in &restores {
        let answer = site.post(restore, &acme.operator, json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{restore}: {}", answer.body);
    }
    delete("users", &ada["id"]).await;
    delete("groups", &group["id"]).await;
    site.clock.advance(Duration::from_hours(31 * 24));
    crate::upkeep::purge(&site.store, &site.clock.shared()).await;
    for restore in &restores {
        let gone = site.post(restore, &acme.operator, json!({})).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{restore}: {}", gone.body);
    }
}
