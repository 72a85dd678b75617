//! Conflicts by REST: who has the name, and accounts that are left without a user.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Site;

const PATH: &str = "/api/v1/conflicts";
const IGNORED: &str = "/api/v1/ignored-conflicts";

async fn actions(site: &Site, token: &str) -> Vec<Value> {
    let log = site.get("/api/v1/audit?action=conflict.decided", token).await.body;
    log["items"].as_array().unwrap().iter().map(|entry| entry["after"]["choice"].clone()).collect()
}

#[tokio::test]
async fn a_name_that_a_user_of_the_organization_has_is_said_to_be_theirs() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let made = site.post("/api/v1/users", &acme.operator, json!({"user_name": "ada"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let account = site.conflict(acme.id, home.directory, "uid=ada", "ada").await;
    site.conflict(acme.id, home.directory, "uid=anna2", "anna").await;
    let shown = site.get(&format!("{PATH}/{account}"), &acme.auditor).await.body;
    assert_eq!((&shown["holder"], &shown["holder_dn"]), (&"organization".into(), &Value::Null), "{shown}");
    assert_eq!(shown["holder_user_id"], made.body["id"]);
    assert_eq!(site.get(&format!("{PATH}/anna"), &acme.auditor).await.body["holder"], "directory");
    // A new user would take the name from her.
    let refused = site.post(&format!("{PATH}/{account}"), &acme.operator, json!({"choice": "create"})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().contains("The organization made the user"), "{}", refused.body);
}

#[tokio::test]
async fn an_ignored_account_has_no_conflict_until_somebody_asks_again() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let other = site.organization("other").await;
    let home = site.inhabit(acme.id).await;
    let account = site.conflict(acme.id, home.directory, "uid=two", "anna").await;
    let path = format!("{PATH}/{account}");
    let (ignore, ask) = (json!({"choice": "ignore"}), json!({"choice": "ask_again"}));
    for (token, choice, status) in [
        (&acme.auditor, &ignore, StatusCode::FORBIDDEN),
        (&other.owner, &ignore, StatusCode::NOT_FOUND),
        // Nobody has ignored it yet.
        (&acme.operator, &ask, StatusCode::NOT_FOUND),
    ] {
        let refused = site.post(&path, token, choice.clone()).await;
        assert_eq!(refused.status, status, "{choice}: {}", refused.body);
    }
    assert_eq!(actions(&site, &acme.auditor).await, Vec::<Value>::new(), "nothing was decided");
    let ignored = site.post(&path, &acme.operator, ignore.clone()).await;
    assert_eq!((ignored.status, &ignored.body["user"]), (StatusCode::OK, &Value::Null), "{}", ignored.body);
    assert_eq!(site.get(PATH, &acme.auditor).await.body["items"], json!([]));
    assert_eq!(site.get(&path, &acme.auditor).await.status, StatusCode::NOT_FOUND);
    let listed = site.get(IGNORED, &acme.auditor).await.body;
    let item = &listed["items"][0];
    assert_eq!((&item["user_name"], &item["ignored_by"]), (&"anna".into(), &"operator".into()), "{listed}");
    assert_eq!(item["account"]["id"], json!(account));
    assert_eq!(site.get(IGNORED, &other.auditor).await.body["items"], json!([]), "another organization's");
    let twice = site.post(&path, &acme.operator, ignore).await;
    assert_eq!(twice.status, StatusCode::NOT_FOUND, "{}", twice.body);
    let foreign = site.post(&path, &other.owner, ask.clone()).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{}", foreign.body);
    assert_eq!(site.post(&path, &acme.operator, ask).await.status, StatusCode::OK);
    assert_eq!(site.get(&path, &acme.auditor).await.body["user_name"], "anna");
    assert_eq!(site.get(IGNORED, &acme.auditor).await.body["items"], json!([]));
    assert_eq!(actions(&site, &acme.auditor).await, ["ask_again", "ignore"]);
}
