//! A name that somebody else could have chosen never leads to the wrong thing.

use axum::http::{Method, StatusCode};
use jiff::SignedDuration;
use postern_store::{AgentId, AnnouncedDirectory, Flavour, NewAgent, NewEnrollmentToken, OrganizationId};
use serde_json::{Value, json};

use super::{Answer, Site};
use postern_engine::secrets;

async fn enroll(site: &Site, organization: OrganizationId, name: &str) -> AgentId {
    let (hash, not_after) = (secrets::hash(&secrets::draw()), site.now() + SignedDuration::from_hours(1));
    let token =
        NewEnrollmentToken { hash, directories: Vec::new(), expires_at: not_after, created_by: "owner".to_owned() };
    site.store.create_enrollment_token(organization, token, site.now()).await.unwrap();
    let (id, serial) = (AgentId::new(), name.to_owned());
    let new = NewAgent { id, name: name.to_owned(), version: None, serial, not_after };
    site.store.enroll_agent(hash, new, site.now()).await.unwrap();
    id
}

/// The answer names these as what could be meant.
fn is_ambiguous(answer: &Answer, ids: &[&str]) {
    assert_eq!((answer.status, &answer.body["type"]), (StatusCode::CONFLICT, &json!("urn:postern:problem:ambiguous")));
    let mut found: Vec<&str> =
        answer.body["candidates"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let mut ids = ids.to_vec();
    found.sort_unstable();
    ids.sort_unstable();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn an_agent_that_is_named_like_the_id_of_another_gets_nothing_of_it() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let id = home.agent.to_string();
    let beginning = &id[..23];
    let other = enroll(&site, acme.id, beginning).await.to_string();
    let path = format!("/api/v1/agents/{beginning}/directories");
    let refused = site.post(&path, &acme.operator, json!({"directory": "corp"})).await;
    is_ambiguous(&refused, &[&id, &other]);
    let shown = site.get(&format!("/api/v1/agents/{other}"), &acme.auditor).await.body;
    assert_eq!(shown["allowed_directories"], json!([]));
    // A whole id means its agent, even if another agent has that name. A text that no id begins with is a name.
    enroll(&site, acme.id, &id).await;
    let beef = enroll(&site, acme.id, "beef").await.to_string();
    for (name, meant) in [(id.as_str(), &id), ("beef", &beef)] {
        assert_eq!(site.get(&format!("/api/v1/agents/{name}"), &acme.auditor).await.body["id"], json!(meant));
    }
}

#[tokio::test]
async fn a_token_that_is_named_like_the_id_of_another_is_not_taken_for_it() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let make = async |name: &str| -> Value {
        site.post("/api/v1/tokens", &acme.owner, json!({"name": name, "role": "auditor"})).await.body
    };
    let first = make("first").await;
    let id = first["id"].as_str().unwrap();
    let second = make(&id[..23]).await;
    let refused = site.call(Method::DELETE, &format!("/api/v1/tokens/{}", &id[..23]), &acme.owner, None).await;
    is_ambiguous(&refused, &[id, second["id"].as_str().unwrap()]);
    let tokens = site.get("/api/v1/tokens", &acme.auditor).await.body;
    assert!(tokens["items"].as_array().unwrap().iter().all(|token| token["revoked_at"].is_null()), "{tokens}");
}

#[tokio::test]
async fn a_directory_that_is_announced_under_the_display_name_of_another_is_not_taken_for_it() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let patch = async |path: &str, change: Value| {
        site.call(Method::PATCH, &format!("/api/v1/directories/{path}"), &acme.operator, Some(change)).await
    };
    patch("corp", json!({"display_name": "hq"})).await;
    let announced = ["corp", "hq"].map(|name| AnnouncedDirectory { name: name.to_owned(), flavour: Flavour::OpenLdap });
    let made = site.store.announce_directories(acme.id, home.agent, &announced, site.now()).await.unwrap();
    let other = made.iter().find(|one| one.name == "hq").unwrap().id.to_string();
    let refused = patch("hq", json!({"disabled": true})).await;
    is_ambiguous(&refused, &[&home.directory.to_string(), &other]);
    let listed = site.get("/api/v1/directories", &acme.auditor).await.body;
    assert!(listed["items"].as_array().unwrap().iter().all(|one| one["disabled"] == json!(false)), "{listed}");
    // One whose name and display name are the same is only one.
    patch(&home.directory.to_string(), json!({"display_name": "corp"})).await;
    assert_eq!(site.get("/api/v1/directories/corp", &acme.auditor).await.body["id"], json!(home.directory));
    assert_eq!(site.get("/api/v1/directories/hq", &acme.auditor).await.body["id"], json!(other));
}

#[tokio::test]
async fn a_conflict_is_named_by_id_or_by_the_claimed_name_and_by_nothing_else() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let one = site.conflict(acme.id, home.directory, "uid=one", "anna").await.to_string();
    let link = async |name: &str| {
        site.post(&format!("/api/v1/conflicts/{name}"), &acme.operator, json!({"choice": "link"})).await
    };
    // No external id, and not the user name of an account without a conflict.
    for name in ["external%20uid=one", "bert"] {
        let nothing = link(name).await;
        assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{name}: {}", nothing.body);
        assert!(nothing.body["cure"].as_str().unwrap().contains("postern conflicts list"), "{}", nothing.body);
    }
    for name in ["anna", &one] {
        let present = link(name).await;
        assert_eq!(present.body["type"], "urn:postern:problem:conflict", "{}", present.body);
    }
    // An account that claims the id of another as its name is not meant by that id.
    let claims_id = site.conflict(acme.id, home.directory, "uid=two", &one).await.to_string();
    assert!(link(&one).await.body["detail"].as_str().unwrap().contains("is there: uid=anna"));
    assert_ne!(claims_id, one);
    let again = site.conflict(acme.id, home.directory, "uid=three", "anna").await.to_string();
    is_ambiguous(&link("anna").await, &[&one, &again]);
}

#[tokio::test]
async fn one_conflict_is_shown_with_who_holds_the_name() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let other = site.organization("other").await;
    let id = site.conflict(acme.id, home.directory, "uid=one", "anna").await.to_string();
    let listed = site.get("/api/v1/conflicts", &acme.auditor).await.body["items"][0].clone();
    for name in ["anna", &id] {
        let shown = site.get(&format!("/api/v1/conflicts/{name}"), &acme.auditor).await;
        assert_eq!((shown.status, &shown.body), (StatusCode::OK, &listed), "{name}");
    }
    assert_eq!(listed["holder_user_id"], json!(home.user));
    // An account without a conflict, and one of another organization.
    for (name, token) in [(home.account.to_string(), &acme.auditor), (id, &other.auditor)] {
        let nothing = site.get(&format!("/api/v1/conflicts/{name}"), token).await;
        assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{}", nothing.body);
    }
}

#[tokio::test]
async fn the_beginning_of_a_users_id_that_is_too_short_is_refused_with_the_length_that_it_needs() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    for (list, id) in [("users", home.user.to_string()), ("groups", home.group.to_string())] {
        let refused = site.get(&format!("/api/v1/{list}/{}", &id[..8]), &acme.auditor).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND);
        assert!(refused.body["cure"].as_str().unwrap().contains("12 letters"), "{}", refused.body);
        let unlike = site.get(&format!("/api/v1/{list}/nobody"), &acme.auditor).await.body;
        assert!(!unlike["cure"].as_str().unwrap().contains("letters"), "{unlike}");
    }
}

#[tokio::test]
async fn a_directory_is_found_whatever_the_case_of_its_name_unless_two_differ_by_it_only() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let directory = home.directory.to_string();
    let path = |name: &str| format!("/api/v1/directories/{name}");
    let change = json!({"display_name": "Büro Nord"});
    site.call(Method::PATCH, &path("corp"), &acme.operator, Some(change)).await;
    for name in ["CORP", "Corp", "b%C3%BCro%20nord", "B%C3%9CRO%20NORD"] {
        assert_eq!(site.get(&path(name), &acme.auditor).await.body["id"], json!(directory), "{name}");
    }
    let announced =
        ["corp", "Corp"].map(|name| AnnouncedDirectory { name: name.to_owned(), flavour: Flavour::OpenLdap });
    let made = site.store.announce_directories(acme.id, home.agent, &announced, site.now()).await.unwrap();
    let other = made.iter().find(|one| one.name == "Corp").unwrap().id.to_string();
    assert_eq!(site.get(&path("corp"), &acme.auditor).await.body["id"], json!(directory));
    assert_eq!(site.get(&path("Corp"), &acme.auditor).await.body["id"], json!(other));
    is_ambiguous(&site.get(&path("CORP"), &acme.auditor).await, &[&directory, &other]);
}

#[tokio::test]
async fn who_may_serve_a_directory_is_said_by_any_of_its_names() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let change = Some(json!({"display_name": "Head Office"}));
    site.call(Method::PATCH, "/api/v1/directories/corp", &acme.operator, change).await;
    let agent = enroll(&site, acme.id, "second").await;
    let allow = async |name: &str| {
        site.post(&format!("/api/v1/agents/{agent}/directories"), &acme.operator, json!({"directory": name})).await
    };
    let token =
        async |name: &str| site.post("/api/v1/enrollment-tokens", &acme.operator, json!({"directories": [name]})).await;
    for name in ["Head Office", "CORP", &home.directory.to_string()] {
        assert_eq!(token(name).await.body["directories"], json!(["corp"]), "{name}");
    }
    assert_eq!(token("new-one").await.body["directories"], json!(["new-one"]), "one that no agent has announced yet");
    assert_eq!(token("no name").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(allow("head office").await.body["allowed_directories"], json!(["corp"]));
    assert_eq!(allow("new-one").await.body["allowed_directories"], json!(["corp", "new-one"]));
}

#[tokio::test]
async fn a_revoked_agent_is_called_revoked_and_is_allowed_nothing() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let path = format!("/api/v1/agents/{}", home.agent);
    let before = site.get(&path, &acme.auditor).await.body;
    site.call(Method::DELETE, &path, &acme.owner, None).await;
    let refused = site.post(&format!("{path}/directories"), &acme.operator, json!({"directory": "lab"})).await;
    assert_eq!((refused.status, &refused.body["type"]), (StatusCode::CONFLICT, &json!("urn:postern:problem:conflict")));
    assert!(refused.body["detail"].as_str().unwrap().contains("was revoked"), "{}", refused.body);
    assert!(refused.body["cure"].as_str().unwrap().contains("enrollment-tokens create"), "{}", refused.body);
    let agent = site.get(&path, &acme.auditor).await.body;
    assert_eq!(agent["allowed_directories"], before["allowed_directories"]);
}

#[tokio::test]
async fn a_name_with_a_character_that_people_do_not_see_is_refused_with_its_code() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let evil = "an\u{202e}na";
    let before = site.audit_count(acme.id).await;
    let schedule = |name: &str| json!({"name": name, "directory": "corp", "kind": "import", "timing": {"repeat": "daily", "at": "02:30"}});
    for (method, path, body) in [
        (Method::POST, "users", json!({"user_name": evil})),
        (Method::POST, "users", json!({"user_name": "ben", "display_name": evil})),
        (Method::POST, "groups", json!({"display_name": evil})),
        (Method::POST, "tokens", json!({"name": evil, "role": "auditor"})),
        (Method::POST, "schedules", schedule(evil)),
        (Method::PATCH, "directories/corp", json!({"display_name": evil})),
    ] {
        let refused = site.call(method, &format!("/api/v1/{path}"), &acme.owner, Some(body.clone())).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}: {}", refused.body);
        assert!(refused.body.to_string().contains("character 3 is U+202E"), "{path}: {}", refused.body);
    }
    let answer = site.post("/api/v1/bulk-users", &acme.operator, json!({"users": [{"user_name": evil}]})).await;
    assert_eq!(answer.body["results"][0]["outcome"], "refused", "{}", answer.body);
    assert_eq!(site.audit_count(acme.id).await, before, "nothing is written");
    // A name that a directory gives stays, and so it is found.
    let user = postern_store::UserId::new();
    let mut tx = site.store.begin_identities(acme.id, site.now()).await.unwrap();
    tx.insert_users(vec![super::user_row(acme.id, user, evil, site.now())]).await.unwrap();
    tx.commit().await.unwrap();
    let shown = site.get(&format!("/api/v1/users/{user}"), &acme.auditor).await.body;
    assert_eq!(shown["user_name"], evil);
    let patch = json!({"display_name": "Anna"});
    let changed = site.call(Method::PATCH, &format!("/api/v1/users/{user}"), &acme.operator, Some(patch)).await;
    assert!(changed.status.is_success(), "the name is not asked for: {}", changed.body);
}
