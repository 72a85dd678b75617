//! Schedules as administrators see and change them. The clock of these tests stands at 2026-11-22T22:00:00Z.

use axum::http::{Method, StatusCode};
use postern_engine::kinds;
use postern_engine::schedules::runner::Runner;
use serde_json::{Value, json};

use super::{Answer, Organization, Site};

const PATH: &str = "/api/v1/schedules";

async fn site() -> (Site, Organization) {
    let site = Site::new().await;
    let acme = site.organization("acme").await;
    site.inhabit(acme.id).await;
    (site, acme)
}

fn nightly() -> Value {
    json!({
        "name": "nightly", "kind": "import", "directory": "corp", "time_zone": "Europe/Berlin",
        "timing": {"repeat": "daily", "at": "02:30"}
    })
}

/// The nightly schedule with this instead.
fn with(field: &str, value: Value) -> Value {
    let mut body = nightly();
    body[field] = value;
    body
}

async fn patch(site: &Site, acme: &Organization, body: Value) -> Answer {
    site.call(Method::PATCH, &format!("{PATH}/nightly"), &acme.operator, Some(body)).await
}

#[tokio::test]
async fn a_schedule_is_shown_with_its_next_five_runs() {
    let (site, acme) = site().await;
    let made = site.post(PATH, &acme.operator, nightly()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let nights: Vec<String> = (23..28).map(|day| format!("2026-11-{day}T01:30:00Z")).collect();
    assert_eq!(made.body["next_runs"], json!(nights));
    assert_eq!(made.body["timing"], json!({"repeat": "daily", "at": "02:30"}));
    assert_eq!(made.body["timing_text"], "daily at 02:30");
    assert_eq!((&made.body["created_by"], &made.body["last_run"]), (&json!("operator"), &Value::Null));
    assert_eq!(made.body["input"], json!({}));
    assert_eq!(made.body["missed_runs"], "skip");
    for named in ["nightly", made.body["id"].as_str().unwrap()] {
        assert_eq!(site.get(&format!("{PATH}/{named}"), &acme.auditor).await.body, made.body);
    }
    assert_eq!(site.get(PATH, &acme.auditor).await.body["items"], json!([made.body]));
    let deleted = site.call(Method::DELETE, &format!("{PATH}/nightly"), &acme.operator, None).await;
    assert_eq!((deleted.status, &deleted.body), (StatusCode::OK, &made.body));
    assert_eq!(site.get(&format!("{PATH}/nightly"), &acme.auditor).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_field_and_what_it_may_be() {
    let (site, acme) = site().await;
    let timing = |timing: Value| with("timing", timing);
    let cron = |cron: &str| timing(json!({"repeat": "cron", "cron": cron}));
    let mut jitter = cron("*/10 * * * *");
    jitter["jitter_seconds"] = json!(600);
    for (body, field, says) in [
        (with("name", json!(" ")), "name", "1 to 100 characters"),
        (with("kind", json!("sing")), "kind", "one of import"),
        (with("input", json!({"unique_value": "anna"})), "input.unique_value", "does not belong"),
        (with("time_zone", json!("Europe/Berln")), "time_zone", "did you mean Europe/Berlin?"),
        (with("jitter_seconds", json!(21_601)), "jitter_seconds", "from 0 to 21600"),
        (jitter, "jitter_seconds", "shorter than the 600 seconds"),
        (with("missed_runs", json!("twice")), "missed_runs", "run_once"),
        (timing(json!({"repeat": "daily"})), "timing.at", "like 02:30"),
        (timing(json!({"repeat": "yearly"})), "timing.repeat", "hourly"),
        (timing(json!({"repeat": "weekly", "at": "02:30", "days": ["mo"]})), "timing.days[0]", "monday"),
        (cron("0 25 * * *"), "timing.cron", "the hour, \"25\" at character 3, cannot be read: 0 to 23"),
        (cron("*/30 * * * * *"), "timing.cron", "once a minute is the most"),
        (cron("0 0 30 2 *"), "timing.cron", "a day that never comes"),
        (cron(", * * * *"), "timing.cron", "the minute, \",\" at character 1"),
    ] {
        let refused = site.post(PATH, &acme.operator, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.body);
        let error = &refused.body["errors"][0];
        assert_eq!(error["field"], field, "{body}: {}", refused.body);
        assert!(error["detail"].as_str().unwrap().contains(says), "{body}: {}", refused.body);
    }
    let nowhere = site.post(PATH, &acme.operator, with("directory", json!("lab"))).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND, "{}", nowhere.body);
    assert_eq!(site.get(PATH, &acme.auditor).await.body["items"], json!([]), "none was made");
    site.post(PATH, &acme.operator, nightly()).await;
    let twice = site.post(PATH, &acme.operator, nightly()).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert!(twice.body["detail"].as_str().unwrap().contains("\"nightly\" exists already"), "{}", twice.body);
}

#[tokio::test]
async fn a_change_leaves_what_it_does_not_name_and_a_wrong_one_leaves_all() {
    let (site, acme) = site().await;
    let made = site.post(PATH, &acme.operator, nightly()).await.body;
    let changed = patch(&site, &acme, json!({"missed_runs": "run_once"})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!(changed.body["missed_runs"], "run_once");
    for field in ["id", "name", "timing", "next_runs", "time_zone", "created_at"] {
        assert_eq!(changed.body[field], made[field], "{field}");
    }
    let hourly =
        patch(&site, &acme, json!({"timing": {"repeat": "hourly", "minute": 5}, "time_zone": "UTC"})).await.body;
    assert_eq!(hourly["next_runs"][0], "2026-11-22T22:05:00Z");
    for wrong in
        [json!({"kind": "lookup_user"}), json!({"jitter_seconds": 3_600}), json!({"timing": {"repeat": "daily"}})]
    {
        let refused = patch(&site, &acme, wrong.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.body);
    }
    assert_eq!(site.get(&format!("{PATH}/nightly"), &acme.auditor).await.body, hourly);
    let other = patch(&site, &acme, json!({"kind": "lookup_user", "input": {"unique_value": "anna"}})).await.body;
    assert_eq!((&other["kind"], &other["input"]), (&json!("lookup_user"), &json!({"unique_value": "anna"})));
}

#[tokio::test]
async fn a_paused_schedule_has_no_next_run_and_a_resumed_one_goes_on_from_now() {
    let (site, acme) = site().await;
    site.post(PATH, &acme.operator, with("missed_runs", json!("run_once"))).await;
    let runner = Runner::new(site.store.clone(), site.api.clock.clone(), kinds::ALL);
    for _ in 0..2 {
        // Once more changes nothing.
        let paused = site.post(&format!("{PATH}/nightly/pause"), &acme.operator, json!({})).await.body;
        assert_eq!((&paused["paused"], &paused["next_runs"]), (&json!(true), &json!([])));
    }
    site.clock.advance(std::time::Duration::from_hours(24 * 7));
    runner.pass().await.unwrap();
    let resumed = site.post(&format!("{PATH}/nightly/resume"), &acme.operator, json!({})).await.body;
    assert_eq!((&resumed["paused"], &resumed["next_runs"][0]), (&json!(false), &json!("2026-11-30T01:30:00Z")));
    runner.pass().await.unwrap();
    let listed = site.get("/api/v1/jobs", &acme.auditor).await.body;
    assert_eq!(listed["items"], json!([]), "what was paused is not made up for");
    let log = site.get("/api/v1/audit", &acme.auditor).await.body;
    let actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["schedule.resumed", "schedule.paused", "schedule.created"]);
    assert_eq!(log["items"][0]["before"]["paused"], json!(true));
    assert_eq!(log["items"][0]["after"]["paused"], json!(false));
}

#[tokio::test]
async fn a_comparison_of_all_runs_by_schedule() {
    let (site, acme) = site().await;
    let wrong = site.post(PATH, &acme.operator, with("input", json!({"reconcile": "repair"}))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.body);
    assert!(wrong.body.to_string().contains("`enforce` or `report`"), "{}", wrong.body);
    for (day, what) in [(23, "report"), (24, "enforce")] {
        let mut body = with("input", json!({"reconcile": what}));
        body["name"] = json!(what);
        let made = site.post(PATH, &acme.operator, body).await;
        assert_eq!((made.status, &made.body["input"]), (StatusCode::CREATED, &json!({"reconcile": what})));
        let runner = Runner::new(site.store.clone(), site.api.clock.clone(), kinds::ALL);
        site.clock.set(format!("2026-11-{day}T01:30:00Z").parse().unwrap());
        runner.pass().await.unwrap();
        let job = site.get("/api/v1/jobs", &acme.auditor).await.body["items"][0].clone();
        assert_eq!((&job["kind"], &job["input"]), (&json!("import"), &json!({"reconcile": what})), "{job}");
        assert_eq!(job["created_by"], format!("schedule {what}"));
        let path = format!("{PATH}/{what}");
        site.call(Method::DELETE, &path, &acme.operator, None).await;
        site.post(&format!("/api/v1/jobs/{}/cancel", job["id"].as_str().unwrap()), &acme.operator, json!({})).await;
    }
}

#[tokio::test]
async fn the_last_run_says_what_came_of_it() {
    let (site, acme) = site().await;
    site.post(PATH, &acme.operator, nightly()).await;
    let runner = Runner::new(site.store.clone(), site.api.clock.clone(), kinds::ALL);
    let next_night = async |day: u32| {
        site.clock.set(format!("2026-11-{day}T01:30:00Z").parse().unwrap());
        runner.pass().await.unwrap();
        site.get(&format!("{PATH}/nightly"), &acme.auditor).await.body["last_run"].clone()
    };
    let started = next_night(23).await;
    let job = site.get("/api/v1/jobs", &acme.auditor).await.body["items"][0].clone();
    assert_eq!(job["created_by"], "schedule nightly");
    let wanted = json!({
        "at": "2026-11-23T01:30:00Z", "outcome": "started", "problem": null, "job": job["id"], "job_state": "queued"
    });
    assert_eq!(started, wanted);
    let entry = site.get("/api/v1/audit", &acme.auditor).await.body["items"][0].clone();
    assert_eq!((&entry["actor_name"], &entry["action"]), (&json!("schedule nightly"), &json!("job.created")));
    assert_eq!((&entry["object_id"], &entry["object"]), (&job["id"], &json!("import of corp")));
    let overlaps = next_night(24).await;
    assert_eq!((&overlaps["outcome"], &overlaps["job"]), (&json!("under_way"), &job["id"]));
    assert!(overlaps["problem"].as_str().unwrap().contains("was still under way"), "{overlaps}");
    let disabled = json!({"disabled": true});
    site.call(Method::PATCH, "/api/v1/directories/corp", &acme.operator, Some(disabled)).await;
    let disabled = next_night(25).await;
    assert_eq!((&disabled["outcome"], &disabled["job"]), (&json!("directory_disabled"), &Value::Null));
    assert!(disabled["problem"].as_str().unwrap().contains("postern directories enable corp"), "{disabled}");
    site.call(Method::DELETE, "/api/v1/directories/corp", &acme.operator, None).await;
    assert_eq!(next_night(26).await["outcome"], "directory_deleted");
    site.clock.set("2026-11-27T01:40:00Z".parse().unwrap());
    runner.pass().await.unwrap();
    let shown = site.get(&format!("{PATH}/nightly"), &acme.auditor).await.body;
    assert_eq!(shown["last_run"]["outcome"], "missed");
    assert_eq!(shown["next_runs"][0], "2026-11-28T01:30:00Z");
    assert_eq!(site.get("/api/v1/jobs", &acme.auditor).await.body["items"].as_array().unwrap().len(), 1);
}
