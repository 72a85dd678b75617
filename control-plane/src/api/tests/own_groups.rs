//! Groups that administrators make and change, and their members.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Organization, Site};

async fn create(site: &Site, acme: &Organization, what: &str, name: &str) -> String {
    let field = if what == "users" { "user_name" } else { "display_name" };
    let made = site.post(&format!("/api/v1/{what}"), &acme.operator, json!({ field: name })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body["id"].as_str().unwrap().to_owned()
}

async fn member(site: &Site, acme: &Organization, method: Method, group: &str, member: &str) -> Answer {
    site.call(method, &format!("/api/v1/groups/{group}/members/{member}"), &acme.operator, None).await
}

/// The ids of a group's members, sorted.
async fn members(site: &Site, acme: &Organization, group: &str) -> Vec<String> {
    let listed = site.get(&format!("/api/v1/groups/{group}/members"), &acme.auditor).await;
    assert_eq!(listed.status, StatusCode::OK, "{}", listed.body);
    let ids = listed.body["items"].as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap().to_owned());
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

async fn logged(site: &Site, acme: &Organization, action: &str) -> Vec<Value> {
    let log = site.get(&format!("/api/v1/audit?action={action}"), &acme.auditor).await.body;
    log["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_group_is_made_changed_deleted_and_restored_with_its_memberships() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let (ada, bo) = (create(&site, &acme, "users", "ada").await, create(&site, &acme, "users", "bo").await);
    let (staff, all) = (create(&site, &acme, "groups", " Staff ").await, create(&site, &acme, "groups", "all").await);
    for person in [&ada, &bo] {
        assert_eq!(member(&site, &acme, Method::PUT, &staff, person).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(member(&site, &acme, Method::PUT, &all, &staff).await.status, StatusCode::NO_CONTENT);
    let path = format!("/api/v1/groups/{staff}");
    for _ in 0..2 {
        let body = json!({"description": "Everybody"});
        let changed = site.call(Method::PATCH, &path, &acme.operator, Some(body)).await;
        assert_eq!((changed.status, &changed.body["display_name"]), (StatusCode::OK, &json!("Staff")));
    }
    let log = logged(&site, &acme, "group.changed").await;
    assert_eq!(log.len(), 1, "the same again is no change");
    assert_eq!(log[0]["after"], json!({"display_name": "Staff", "description": "Everybody"}));

    assert_eq!(site.call(Method::DELETE, &path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&path, &acme.auditor).await.status, StatusCode::NOT_FOUND);
    assert_eq!(members(&site, &acme, &all).await, [""; 0]);
    let shown = site.get(&format!("/api/v1/users/{ada}"), &acme.auditor).await.body;
    assert_eq!(shown["groups"], json!([]));
    let deleted = site.get("/api/v1/deleted-groups", &acme.auditor).await.body;
    assert_eq!((&deleted["items"][0]["id"], &deleted["items"][0]["deleted_by"]), (&json!(staff), &json!("operator")));
    assert_eq!(site.post(&format!("{path}/restore"), &other.owner, json!({})).await.status, StatusCode::NOT_FOUND);
    // A member that is gone in between does not come back with the group.
    site.call(Method::DELETE, &format!("/api/v1/users/{bo}"), &acme.operator, None).await;
    let restored = site.post(&format!("{path}/restore"), &acme.operator, json!({})).await;
    assert_eq!((restored.status, &restored.body["description"]), (StatusCode::OK, &json!("Everybody")));
    assert_eq!((members(&site, &acme, &staff).await, members(&site, &acme, &all).await), (vec![ada], vec![staff]));
    assert_eq!(site.post(&format!("{path}/restore"), &acme.operator, json!({})).await.status, StatusCode::NOT_FOUND);

    assert_eq!(site.call(Method::DELETE, &path, &acme.operator, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.store.purge_groups(site.now()).await.unwrap(), 0);
    site.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(site.store.purge_groups(site.now()).await.unwrap(), 1);
    assert_eq!(site.post(&format!("{path}/restore"), &acme.operator, json!({})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_change_of_a_group_names_the_wrong_field_or_the_newer_version() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let staff = create(&site, &acme, "groups", "staff").await;
    create(&site, &acme, "groups", "staff").await;
    for (body, field) in [
        (json!({"display_name": " "}), "display_name"),
        (json!({"display_name": "a\nb"}), "display_name"),
        (json!({"display_name": "x".repeat(257)}), "display_name"),
        (json!({"display_name": "x", "description": ""}), "description"),
    ] {
        let refused = site.post("/api/v1/groups", &acme.operator, body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
        assert_eq!(refused.body["errors"][0]["field"], field);
    }
    let path = format!("/api/v1/groups/{staff}");
    let tag = site.get(&path, &acme.operator).await.headers["etag"].to_str().unwrap().to_owned();
    let with = async |method: Method, tag: &str, body: Value| {
        site.call_with(method, &path, &acme.operator, &[("if-match", tag)], Some(body)).await
    };
    let first = with(Method::PATCH, &tag, json!({"description": "first"})).await;
    assert_eq!(first.status, StatusCode::OK);
    let newer = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(site.get(&path, &acme.operator).await.headers["etag"].to_str().unwrap(), newer);
    for method in [Method::PATCH, Method::DELETE] {
        let refused = with(method.clone(), &tag, json!({"description": "second"})).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{method}: {}", refused.body);
        assert!(
            refused.body["detail"].as_str().unwrap().contains("operator changed description at"),
            "{}",
            refused.body
        );
    }
    assert_eq!(site.get(&path, &acme.operator).await.body["description"], "first");
    assert_eq!(with(Method::PATCH, &newer, json!({"description": null})).await.body["description"], Value::Null);
}

#[tokio::test]
async fn members_are_added_and_removed_once() {
    let site = Site::new().await;
    let (acme, other) = (site.organization("acme").await, site.organization("other").await);
    let (ada, staff) = (create(&site, &acme, "users", "ada").await, create(&site, &acme, "groups", "staff").await);
    let (inner, foreign) = (create(&site, &acme, "groups", "inner").await, create(&site, &other, "users", "eve").await);
    for _ in 0..2 {
        // A circle is allowed.
        for (group, one) in [(&*staff, "ada"), ("staff", &*inner), (&*inner, &*staff)] {
            let added = member(&site, &acme, Method::PUT, group, one).await;
            assert_eq!(added.status, StatusCode::NO_CONTENT, "{}", added.body);
        }
    }
    assert_eq!(member(&site, &acme, Method::PUT, &staff, &staff).await.status, StatusCode::CONFLICT);
    for nobody in [foreign.as_str(), "nobody", "00000000-0000-0000-0000-000000000000"] {
        for method in [Method::PUT, Method::DELETE] {
            assert_eq!(member(&site, &acme, method, &staff, nobody).await.status, StatusCode::NOT_FOUND, "{nobody}");
        }
    }
    let mut both = vec![ada.clone(), inner.clone()];
    both.sort();
    assert_eq!(members(&site, &acme, &staff).await, both);
    assert_eq!(logged(&site, &acme, "group.members_changed").await.len(), 3, "what changes nothing is not logged");
    for _ in 0..2 {
        assert_eq!(member(&site, &acme, Method::DELETE, &staff, &ada).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(members(&site, &acme, &staff).await, [inner]);
    let log = logged(&site, &acme, "group.members_changed").await;
    assert_eq!((log.len(), &log[0]["after"]), (4, &json!({"added": [], "removed": [ada]})));
}

#[tokio::test]
async fn many_members_change_in_one_request_with_a_result_for_each() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let (ada, bo) = (create(&site, &acme, "users", "ada").await, create(&site, &acme, "users", "bo").await);
    let staff = create(&site, &acme, "groups", "staff").await;
    member(&site, &acme, Method::PUT, &staff, &bo).await;
    let nobody = uuid::Uuid::nil().to_string();
    let path = format!("/api/v1/groups/{staff}/members");
    let results = async || {
        let body = json!({"add": [ada, ada, staff, nobody], "remove": [bo]});
        let changed = site.post(&path, &acme.operator, body).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
        let results = changed.body["results"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        results.iter().map(|one| (text(&one["id"]), text(&one["result"]))).collect::<Vec<_>>()
    };
    let wanted = |results: [&str; 4]| -> Vec<(String, String)> {
        let ids = [&ada, &staff, &nobody, &bo];
        ids.into_iter().zip(results).map(|(id, result)| (id.clone(), result.to_owned())).collect()
    };
    assert_eq!(results().await, wanted(["added", "refused", "not_found", "removed"]));
    assert_eq!(members(&site, &acme, &staff).await, std::slice::from_ref(&ada));
    assert_eq!(results().await, wanted(["was_member", "refused", "not_found", "was_no_member"]));
    for wrong in [
        json!({}),
        json!({"add": [ada], "remove": [ada]}),
        json!({"add": (0..1_001).map(|_| uuid::Uuid::now_v7()).collect::<Vec<_>>()}),
    ] {
        assert_eq!(site.post(&path, &acme.operator, wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(members(&site, &acme, &staff).await, [ada]);
}

#[tokio::test]
async fn many_members_are_named_by_id_or_name_and_move_the_version_of_the_group() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let (ada, staff) = (create(&site, &acme, "users", "ada").await, create(&site, &acme, "groups", "staff").await);
    create(&site, &acme, "groups", "twins").await;
    create(&site, &acme, "users", "twins").await;
    let path = format!("/api/v1/groups/{staff}");
    let version = async || {
        let group = site.get(&path, &acme.auditor).await;
        (group.headers["etag"].clone(), group.body["updated_at"].clone())
    };
    let mut before = version().await;
    for (body, results, moves) in [
        (
            json!({"add": ["ADA", "nobody", "twins"]}),
            [("ADA", "added"), ("nobody", "not_found"), ("twins", "refused")].as_slice(),
            true,
        ),
        (json!({"add": [ada]}), &[(ada.as_str(), "was_member")], false),
        (json!({"remove": ["ada"]}), &[("ada", "removed")], true),
    ] {
        site.clock.advance(std::time::Duration::from_secs(5));
        let changed = site.post(&format!("{path}/members"), &acme.operator, body).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
        let found = changed.body["results"].as_array().unwrap();
        let found: Vec<_> =
            found.iter().map(|one| (one["member"].as_str().unwrap(), one["result"].as_str().unwrap())).collect();
        assert_eq!(found, results);
        let after = version().await;
        assert_eq!((before.0 != after.0, before.1 != after.1), (moves, moves), "{results:?}");
        before = after;
    }
    let both = json!({"add": ["ada"], "remove": [ada]});
    assert_eq!(
        site.post(&format!("{path}/members"), &acme.operator, both).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn a_group_that_a_directory_has_is_changed_there() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let home = site.inhabit(acme.id).await;
    let (group, user) = (home.group.to_string(), home.user.to_string());
    let mut intake = site.store.begin_intake(acme.id, home.directory, site.now()).await.unwrap();
    intake.replace_members(vec![(home.group, vec!["uid=anna,ou=people".to_owned()])]).await.unwrap();
    intake.commit().await.unwrap();
    let ada = create(&site, &acme, "users", "ada").await;
    let path = format!("/api/v1/groups/{group}");
    let before = site.get(&path, &acme.auditor).await.body;
    for (method, path, body) in [
        (Method::PATCH, path.clone(), Some(json!({"display_name": "mine"}))),
        (Method::DELETE, path.clone(), None),
        (Method::PUT, format!("{path}/members/{ada}"), None),
        (Method::DELETE, format!("{path}/members/{user}"), None),
    ] {
        let refused = site.call(method.clone(), &path, &acme.operator, body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{method} {path}: {}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap().contains("corp"), "{}", refused.body);
    }
    assert_eq!(members(&site, &acme, &group).await, [user]);
    assert_eq!(site.get(&path, &acme.auditor).await.body, before);
    assert_eq!(logged(&site, &acme, "group.members_changed").await, [Value::Null; 0]);
}

#[tokio::test]
async fn members_and_groups_are_listed_through_nested_groups() {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    let (ada, bo) = (create(&site, &acme, "users", "ada").await, create(&site, &acme, "users", "bo").await);
    let (outer, inner) = (create(&site, &acme, "groups", "outer").await, create(&site, &acme, "groups", "inner").await);
    for (group, one) in [(&outer, &inner), (&inner, &ada), (&inner, &outer), (&outer, &bo), (&inner, &bo)] {
        assert_eq!(member(&site, &acme, Method::PUT, group, one).await.status, StatusCode::NO_CONTENT);
    }
    let ids = async |path: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = site.get(&format!("/api/v1/{path}&limit=1{cursor}"), &acme.auditor).await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.body);
            let items = page.body["items"].as_array().unwrap();
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        ids.sort();
        ids
    };
    let sorted = |some: &[&String]| {
        let mut some: Vec<String> = some.iter().map(|id| (*id).clone()).collect();
        some.sort();
        some
    };
    assert_eq!(ids(&format!("groups/{outer}/members?effective=true")).await, sorted(&[&ada, &bo, &inner]));
    assert_eq!(ids(&format!("groups/{outer}/members?effective=false")).await, sorted(&[&bo, &inner]));
    assert_eq!(ids("users/ada/groups?effective=true").await, sorted(&[&outer, &inner]));
    assert_eq!(ids("users/ada/groups?effective=false").await, sorted(&[&inner]));
    let missing = site.get("/api/v1/users/00000000-0000-0000-0000-000000000000/groups", &acme.auditor).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
