//! The order of the directories by REST.

use axum::http::{Method, StatusCode};
use postern_store::{AnnouncedDirectory, Flavour};
use serde_json::{Value, json};

use super::{Answer, Site, request};

const PATH: &str = "/api/v1/directory-order";

async fn put(site: &Site, token: &str, version: Option<&str>, directories: Value) -> Answer {
    let mut request = request(Method::PUT, PATH, token, Some(json!({"directories": directories})));
    if let Some(version) = version {
        request.headers_mut().insert("If-Match", version.parse().unwrap());
    }
    site.send(request).await
}

fn names(answer: &Answer) -> Vec<&str> {
    let all = answer.body["directories"].as_array().unwrap();
    all.iter().map(|directory| directory["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_owner_sets_the_order_and_the_audit_log_says_so() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let served = ["hq", "lab"].map(|name| AnnouncedDirectory { name: name.to_owned(), flavour: Flavour::OpenLdap });
    site.store.announce_directories(acme.id, home.agent, &served, site.now()).await.unwrap();
    let before = site.get(PATH, &acme.auditor).await;
    assert_eq!((before.status, names(&before)), (StatusCode::OK, vec!["corp", "hq", "lab"]));
    assert_eq!(before.body["applied"], true);
    let version = before.headers["etag"].to_str().unwrap().to_owned();
    let refused = put(&site, &acme.operator, None, json!(["lab"])).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let changed = put(&site, &acme.owner, Some(&version), json!(["lab", home.directory])).await;
    assert_eq!((changed.status, names(&changed)), (StatusCode::OK, vec!["lab", "corp", "hq"]), "{}", changed.body);
    assert_eq!(changed.body["applied"], false);
    let stale = put(&site, &acme.owner, Some(&version), json!(["hq"])).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.body);
    for (wrong, status) in [
        (json!(["lab", "lab"]), StatusCode::UNPROCESSABLE_ENTITY),
        (json!(["nowhere"]), StatusCode::NOT_FOUND),
        (json!("lab"), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = put(&site, &acme.owner, None, wrong.clone()).await;
        assert_eq!(answer.status, status, "{wrong}: {}", answer.body);
    }
    let shown = site.get(PATH, &acme.auditor).await;
    assert_eq!(names(&shown), ["lab", "corp", "hq"], "refusals change nothing");
    assert_eq!(shown.headers["etag"], changed.headers["etag"]);
    let log = site.get("/api/v1/audit", &acme.auditor).await.body;
    let ordered: Vec<&Value> =
        log["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "directories.ordered").collect();
    assert_eq!(ordered.len(), 1, "{log}");
    assert_eq!(ordered[0]["before"]["directories"], json!(["corp", "hq", "lab"]));
    assert_eq!(ordered[0]["after"]["directories"], json!(["lab", "corp", "hq"]));
}
