//! What lists and single things look like, and that pages neither repeat nor skip.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::Site;

#[tokio::test]
async fn pages_neither_repeat_nor_skip() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    for _ in 0..7 {
        site.post("/api/v1/enrollment-tokens", &acme.operator, json!({})).await;
    }
    let (mut seen, mut pages, mut cursor) = (BTreeSet::new(), 0, String::new());
    loop {
        let page = site.get(&format!("/api/v1/enrollment-tokens?limit=3{cursor}"), &acme.auditor).await.body;
        for item in page["items"].as_array().unwrap() {
            assert!(seen.insert(item["id"].as_str().unwrap().to_owned()));
        }
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), pages), (7, 3));
}

#[tokio::test]
async fn accounts_of_all_kinds_follow_each_other() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let first = site.get("/api/v1/accounts?limit=1", &acme.auditor).await.body;
    let next = first["next_cursor"].as_str().unwrap();
    let second = site.get(&format!("/api/v1/accounts?limit=1&cursor={next}"), &acme.auditor).await.body;
    assert_eq!((&first["items"][0]["kind"], &second["items"][0]["kind"]), (&json!("user"), &json!("group")));
    assert_eq!(second["next_cursor"], json!(null));
    let account = &first["items"][0];
    assert_eq!(account["attributes"], json!({"cn": ["Anna"], "jpegPhoto": [{"base64": "/9g="}]}));
    assert_eq!(account["external_id"], home.account.to_string());
    assert_eq!((&account["user_id"], &account["group_id"]), (&json!(home.user), &json!(null)));
    let groups = site.get("/api/v1/accounts?directory=corp&kind=group", &acme.auditor).await.body;
    assert_eq!(groups["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_comes_with_its_accounts() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let found = site.get("/api/v1/users?query=ANN", &acme.auditor).await.body;
    assert_eq!(found["items"][0]["id"], json!(home.user));
    assert_eq!(site.get("/api/v1/users?query=bert", &acme.auditor).await.body["items"], json!([]));
    let user = site.get(&format!("/api/v1/users/{}", home.user), &acme.auditor).await.body;
    assert_eq!((&user["user_name"], &user["accounts"][0]["dn"]), (&json!("anna"), &json!("uid=anna,ou=people")));
    let group = site.get(&format!("/api/v1/groups/{}", home.group), &acme.auditor).await.body;
    assert_eq!((&group["display_name"], &group["accounts"][0]["kind"]), (&json!("staff"), &json!("group")));
}

#[tokio::test]
async fn a_job_is_told_as_it_was_asked_for() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let body = json!({"kind": "lookup_user", "directory": home.directory, "input": {"unique_value": "anna"}, "timeout_seconds": 60});
    let job = site.post("/api/v1/jobs", &acme.operator, body).await;
    assert_eq!(job.status, StatusCode::CREATED);
    assert_eq!(job.body["directory"], json!({"id": home.directory, "name": "corp"}));
    assert_eq!(job.body["state"], "queued");
    assert_eq!(job.body["input"], json!({"unique_value": "anna"}));
    assert_eq!(job.body["deadline"], "2026-11-22T22:01:00Z");
    assert_eq!(job.body["created_by"], "operator");
    let listed = site.get("/api/v1/jobs?directory=corp&kind=lookup_user&state=queued", &acme.auditor).await.body;
    assert_eq!(listed["items"][0], job.body);
    assert_eq!(site.get("/api/v1/jobs?kind=import", &acme.auditor).await.body["items"], json!([]));
}

#[tokio::test]
async fn an_import_takes_no_more_than_eight_kibibytes_of_gone_containers() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let long = format!("ou={}", "x".repeat(1_000));
    let body = json!({"kind": "import", "directory": home.directory, "input": {"gone_containers": vec![long; 9]}});
    let refused = site.post("/api/v1/jobs", &acme.operator, body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert!(refused.body.to_string().contains("gone_containers"), "{}", refused.body);
    assert_eq!(site.get("/api/v1/jobs", &acme.auditor).await.body["items"], json!([]), "no job was made");
}

#[tokio::test]
async fn an_enrollment_token_says_where_to_knock() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let made = site.post("/api/v1/enrollment-tokens", &acme.operator, json!({})).await;
    assert_eq!(made.body["expires_at"], "2026-11-23T22:00:00Z");
    let text = made.body["token"].as_str().unwrap();
    let token: postern_proto::enrollment_token::EnrollmentToken = text.parse().unwrap();
    assert_eq!((token.address.as_str(), token.ca_sha256), ("gateway.example:8443", [7; 32]));
    let hash = postern_engine::secrets::hash(&token.secret);
    assert!(site.store.find_enrollment_token(hash, site.now()).await.is_ok());
}

#[tokio::test]
async fn agents_tell_what_they_serve() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let listed = site.get("/api/v1/agents", &acme.auditor).await.body;
    let shown = site.get(&format!("/api/v1/agents/{}", home.agent), &acme.auditor).await.body;
    assert_eq!(listed["items"][0], shown);
    assert_eq!(
        shown["directories"],
        json!([{"id": home.directory, "name": "corp", "flavour": "openldap", "problems": []}])
    );
    let path = format!("/api/v1/agents/{}", home.agent);
    let revoked = site.call(axum::http::Method::DELETE, &path, &acme.owner, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&path, &acme.auditor).await.body["revoked_at"], "2026-11-22T22:00:00Z");
}

#[tokio::test]
async fn the_first_page_of_every_list_says_how_many_there_are() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let other = site.organization("other").await;
    site.inhabit(other.id).await;
    for _ in 0..2 {
        site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await;
        site.post("/api/v1/enrollment-tokens", &acme.operator, json!({})).await;
    }
    for (list, count) in [
        ("tokens", 4),
        ("enrollment-tokens", 3),
        ("agents", 1),
        ("directories", 1),
        ("jobs", 2),
        ("jobs?kind=import", 2),
        ("jobs?kind=lookup_user", 0),
        ("accounts", 2),
        ("accounts?kind=user", 1),
        ("accounts?missing=true", 0),
        ("accounts?missing=false", 2),
        ("users", 1),
        ("users?active=false", 0),
        ("groups?query=st", 1),
        ("conflicts", 0),
        ("audit", 4),
    ] {
        let more = if list.contains('?') { '&' } else { '?' };
        for limit in [1, 100] {
            let page = site.get(&format!("/api/v1/{list}{more}limit={limit}"), &acme.auditor).await.body;
            assert_eq!(page["total"], json!({"count": count, "more": false}), "{list} by {limit}");
            if let Some(next) = page["next_cursor"].as_str() {
                let next = site.get(&format!("/api/v1/{list}{more}limit={limit}&cursor={next}"), &acme.auditor).await;
                assert_eq!((next.status, &next.body["total"]), (StatusCode::OK, &json!(null)), "{list}");
            }
        }
    }
}

#[tokio::test]
async fn things_are_named_as_people_name_them() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let other = site.organization("other").await;
    site.inhabit(other.id).await;
    let job = site.post("/api/v1/jobs", &acme.operator, json!({"kind": "import", "directory": "corp"})).await.body;
    let patch = json!({"display_name": "Headquarters"});
    site.call(Method::PATCH, "/api/v1/directories/corp", &acme.operator, Some(patch)).await;
    let job = job["id"].as_str().unwrap();
    for (path, id) in [
        (format!("jobs/{}", &job[..23]), job.to_owned()),
        ("users/ANNA".to_owned(), home.user.to_string()),
        ("users/Anna%20Lindqvist".to_owned(), home.user.to_string()),
        ("users/anna@example.com".to_owned(), home.user.to_string()),
        (format!("users/{}", &home.user.to_string()[..35]), home.user.to_string()),
        ("groups/Staff".to_owned(), home.group.to_string()),
        ("accounts/anna".to_owned(), home.account.to_string()),
        ("agents/site-1".to_owned(), home.agent.to_string()),
        ("directories/Headquarters".to_owned(), home.directory.to_string()),
    ] {
        let found = site.get(&format!("/api/v1/{path}"), &acme.auditor).await;
        assert_eq!((found.status, &found.body["id"]), (StatusCode::OK, &json!(id)), "{path}: {}", found.body);
    }
    for (path, meant) in [
        ("users/anan", Some("anna")),
        ("groups/staf", Some("staff")),
        ("directories/crop", Some("corp")),
        ("agents/sit-1", Some("site-1")),
        ("agents/zzz", None),
        ("jobs/zzz", None),
        (&format!("jobs/{}", &job[..3]), None),
    ] {
        let nothing = site.get(&format!("/api/v1/{path}"), &acme.auditor).await;
        assert_eq!(nothing.status, StatusCode::NOT_FOUND, "{path}");
        let cure = nothing.body["cure"].as_str().unwrap();
        let said = meant.map(|name| format!("Did you mean {name}?"));
        assert!(said.as_ref().map_or(!cure.contains("mean"), |said| cure.contains(said)), "{path}: {cure}");
    }
    // The same name twice: nothing is done to either, and both are named.
    for _ in 0..2 {
        site.post("/api/v1/tokens", &acme.owner, json!({"name": "ci", "role": "auditor"})).await;
    }
    let several = site.call(Method::DELETE, "/api/v1/tokens/ci", &acme.owner, None).await;
    assert_eq!(several.body["type"], "urn:postern:problem:ambiguous");
    assert_eq!(several.body["candidates"].as_array().unwrap().len(), 2, "{}", several.body);
    let tokens = site.get("/api/v1/tokens", &acme.auditor).await.body;
    assert!(tokens["items"].as_array().unwrap().iter().all(|token| token["revoked_at"].is_null()), "{tokens}");
    // What another organization has is not even proposed.
    site.call(Method::PATCH, "/api/v1/directories/corp", &other.operator, Some(json!({"display_name": "Lab"}))).await;
    let nothing = site.get("/api/v1/directories/Lab", &acme.auditor).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_last_owner_token_stays_and_the_answer_says_how_to_make_another() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let own = site.get("/api/v1/current-token", &acme.owner).await.body;
    let path = format!("/api/v1/tokens/{}", own["id"].as_str().unwrap());
    let refused = site.call(Method::DELETE, &path, &acme.owner, None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body["cure"].as_str().unwrap().contains("postern tokens create"), "{}", refused.body);
    assert_eq!(site.get("/api/v1/tokens", &acme.owner).await.status, StatusCode::OK, "it is good still");
    site.post("/api/v1/tokens", &acme.owner, json!({"name": "second", "role": "owner"})).await;
    assert_eq!(site.call(Method::DELETE, &path, &acme.owner, None).await.status, StatusCode::NO_CONTENT);
}
