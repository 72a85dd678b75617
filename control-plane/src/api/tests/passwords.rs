//! What is taken of sealed passwords, and that nothing else leaves a trace.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use postern_proto::sealed::{self, Binding, MAX_SEALED_BYTES, SecretKey};
use postern_store::{AnnouncedDirectory, Flavour};
use serde_json::{Value, json};

use super::{Inhabited, Organization, Site};

fn text(key: &SecretKey, expires: Timestamp) -> String {
    let binding = Binding { directory: "corp", external_id: "x", must_change: false };
    let ms = u64::try_from(expires.as_millisecond()).unwrap();
    STANDARD.encode(sealed::seal("secret", &key.public(), &binding, ms).unwrap())
}

/// An organization with a user who has an account in a directory, and the key of the directory's agent.
async fn ready(site: &Site) -> (Organization, Inhabited, SecretKey) {
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let key = SecretKey::generate();
    site.store.record_password_key(home.agent, Some(&key.public().to_bytes())).await.unwrap();
    (acme, home, key)
}

async fn allow(site: &Site, acme: &Organization, on: bool, paused: bool) {
    let body = json!({"settings": {"switches": {"sync_passwords": on}}, "paused": paused});
    let saved = site.call(Method::PUT, "/api/v1/directories/corp/provisioning", &acme.owner, Some(body)).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
}

async fn operations(site: &Site, acme: &Organization) -> Vec<Value> {
    site.get("/api/v1/reports/provisioning", &acme.owner).await.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_no_agent_could_use_is_refused_and_leaves_nothing() {
    let site = Site::new().await;
    let (acme, _, key) = ready(&site).await;
    let soon = site.now() + SignedDuration::from_mins(5);
    let good = text(&key, soon);
    let off = json!({"target": "corp", "sealed": [good]});
    let refused = site.post("/api/v1/users/anna/password", &acme.helpdesk, off.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    allow(&site, &acme, true, true).await;
    let refused = site.post("/api/v1/users/anna/password", &acme.helpdesk, off).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    allow(&site, &acme, true, false).await;
    let mut changed = STANDARD.decode(&good).unwrap();
    changed[0] = 9;
    for (what, sealed, expected) in [
        ("nothing", vec![], "1 to 100 keys"),
        ("plain text", vec!["secret password".to_owned()], "base64"),
        ("not sealed", vec![STANDARD.encode("secret")], "version"),
        ("another version", vec![STANDARD.encode(&changed)], "version 9"),
        ("too long", vec![STANDARD.encode(vec![1; MAX_SEALED_BYTES + 1])], "at most"),
        ("another key", vec![text(&SecretKey::generate(), soon)], "no agent of the directory has"),
        ("twice", vec![good.clone(), good.clone()], "same key"),
        ("too many", vec![good.clone(); 101], "1 to 100 keys"),
        ("expired", vec![text(&key, site.now())], "expire"),
        ("long", vec![text(&key, site.now() + SignedDuration::from_mins(31))], "expire"),
    ] {
        let body = json!({"target": "corp", "sealed": sealed});
        let refused = site.post("/api/v1/users/anna/password", &acme.helpdesk, body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {}", refused.body);
        assert!(refused.body.to_string().contains(expected), "{what}: {}", refused.body);
    }
    assert_eq!(operations(&site, &acme).await, Vec::<Value>::new());
    let log = site.get("/api/v1/audit", &acme.auditor).await.body.to_string();
    assert!(!log.contains("user.password_set"), "{log}");
}

#[tokio::test]
async fn a_password_becomes_an_operation_and_an_entry_of_the_audit_log() {
    let site = Site::new().await;
    let (acme, home, key) = ready(&site).await;
    allow(&site, &acme, true, false).await;
    let good = text(&key, site.now() + SignedDuration::from_mins(5));
    let body = json!({"target": "corp", "sealed": [good]});
    let taken = site.post("/api/v1/users/anna/password", &acme.helpdesk, body).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.body);
    let shown =
        site.get(&format!("/api/v1/password-changes/{}", taken.body["id"].as_str().unwrap()), &acme.helpdesk).await;
    assert_eq!(shown.body, taken.body);
    assert_eq!(taken.body["state"], "waiting");
    assert_eq!(taken.body["changes"]["after"]["must_change"], false);
    let log = site.get("/api/v1/audit", &acme.auditor).await.body;
    let entry = log["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "user.password_set").unwrap();
    assert_eq!(entry["object_id"], home.user.to_string(), "{entry}");
    for shown in [&taken.body, entry] {
        assert!(!shown.to_string().contains(&good[..40]), "the sealed password is shown: {shown}");
    }
}

#[tokio::test]
async fn the_keys_are_those_of_the_agents_that_serve_the_directory() {
    let site = Site::new().await;
    let (acme, home, key) = ready(&site).await;
    let path = "/api/v1/directories/corp/password-keys";
    let keys = site.get(path, &acme.helpdesk).await.body;
    assert_eq!(keys["directory"], "corp");
    assert_eq!(keys["keys"][0]["key_id"], key.public().id().to_string());
    assert_eq!(keys["keys"][0]["public_key"], STANDARD.encode(key.public().to_bytes()));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    // A new key takes the place of the old one, which is refused from then on.
    allow(&site, &acme, true, false).await;
    let newer = SecretKey::generate();
    site.store.record_password_key(home.agent, Some(&newer.public().to_bytes())).await.unwrap();
    let keys = site.get(path, &acme.helpdesk).await.body;
    assert_eq!(keys["keys"][0]["key_id"], newer.public().id().to_string());
    let old = json!({"target": "corp", "sealed": [text(&key, site.now() + SignedDuration::from_mins(5))]});
    let refused = site.post("/api/v1/users/anna/password", &acme.helpdesk, old).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    // An agent that does not serve it any more, and one that was revoked.
    let elsewhere = [AnnouncedDirectory { name: "hq".to_owned(), flavour: Flavour::OpenLdap }];
    site.store.announce_directories(acme.id, home.agent, &elsewhere, site.now()).await.unwrap();
    assert_eq!(site.get(path, &acme.helpdesk).await.body["keys"], json!([]));
    let back = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
    site.store.announce_directories(acme.id, home.agent, &back, site.now()).await.unwrap();
    assert_eq!(site.get(path, &acme.helpdesk).await.body["keys"].as_array().unwrap().len(), 1);
    site.store.revoke_agent(acme.id, home.agent, site.now()).await.unwrap();
    assert_eq!(site.get(path, &acme.helpdesk).await.body["keys"], json!([]));
}
