//! The same on `PostgreSQL`: the main job, and a database that is restarted under load.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use postern_tests::people::Person;
use postern_tests::postgres::Postgres;
use postern_tests::relay::Fault;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::{Stage, control_plane, scenario, slapd, wait};
use serde_json::{Value, json};

async fn site_on(stage: &Stage, postgres: &Postgres, users: u32) -> Result<Site> {
    site_with(stage, postgres, users, control_plane::Options::for_tests()?).await
}

async fn site_with(
    stage: &Stage,
    postgres: &Postgres,
    users: u32,
    mut options: control_plane::Options,
) -> Result<Site> {
    options.database_url = Some(postgres.fresh_database().await?);
    Site::start_with(stage, slapd::Options::people(users), options).await
}

#[test]
fn the_main_job_runs_on_postgres() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 300).await?;
        site.api.import(DIRECTORY).await?;
        site.compare().await?;
        let again = site.api.import(DIRECTORY).await?;
        ensure!(again.count("created") + again.count("updated") + again.count("missing") == 0, "{again:?}");
        Ok(())
    })
}

#[test]
fn postgres_restarted_under_load_loses_nothing() -> Result<()> {
    scenario(async |stage| {
        let mut postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 800).await?;
        for (round, bytes) in (0..).zip([4_000, 80_000, 170_000]) {
            site.change_many(800, round).await?;
            site.line.plan([(bytes, Fault::Hold)]);
            let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
            site.line.struck().await?;
            // The rest comes while the server is away.
            let letting_go = async {
                site.line.resume();
                Ok(())
            };
            tokio::try_join!(postgres.restart(stage), letting_go)?;
            let over = site.api.finished(&job.id, Duration::from_mins(1)).await;
            let job = over.with_context(|| format!("restarted after {bytes} bytes"))?.expect("succeeded")?;
            ensure!(job.count("missing") == 0, "{job:?}");
            site.compare().await?;
        }
        Ok(())
    })
}

/// The database of the first site.
const DATABASE: &str = "postern_0";

#[test]
fn an_agent_that_waits_for_acknowledgements_gets_an_error() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        // More than the agent sends before it waits.
        // A lease that ran out would end the wait too, by another way.
        let options = control_plane::Options::for_tests()?.set("lease_secs", "120");
        let site = site_with(stage, &postgres, 20_000, options).await?;
        let locking = postgres.sql(DATABASE, "BEGIN; LOCK TABLE accounts IN SHARE MODE; SELECT pg_sleep(300)");
        // It holds the lock until it is ended, which is no failure.
        let locking = async {
            let _ = locking.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = locking => {}
            told = interrupted_while_it_waits(&site, &postgres) => told?,
        }
        site.compare().await
    })
}

/// Starts an import whose first write waits for a lock, lets the agent send all that it may, and ends the write.
async fn interrupted_while_it_waits(site: &Site, postgres: &Postgres) -> Result<()> {
    let count = async |what: &str| -> Result<bool> {
        let counted = postgres.sql(DATABASE, &format!("SELECT count(*) FROM pg_locks WHERE {what}")).await?;
        Ok(counted.trim() != "0")
    };
    wait::until_true("the table is locked", wait::SOON, || count("granted AND mode = 'ShareLock'")).await?;
    let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
    wait::until_true("a write waits", wait::SOON, || count("NOT granted")).await?;
    let seen = Mutex::new((0, Instant::now()));
    wait::until_true("the agent sends no more", wait::SOON, || async {
        let (bytes, mut seen) = (site.line.bytes(), seen.lock().unwrap_or_else(PoisonError::into_inner));
        if seen.0 != bytes {
            *seen = (bytes, Instant::now());
        }
        Ok(seen.1.elapsed() > Duration::from_secs(1))
    })
    .await?;
    let end = async |whose: &str| {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND";
        postgres.sql(DATABASE, &format!("{end} {whose}")).await
    };
    end("wait_event_type = 'Lock'").await?;
    end("query LIKE '%pg_sleep%'").await?;
    site.api.finished(&job.id, Duration::from_mins(1)).await?.expect("succeeded")?;
    Ok(())
}

#[test]
fn an_import_and_another_transaction_that_wait_for_each_other_are_set_free_by_the_database() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 2_000).await?;
        let take = |persons: &mut dyn Iterator<Item = u32>| {
            let names: Vec<String> = persons.map(|person| format!("('{}')", Person::nth(person).uid)).collect();
            format!(
                "INSERT INTO users (id, organization, name_key, user_name, active, created_at, updated_at, attributes) \
                 SELECT gen_random_uuid(), seq, taken, taken, true, 0, 0, '{{}}' FROM organizations, (VALUES {}) v(taken) \
                 ON CONFLICT DO NOTHING;",
                names.join(",")
            )
        };
        // It takes a name, and when a transaction of the import waits for that, it asks for names that this one has. What an
        // earlier one has made, it passes over.
        let waits = "EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))";
        let other = format!(
            "BEGIN; {} DO $$ BEGIN WHILE NOT {waits} LOOP PERFORM pg_sleep(0.02), pg_stat_clear_snapshot(); \
             END LOOP; END $$; {} ROLLBACK;",
            take(&mut std::iter::once(1_900)),
            take(&mut (0..1_900).step_by(10)),
        );
        let importing = async {
            wait::until_true("a name is taken", wait::SOON, || async {
                let waiting =
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'BEGIN;%' AND wait_event = 'PgSleep'";
                Ok(postgres.sql(DATABASE, waiting).await?.trim() == "1")
            })
            .await?;
            site.api.import(DIRECTORY).await
        };
        // Either of the two may be the one that the database ends.
        let (_, imported) = tokio::join!(postgres.sql(DATABASE, &other), importing);
        imported?;
        wait::until_true("there was a deadlock", wait::SOON, || async {
            let deadlocks = format!("SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = '{DATABASE}'");
            Ok(postgres.sql(DATABASE, &deadlocks).await?.trim() == "t")
        })
        .await?;
        site.compare().await
    })
}

/// From now on every second transaction that writes to the audit log ends as if the database had found a deadlock.
async fn undo_every_second(postgres: &Postgres) -> Result<()> {
    let trigger = "CREATE SEQUENCE undone; \
         CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('undone') % 2 = 1 THEN RAISE EXCEPTION 'undone' USING ERRCODE = 'deadlock_detected'; END IF; \
         RETURN NULL; END $$; \
         CREATE TRIGGER undo BEFORE INSERT ON audit FOR EACH STATEMENT EXECUTE FUNCTION undo()";
    postgres.sql(DATABASE, trigger).await.map(drop)
}

#[test]
fn whatever_an_administrator_changes_is_tried_again_if_the_database_undid_it() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 3).await?;
        site.api.import(DIRECTORY).await?;
        undo_every_second(&postgres).await?;
        let (api, name) = (&site.api, Person::nth(0).uid);
        api.post("/api/v1/users", json!({ "user_name": "own" })).await?;
        api.patch("/api/v1/users/own", json!({ "display_name": "Own" })).await?;
        api.post("/api/v1/users/own/disable", json!({ "reason": "leave" })).await?;
        api.post("/api/v1/users/own/enable", Value::Null).await?;
        api.delete("/api/v1/users/own").await?;
        api.post("/api/v1/users/own/restore", Value::Null).await?;
        api.post(&format!("/api/v1/users/{name}/merge"), json!({ "user": "own" })).await?;
        let accounts = api.get(&format!("/api/v1/users/{name}")).await?["accounts"][0]["id"].clone();
        let split = json!({ "accounts": [accounts], "user_name": "apart" });
        let split = api.post(&format!("/api/v1/users/{name}/split"), split).await?;
        let apart = split["new_user"]["id"].as_str().context("an id")?.to_owned();
        let entry = api.audited("user.split").await?;
        ensure!(entry.to_string().contains(&apart), "{entry:#}");
        api.post("/api/v1/groups", json!({ "display_name": "team" })).await?;
        api.patch("/api/v1/groups/team", json!({ "description": "of the test" })).await?;
        api.put(&format!("/api/v1/groups/team/members/{apart}"), &Value::Null).await?;
        api.delete("/api/v1/groups/team").await?;
        api.post("/api/v1/groups/team/restore", Value::Null).await?;
        ensure!(api.group("team").await?.display_name == "team");
        let undone = postgres.sql(DATABASE, "SELECT last_value FROM undone").await?;
        ensure!(undone.trim() == "26", "13 changes, each undone once: {undone}");
        Ok(())
    })
}

#[test]
fn two_requests_that_write_the_same_users_or_members_in_opposite_order_are_both_carried_out() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let site = site_on(stage, &postgres, 5).await?;
        let names: Vec<String> = (0..150).map(|number| format!("newcomer-{number}")).collect();
        let users: Vec<Value> = names.iter().map(|name| json!({ "user_name": name })).collect();
        let made = site.api.post("/api/v1/bulk-users", json!({ "users": users })).await?;
        let ids: Vec<Value> = results(&made).iter().map(|result| result["id"].clone()).collect();
        ensure!(ids.len() == names.len() && ids.iter().all(Value::is_string), "{made}");
        for group in ["one", "other"] {
            site.api.post("/api/v1/groups", json!({ "display_name": group })).await?;
        }
        for round in 0..4 {
            let lines = |title: &str| -> Vec<Value> {
                let line = |(id, name): (&Value, &String)| json!({ "id": id, "user_name": name, "display_name": format!("{title} {round}") });
                ids.iter().zip(&names).map(line).collect()
            };
            let (forth, mut back) = (lines("forth"), lines("back"));
            back.reverse();
            let reversed: Vec<&Value> = ids.iter().rev().collect();
            let members = if round % 2 == 0 { "add" } else { "remove" };
            let (one, other, ..) = tokio::try_join!(
                site.api.post("/api/v1/bulk-users", json!({ "users": forth })),
                site.api.post("/api/v1/bulk-users", json!({ "users": back })),
                site.api.post("/api/v1/groups/one/members", json!({ members: ids })),
                site.api.post("/api/v1/groups/other/members", json!({ members: reversed })),
            )?;
            for result in results(&one).iter().chain(results(&other)) {
                ensure!(result["outcome"] == "changed", "round {round}: {result}");
            }
        }
        Ok(())
    })
}

/// What became of each user of a request.
fn results(answer: &Value) -> &[Value] {
    answer["results"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn a_control_plane_on_postgres_killed_mid_import_takes_it_up_again() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        let mut site = site_on(stage, &postgres, 500).await?;
        site.line.plan([(100_000, Fault::Hold)]);
        let job = site.api.start_job("import", DIRECTORY, Value::Null).await?;
        site.line.struck().await?;
        site.control_plane.kill().await?;
        site.line.cut();
        site.line.resume();
        site.control_plane.run(stage).await?;
        site.api.finished(&job.id, Duration::from_mins(1)).await?.expect("succeeded")?;
        site.compare().await
    })
}
