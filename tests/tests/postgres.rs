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
fn two_transactions_of_one_import_and_a_foreign_one_do_not_wait_for_each_other_in_a_circle() -> Result<()> {
    scenario(async |stage| {
        let postgres = Postgres::start(stage).await?;
        // More than one transaction takes.
        let site = site_on(stage, &postgres, 7_000).await?;
        let take = |persons: &mut dyn Iterator<Item = u32>| {
            let names: Vec<String> = persons.map(|person| format!("('{}')", Person::nth(person).uid)).collect();
            format!(
                "INSERT INTO users (id, organization, name_key, user_name, active, created_at, updated_at, attributes) \
                 SELECT gen_random_uuid(), seq, taken, taken, true, 0, 0, '{{}}' FROM organizations, (VALUES {}) v(taken);",
                names.join(",")
            )
        };
        // It takes a name of the first transaction, and when the second one is written and waits for the first to become
        // durable, it asks for names of the second.
        let written =
            "EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%chunks%')";
        let foreign = format!(
            "BEGIN; {} DO $$ BEGIN WHILE NOT {written} LOOP PERFORM pg_sleep(0.02), pg_stat_clear_snapshot(); \
             END LOOP; END $$; {} ROLLBACK;",
            take(&mut std::iter::once(0)),
            take(&mut (1..7_000).step_by(10)),
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
        tokio::try_join!(postgres.sql(DATABASE, &foreign), importing)?;
        ensure!(site.control_plane.log().contains("gateway.behind"), "they did not come across each other");
        site.compare().await
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
