//! Organizations never see each other: every operation that the OpenAPI document describes is tried with another
//! organization's owner token and this one's ids.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use postern_store::{IdentityId, Operation, OperationId, OperationState, Plan, PlanId, PlanState, Wake};
use serde_json::{Value, json};

use super::{Inhabited, Organization, Site};
use crate::api::v1;

/// Ids of things of the first organization, by the path that they belong to.
async fn ids(site: &Site, acme: &Organization, home: &Inhabited) -> BTreeMap<&'static str, String> {
    let job = site.post("/api/v1/jobs", &acme.owner, json!({"kind": "import", "directory": "corp"})).await;
    let token = site.post("/api/v1/tokens", &acme.owner, json!({"name": "x", "role": "owner"})).await;
    let enrollment = site.post("/api/v1/enrollment-tokens", &acme.owner, json!({})).await;
    let daily =
        json!({"name": "nightly", "kind": "import", "directory": "corp", "timing": {"repeat": "daily", "at": "02:30"}});
    let schedule = site.post("/api/v1/schedules", &acme.owner, daily).await;
    let id = |answer: &Value| answer["id"].as_str().unwrap().to_owned();
    BTreeMap::from([
        ("tokens", id(&token.body)),
        ("enrollment-tokens", id(&enrollment.body)),
        ("agents", home.agent.to_string()),
        ("directories", home.directory.to_string()),
        ("jobs", id(&job.body)),
        ("schedules", id(&schedule.body)),
        ("accounts", home.account.to_string()),
        ("users", home.user.to_string()),
        ("conflicts", site.conflict(acme.id, home.directory, "uid=rival", "anna").await.to_string()),
        ("groups", home.group.to_string()),
        ("attributes", attribute(site, acme).await),
    ])
}

async fn attribute(site: &Site, acme: &Organization) -> String {
    let made = site.post("/api/v1/attributes", &acme.owner, json!({"name": "badge", "type": "string"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    "badge".to_owned()
}

/// A row of the report.
async fn operation(site: &Site, acme: &Organization, home: &Inhabited) -> String {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let operation = Operation {
        id: OperationId::new(),
        organization: acme.id,
        target: home.directory.into(),
        identity: IdentityId::User(postern_store::UserId::new()),
        name: "anna".to_owned(),
        account: None,
        place: 0,
        action: "set_password".to_owned(),
        content: None,
        changes: json!({}),
        cause: "user.created".to_owned(),
        actor: None,
        state: OperationState::Succeeded,
        generation: 1,
        created_at: now,
        sent_at: Some(now),
        ended_at: Some(now),
        elapsed_ms: None,
        answer: None,
        approved_by: None,
        plan: None,
    };
    let mut tx = site.store.begin_identities(acme.id, now).await.unwrap();
    tx.insert_operations(std::slice::from_ref(&operation)).await.unwrap();
    tx.commit().await.unwrap();
    operation.id.to_string()
}

/// A plan that is ready.
async fn plan(site: &Site, acme: &Organization, home: &Inhabited) -> String {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let plan = Plan {
        id: PlanId::new(),
        organization: acme.id,
        target: home.directory.into(),
        state: PlanState::Ready,
        selection: json!({"kind": "all"}),
        stamp: None,
        summary: json!({}),
        problem: None,
        created_at: now,
        created_by: "owner".to_owned(),
        made_at: None,
        expires_at: site.now() + jiff::SignedDuration::from_hours(1),
        decided_at: None,
        decided_by: None,
    };
    site.store.ask_plan(&plan).await.unwrap();
    plan.id.to_string()
}

#[tokio::test]
async fn another_organizations_ids_do_not_exist() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let home = site.inhabit(acme.id).await;
    let ids = ids(&site, &acme, &home).await;
    let before = everything(&site, &acme, &ids).await;
    let (operation, plan) = (operation(&site, &acme, &home).await, plan(&site, &acme, &home).await);
    let mut wakes = site.store.listen().await.unwrap();
    let mut tried = 0;
    for (path, item) in v1::document().paths.paths {
        let operations = [
            (Method::GET, item.get),
            (Method::POST, item.post),
            (Method::PATCH, item.patch),
            (Method::DELETE, item.delete),
            (Method::PUT, item.put),
        ];
        for (method, _) in operations.into_iter().filter(|(_, found)| found.is_some()) {
            tried += 1;
            let resource = path.split('/').nth(3).unwrap();
            if path.contains("{id}") {
                let id = if ["reports", "password-changes"].contains(&resource) { &operation } else { &ids[resource] };
                let path = path
                    .replace("{id}", id)
                    .replace("{member}", &ids["users"])
                    .replace("{plan}", &plan)
                    .replace("/explain", "/explain?target=corp");
                let body = body_of(&method, &path);
                let answer = site.call(method.clone(), &path, &other.owner, body.clone()).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.body);
                // The same path exists for its own organization, or the test above shows nothing.
                let other_end = ["/events", "/preview", "?target=corp"].iter().any(|end| path.ends_with(end));
                if method == Method::GET && !other_end {
                    assert_eq!(site.get(&path, &acme.owner).await.status, StatusCode::OK, "{path}");
                }
            } else {
                shows_nothing_of_acme(&site, &method, &path, &other.owner).await;
            }
        }
    }
    assert!(tried >= 36, "only {tried} operations were tried");
    assert_eq!(everything(&site, &acme, &ids).await, before, "something of it has changed");
    assert_eq!(*site.gate.cut.lock().unwrap(), [], "somebody's session was cut");
    // No replica was woken either: the first wake-up is that of a job of its own.
    let own = site.inhabit(other.id).await;
    let job = site.post("/api/v1/jobs", &other.owner, json!({"kind": "import", "directory": "corp"})).await;
    assert_eq!(job.status, StatusCode::CREATED);
    assert_eq!(wakes.recv().await.unwrap(), Wake::JobReady(own.directory));
}

/// Tries a path without ids as another organization, which has nothing but its owner's token.
async fn shows_nothing_of_acme(site: &Site, method: &Method, path: &str, other: &str) {
    let resource = path.split('/').nth(3).unwrap();
    if method == Method::GET && ["organization", "current-token"].contains(&resource) {
        let answer = site.get(path, other).await.body;
        let name = answer.get("organization").unwrap_or(&answer["name"]);
        assert_eq!(name, "other", "{answer}");
    } else if method == Method::GET && resource == "directory-order" {
        assert_eq!(site.get(path, other).await.body["directories"], json!([]), "{path}");
    } else if path.ends_with("/verify") {
        assert_eq!(site.get(path, other).await.body["entries"], 0, "{path}");
    } else if path.contains("/deleted-") || path.contains("/ignored-") {
        assert_eq!(site.get(path, other).await.body["items"], json!([]), "{path}");
    } else if path.ends_with("/export") {
        let export = site.get(&format!("{path}?format=ndjson"), other).await;
        assert_eq!((export.status, &export.body), (StatusCode::OK, &json!("")), "{path}");
    } else if method == Method::GET && resource != "tokens" {
        let nothing = json!({"items": [], "next_cursor": null, "total": {"count": 0, "more": false}});
        assert_eq!(site.get(path, other).await.body, nothing, "{path}");
    }
}

/// All that an organization sees of itself, without when its tokens were used.
async fn everything(site: &Site, acme: &Organization, ids: &BTreeMap<&'static str, String>) -> Vec<Value> {
    let mut seen = Vec::new();
    for resource in ids.keys() {
        let mut answer = site.get(&format!("/api/v1/{resource}{}", of_directory(resource)), &acme.auditor).await;
        assert_eq!(answer.status, StatusCode::OK, "{resource}: {}", answer.body);
        for item in answer.body["items"].as_array_mut().unwrap() {
            item.as_object_mut().unwrap().remove("last_used_at");
        }
        seen.push(answer.body);
    }
    seen
}

/// A body that a request needs to get as far as its path.
fn body_of(method: &Method, path: &str) -> Option<Value> {
    let rules = ["mapping", "/matching", "/mapping/effect"].iter().any(|end| path.ends_with(end));
    if rules && *method != Method::GET {
        return Some(json!({"rules": []}));
    }
    if path.ends_with("/provisioning") && *method == Method::PUT {
        return Some(json!({"settings": {}}));
    }
    if path.ends_with("/link") {
        return Some(json!({"target": postern_store::DirectoryId::new(), "account": postern_store::AccountId::new()}));
    }
    if path.ends_with("/consequences") {
        return Some(json!({"change": "delete_user", "user": postern_store::UserId::new()}));
    }
    if path.ends_with("/password") {
        return Some(json!({"target": postern_store::DirectoryId::new(), "sealed": []}));
    }
    if path.ends_with("/provision") || path.ends_with("/unlock") {
        return Some(json!({"target": postern_store::DirectoryId::new()}));
    }
    if path.ends_with("mapping/preview") {
        return Some(json!({"user": "anna"}));
    }
    if path.ends_with("/merge") {
        return Some(json!({"user": postern_store::UserId::new()}));
    }
    if path.ends_with("/split") {
        return Some(json!({"accounts": [postern_store::AccountId::new()], "user_name": "x"}));
    }
    if path.contains("/conflicts/") && *method == Method::POST {
        return Some(json!({"choice": "create"}));
    }
    let members = path.ends_with("/members") && *method == Method::POST;
    let body = if members { json!({"add": [postern_store::UserId::new()]}) } else { json!({}) };
    (*method != Method::GET).then_some(body)
}

/// Accounts are listed by directory.
fn of_directory(resource: &str) -> &'static str {
    if resource == "accounts" { "?directory=corp" } else { "" }
}

#[tokio::test]
async fn another_organizations_directory_cannot_be_named_either() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let home = site.inhabit(acme.id).await;
    for named in ["corp".to_owned(), home.directory.to_string()] {
        let hourly = json!({"name": "x", "kind": "import", "directory": named, "timing": {"repeat": "hourly"}});
        let schedule = site.post("/api/v1/schedules", &other.owner, hourly).await;
        assert_eq!(schedule.status, StatusCode::NOT_FOUND);
        let job = site.post("/api/v1/jobs", &other.owner, json!({"kind": "import", "directory": named})).await;
        assert_eq!(job.status, StatusCode::NOT_FOUND);
        for list in ["accounts", "jobs", "conflicts"] {
            let path = format!("/api/v1/{list}?directory={named}");
            assert_eq!(site.get(&path, &other.owner).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    let tokens = site.get("/api/v1/tokens", &other.owner).await;
    assert_eq!(tokens.body["items"].as_array().unwrap().len(), 4, "its own four");
    // Nothing of it has changed anything.
    assert_eq!(site.get("/api/v1/directories/corp", &acme.auditor).await.body["disabled"], json!(false));
    assert_eq!(
        site.get(&format!("/api/v1/agents/{}", home.agent), &acme.auditor).await.body["revoked_at"],
        Value::Null
    );
}
