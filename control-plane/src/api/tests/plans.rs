//! Plans, explanations and the report over the API: what they show, what they hide, and what is refused.

use axum::http::{Method, StatusCode};
use jiff::SignedDuration;
use postern_engine::provisioning::plan;
use serde_json::{Value, json};

use super::audit::from_outside;
use super::{Organization, Site};

const PLANS: &str = "/api/v1/directories/corp/provisioning/plans";

/// An organization that provisions its own users to a directory, but only by plans.
async fn ready(site: &Site, users: &[&str]) -> Organization {
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    let pin = json!({"name": "pin", "type": "string", "sensitive": true});
    assert_eq!(site.post("/api/v1/attributes", &acme.owner, pin).await.status, StatusCode::CREATED);
    let rule = |target: &str, expression: &str| json!({"of": "users", "target": target, "expression": expression});
    let rules = json!({"rules": [rule("uid", "user_name"), rule("title", "attributes.pin")]});
    let saved = site.call(Method::PUT, "/api/v1/directories/corp/outbound-mapping", &acme.owner, Some(rules)).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    set(site, &acme, false, "report").await;
    for user in users {
        let body = json!({"user_name": user, "attributes": {"pin": "PIN-1234"}});
        assert_eq!(site.post("/api/v1/users", &acme.owner, body).await.status, StatusCode::CREATED);
    }
    acme
}

async fn set(site: &Site, acme: &Organization, paused: bool, mode: &str) {
    let settings =
        json!({"mode": mode, "switches": {"create_users": true}, "assignment": {"kind": "all"}, "leaving": "keep"});
    let body = json!({"settings": settings, "paused": paused});
    let saved = site.call(Method::PUT, "/api/v1/directories/corp/provisioning", &acme.owner, Some(body)).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
}

/// Asks for a plan, and makes it.
async fn planned(site: &Site, acme: &Organization, body: Value) -> Value {
    let asked = site.post(PLANS, &acme.operator, body).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.body);
    assert_eq!(asked.body["state"], "making");
    let path = format!("{PLANS}/{}", asked.body["id"].as_str().unwrap());
    let early = site.get(&format!("{path}/operations"), &acme.auditor).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "it is still being made");
    assert!(plan::make(&site.store, &site.api.clock).await.unwrap());
    assert!(!plan::make(&site.store, &site.api.clock).await.unwrap(), "there is only one");
    site.get(&path, &acme.auditor).await.body
}

async fn refused(site: &Site, acme: &Organization, plan: &Value, what: &str) {
    let path = format!("{PLANS}/{}/apply", plan["id"].as_str().unwrap());
    let answer = site.post(&path, &acme.operator, json!({})).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains(what), "{}", answer.body);
}

#[tokio::test]
async fn a_plan_shows_what_would_be_done_and_hides_what_is_sensitive() {
    let site = Site::new().await;
    let acme = ready(&site, &["bert", "=cmd()"]).await;
    let plan = planned(&site, &acme, json!({})).await;
    assert_eq!((&plan["state"], &plan["summary"]["actions"]), (&json!("ready"), &json!({"create": 2})), "{plan}");
    assert_eq!(plan["summary"]["compared"], 4, "anna and the group have accounts: {plan}");
    let operations = format!("{PLANS}/{}/operations", plan["id"].as_str().unwrap());
    let page = site.get(&format!("{operations}?limit=1"), &acme.auditor).await.body;
    assert_eq!(page["items"][0]["after"]["uid"], json!(["bert"]), "{page}");
    let next = page["next_cursor"].as_str().unwrap();
    let rest = site.get(&format!("{operations}?limit=1&cursor={next}"), &acme.auditor).await.body;
    assert_eq!((&rest["items"][0]["place"], &rest["next_cursor"]), (&json!(1), &Value::Null), "{rest}");
    for format in ["csv", "ndjson"] {
        let path = format!("{operations}?format={format}");
        let (status, text) = from_outside(&site, Method::GET, &path, &acme.auditor, "").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.contains("bert") && !text.contains("PIN-1234"), "{text}");
        assert_eq!(text.lines().count(), if format == "csv" { 3 } else { 2 }, "{text}");
        assert!(format != "csv" || text.contains(",'=cmd(),"), "a spreadsheet would run it: {text}");
    }
}

#[tokio::test]
async fn a_container_that_reads_a_sensitive_attribute_is_refused() {
    let site = Site::new().await;
    let acme = ready(&site, &[]).await;
    let save = async |container: &str| {
        let body = json!({"settings": {"user_container": container}, "paused": false});
        site.call(Method::PUT, "/api/v1/directories/corp/provisioning", &acme.owner, Some(body)).await
    };
    let refused = save("'ou=' + attributes.pin").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(refused.body["errors"][0]["field"], "user_container", "{}", refused.body);
    assert_eq!(save("'ou=' + attributes.department").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_plan_that_is_over_is_refused_with_the_reason() {
    let site = Site::new().await;
    let acme = ready(&site, &["bert"]).await;
    let plan = planned(&site, &acme, json!({"users": ["bert"]})).await;
    // Pausing refuses, and changes nothing about the plan.
    set(&site, &acme, true, "report").await;
    refused(&site, &acme, &plan, "paused").await;
    set(&site, &acme, false, "report").await;
    // Other settings.
    set(&site, &acme, false, "enforce").await;
    refused(&site, &acme, &plan, "settings or rules").await;
    set(&site, &acme, false, "report").await;
    let path = format!("{PLANS}/{}", plan["id"].as_str().unwrap());
    let applied = site.post(&format!("{path}/apply"), &acme.operator, json!({})).await;
    assert_eq!((applied.status, &applied.body["state"]), (StatusCode::OK, &json!("applied")), "{}", applied.body);
    refused(&site, &acme, &plan, "already applied").await;
    let gone = site.call(Method::DELETE, &path, &acme.operator, None).await;
    assert_eq!(gone.status, StatusCode::CONFLICT, "{}", gone.body);
    let report = site.get("/api/v1/reports/provisioning?user=bert", &acme.auditor).await.body;
    let row = &report["items"][0];
    assert_eq!((&row["state"], &row["cause"]), (&json!("waiting"), &json!("plan.applied")), "{report}");
    assert_eq!((&row["plan_id"], &row["target"]), (&plan["id"], &json!("corp")), "{report}");
    // Another one expires.
    let plan = planned(&site, &acme, json!({"again": plan["id"], "expires_in_hours": 2})).await;
    site.clock.advance(std::time::Duration::from_hours(2));
    refused(&site, &acme, &plan, "expired").await;
    let plan = planned(&site, &acme, json!({})).await;
    let path = format!("{PLANS}/{}", plan["id"].as_str().unwrap());
    let gone = site.call(Method::DELETE, &path, &acme.operator, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);
    refused(&site, &acme, &plan, "discarded").await;
}

#[tokio::test]
async fn where_only_plans_are_carried_out_nothing_else_is_begun() {
    let site = Site::new().await;
    let acme = ready(&site, &["bert"]).await;
    for (path, body) in [
        ("/api/v1/directories/corp/provisioning/compare", json!({})),
        ("/api/v1/users/bert/provision", json!({"target": "corp"})),
        ("/api/v1/directories/corp/provisioning/approve", json!({})),
    ] {
        let answer = site.post(path, &acme.owner, body).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path}: {}", answer.body);
        assert!(answer.body["cure"].as_str().unwrap().contains("provisioning plan"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_explanation_says_why_and_hides_what_is_sensitive() {
    let site = Site::new().await;
    let acme = ready(&site, &["bert"]).await;
    let explain = async |user: &str| {
        site.get(&format!("/api/v1/users/{user}/provision/explain?target=corp"), &acme.auditor).await
    };
    let bert = explain("bert").await;
    assert_eq!(bert.status, StatusCode::OK, "{}", bert.body);
    let bert = bert.body;
    assert_eq!((&bert["assigned"], &bert["account"], &bert["state"]), (&json!(true), &Value::Null, &json!("report")));
    assert_eq!(bert["rules"][0]["values"], json!(["bert"]), "{bert}");
    assert_eq!((bert["steps"][0]["action"].as_str(), bert["steps"].as_array().unwrap().len()), (Some("create"), 1));
    assert!(!bert.to_string().contains("PIN-1234"), "{bert}");
    let name = bert["fields"].as_array().unwrap().iter().find(|field| field["name"] == "user_name").unwrap();
    assert_eq!((&name["value"], &name["source"]), (&json!("bert"), &Value::Null), "{name}");
    // Anna comes from the directory, which is the source of her name.
    let anna = explain("anna").await.body;
    assert_eq!((&anna["account"]["outbound"], &anna["steps"]), (&json!(false), &json!([])), "{anna}");
    let name = anna["fields"].as_array().unwrap().iter().find(|field| field["name"] == "user_name").unwrap();
    assert_eq!(name["source"], "corp", "{name}");
    assert_eq!(explain("nobody").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_report_is_a_file_too_and_ends_with_the_token() {
    let site = Site::new().await;
    let acme = ready(&site, &["bert", "=cmd()"]).await;
    let plan = planned(&site, &acme, json!({})).await;
    let path = format!("{PLANS}/{}/apply", plan["id"].as_str().unwrap());
    assert_eq!(site.post(&path, &acme.operator, json!({})).await.status, StatusCode::OK);
    let file = async |query: &str| {
        let path = format!("/api/v1/reports/provisioning?{query}");
        from_outside(&site, Method::GET, &path, &acme.auditor, "").await
    };
    let (status, csv) = file("format=csv").await;
    assert_eq!((status, csv.lines().count()), (StatusCode::OK, 3), "{csv}");
    assert!(csv.starts_with("time,cause,actor,kind,") && csv.contains(",'=cmd(),corp,create,"), "{csv}");
    assert!(!csv.contains("PIN-1234"), "{csv}");
    let (_, lines) = file("format=ndjson&user=bert&action=create&target=corp&state=waiting").await;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let line: Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!((&line["name"], &line["target"]), (&json!("bert"), &json!("corp")), "{line}");
    let (status, refused) = file("action=zzz").await;
    assert!(status.is_client_error() && refused.contains("change_members"), "{refused}");
    let hour = site.now() + SignedDuration::from_hours(1);
    for empty in ["action=delete".to_owned(), format!("since={hour}"), "until=2026-01-01T00:00:00Z".to_owned()] {
        let (status, lines) = file(&format!("format=ndjson&{empty}")).await;
        assert_eq!((status, lines.as_str()), (StatusCode::OK, ""), "{empty}");
    }
    let (status, _) =
        from_outside(&site, Method::GET, "/api/v1/reports/provisioning?format=csv", &acme.helpdesk, "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
