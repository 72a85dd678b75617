//! The preview of an import: it shows what the import then does, and changes nothing.

mod ended;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use postern_tests::api::{Api, Job};
use postern_tests::people::Person;
use postern_tests::postgres::Postgres;
use postern_tests::site::{DIRECTORY, Site};
use postern_tests::slapd::{self, SUFFIX};
use postern_tests::{Stage, control_plane, scenario, wait};
use serde_json::{Value, json};

fn person_dn(uid: &str) -> String {
    format!("uid={uid},ou=people,{SUFFIX}")
}

fn group_dn(name: &str) -> String {
    format!("cn={name},ou=groups,{SUFFIX}")
}

fn person(uid: &str) -> String {
    format!("dn: {}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: x\n\n", person_dn(uid))
}

fn group(name: &str, members: &[&str]) -> String {
    let members: Vec<String> = members.iter().map(|uid| format!("member: {}\n", person_dn(uid))).collect();
    format!("dn: {}\nobjectClass: groupOfNames\ncn: {name}\n{}\n", group_dn(name), members.concat())
}

/// A few people of the test's own among forty others.
fn directory() -> slapd::Options {
    let people = ["anna", "bert", "carl", "dora", "emil"].map(person).concat();
    let groups = [group("admins", &["anna", "bert"]), group("other", &["anna", "carl"])].concat();
    slapd::Options { extra_ldif: people + &groups, ..slapd::Options::people(40) }
}

/// Somebody comes, somebody leaves, and others change.
async fn change(site: &Site) -> Result<()> {
    let slapd = &site.slapd;
    let second =
        format!("dn: cn=second,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: emil\ncn: second\nsn: x\n\n");
    let group = group("new", &["frida", "anna"]);
    slapd
        .apply([person("frida"), second, group].concat().replace("\nobjectClass", "\nchangetype: add\nobjectClass"))
        .await?;
    slapd.replace(&person_dn("anna"), "mail", &["anna@example.org"]).await?;
    slapd.replace(&person_dn("dora"), "displayName", &["=cmd|' /C calc'!A0"]).await?;
    slapd.delete(&person_dn("bert")).await?;
    slapd.rename(&person_dn("carl"), "uid=karl", None).await?;
    slapd.replace(&group_dn("admins"), "member", &[&person_dn("anna"), &person_dn("frida")]).await?;
    slapd.replace(&group_dn("other"), "member", &[&person_dn("anna"), &person_dn("karl")]).await?;
    slapd.rename(&group_dn("other"), "cn=others", None).await
}

async fn preview(api: &Api) -> Result<(Job, Vec<Value>)> {
    let job = api.start_job("import_preview", DIRECTORY, Value::Null).await?;
    let job = api.finished(&job.id, wait::SOON).await?.expect("succeeded")?;
    let rows = api.list(&format!("/api/v1/jobs/{}/preview", job.id)).await?;
    Ok((job, rows))
}

/// What is known of users or groups, by their id.
async fn known(api: &Api, what: &str) -> Result<BTreeMap<String, Value>> {
    let all: Vec<Value> = api.list(&format!("/api/v1/{what}")).await?;
    Ok(all.into_iter().map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one)).collect())
}

fn does(row: &Value, action: &str) -> bool {
    row["actions"].as_array().is_some_and(|actions| actions.contains(&json!(action)))
}

/// The names of the rows of a kind with an action.
fn names(rows: &[Value], kind: &str, action: &str) -> BTreeSet<String> {
    let with = rows.iter().filter(|row| row["kind"] == kind && does(row, action));
    with.filter_map(|row| row["name"].as_str().map(str::to_owned)).collect()
}

/// The values that a row changes, without the DN.
fn changes(row: &Value) -> BTreeMap<String, (Value, Value)> {
    let all = row["changes"].as_array().into_iter().flatten();
    let value = |change: &Value| {
        Some((change["attribute"].as_str()?.to_owned(), (change["before"].clone(), change["after"].clone())))
    };
    all.filter_map(value).filter(|(name, _)| name != "dn").collect()
}

const FIELDS: [&str; 6] = ["user_name", "given_name", "family_name", "display_name", "email", "active"];

/// What differs between two states of a user.
fn differing(before: Option<&Value>, after: &Value) -> BTreeMap<String, (Value, Value)> {
    let nothing = Value::Null;
    let mut values = BTreeMap::new();
    let mut note = |name: &str, before: &Value, after: &Value| {
        if before != after {
            values.insert(name.to_owned(), (before.clone(), after.clone()));
        }
    };
    for name in FIELDS {
        note(name, before.map_or(&nothing, |before| &before[name]), &after[name]);
    }
    let map = |of: &Value| of["attributes"].as_object().cloned().unwrap_or_default();
    let (old, new) = (before.map(map).unwrap_or_default(), map(after));
    for name in old.keys().chain(new.keys()) {
        note(name, old.get(name).unwrap_or(&nothing), new.get(name).unwrap_or(&nothing));
    }
    values
}

/// Fails unless each user's row says exactly what became of the user, and nobody else changed.
fn compare_users(rows: &[Value], before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Result<()> {
    let mut changed = BTreeSet::new();
    for (id, now) in after {
        let old = before.get(id);
        let differing = differing(old, now);
        let gone = |user: &Value| !user["missing_since"].is_null();
        let missing = gone(now) && old.is_none_or(|old| !gone(old));
        if differing.is_empty() && !missing {
            continue;
        }
        let name = now["user_name"].as_str().context("a name")?;
        changed.insert(name.to_owned());
        let row = rows.iter().find(|row| row["kind"] == "user" && row["name"] == name && !does(row, "conflict"));
        let row = row.with_context(|| format!("{name} changed and has no row: {differing:?}"))?;
        ensure!(changes(row) == differing, "{name}: {row:#} but {differing:#?}");
        ensure!(does(row, "created") == old.is_none(), "{row:#}");
        ensure!(does(row, "missing") == missing, "{row:#}");
        ensure!(does(row, "renamed") == old.is_some_and(|old| old["user_name"] != now["user_name"]), "{row:#}");
        let active = |user: &Value| user["active"] == true;
        ensure!(does(row, "became_active") == old.is_some_and(|old| !active(old) && active(now)), "{row:#}");
        ensure!(does(row, "became_inactive") == old.is_some_and(|old| active(old) && !active(now)), "{row:#}");
    }
    let touched = rows.iter().filter(|row| row["kind"] == "user" && !changes(row).is_empty());
    let touched: BTreeSet<String> = touched.filter_map(|row| row["name"].as_str().map(str::to_owned)).collect();
    ensure!(touched == changed, "the preview says {touched:?}, and the import changed {changed:?}");
    Ok(())
}

/// Tables that change by themselves, or that a preview may write.
const OTHER_TABLES: [&str; 10] = [
    "jobs",
    "preview_rows",
    "audit",
    "audit_heads",
    "sessions",
    "replicas",
    "agents",
    "api_tokens",
    "answers",
    "_sqlx_migrations",
];

/// Everything in a SQLite file that a preview may not change.
fn dump(file: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let connection = rusqlite::Connection::open(file)?;
    let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut dumped = BTreeMap::new();
    for table in tables.into_iter().filter(|table| !OTHER_TABLES.contains(&table.as_str())) {
        let mut query = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = query.column_count();
        let line = |row: &rusqlite::Row<'_>| {
            let values: rusqlite::Result<Vec<_>> =
                (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect();
            Ok(format!("{:?}", values?))
        };
        let mut lines: Vec<String> = query.query_map([], line)?.collect::<rusqlite::Result<_>>()?;
        lines.sort();
        dumped.insert(table, lines);
    }
    ensure!(!dumped["users"].is_empty() && !dumped["member_names"].is_empty(), "nothing was dumped");
    Ok(dumped)
}

/// The same on PostgreSQL.
async fn dump_server(postgres: &Postgres, database: &str) -> Result<BTreeMap<String, String>> {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
    let tables = postgres.sql(database, tables).await?;
    let mut dumped = BTreeMap::new();
    for table in tables.lines().filter(|table| !OTHER_TABLES.contains(table)) {
        let rows = postgres.sql(database, &format!("SELECT t::text FROM {table} t ORDER BY 1")).await?;
        dumped.insert(table.to_owned(), rows);
    }
    ensure!(!dumped["users"].is_empty() && !dumped["member_names"].is_empty(), "nothing was dumped");
    Ok(dumped)
}

/// Imports, and fails unless the preview said what it does.
async fn import_and_compare(site: &Site, previewed: &Job, rows: &[Value]) -> Result<()> {
    let before = known(&site.api, "users").await?;
    let imported = site.api.import(DIRECTORY).await?;
    let after = known(&site.api, "users").await?;
    compare_users(rows, &before, &after)?;
    let mut expected = previewed.result["import"].clone();
    // Ids of what is created differ, and figures of the reading itself.
    expected["pages"] = imported.result["pages"].clone();
    ensure!(expected == imported.result, "{expected:#} but {:#}", imported.result);
    Ok(())
}

#[test]
fn a_preview_says_what_the_import_then_does_and_changes_nothing() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start_with(stage, directory(), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        change(&site).await?;
        let file = site.control_plane.data_dir().join("postern.db");
        let before = dump(&file)?;
        let (job, rows) = preview(&site.api).await?;
        ensure!(dump(&file)? == before, "the preview changed something");
        ensure!(job.result["hold"].is_null() && job.result["rows"] == rows.len(), "{job:#?}");
        for (kind, action, wanted) in [
            ("user", "created", &["frida"][..]),
            ("user", "missing", &["bert"]),
            ("user", "became_inactive", &["bert"]),
            ("user", "renamed", &["karl"]),
            ("user", "conflict", &["emil"]),
            ("group", "created", &["new"]),
            ("group", "renamed", &["others"]),
            ("group", "members", &["admins", "new"]),
        ] {
            let wanted: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            ensure!(names(&rows, kind, action) == wanted, "{kind} {action}: {rows:#?}");
        }
        let admins = rows.iter().find(|row| row["name"] == "admins").context("admins")?;
        let members = json!({"added": 1, "removed": 1, "added_names": ["frida"], "removed_names": ["bert"]});
        ensure!(admins["members"] == members, "{admins:#}");
        import_and_compare(&site, &job, &rows).await
    })
}

async fn on_postgres(stage: &Stage) -> Result<(Postgres, Site, String)> {
    let postgres = Postgres::start(stage).await?;
    let url = postgres.fresh_database().await?;
    let name = url.rsplit('/').next().context("a name")?.split('?').next().context("a name")?.to_owned();
    let options = control_plane::Options { database_url: Some(url), ..control_plane::Options::for_tests()? };
    let site = Site::start_with(stage, directory(), options).await?;
    Ok((postgres, site, name))
}

#[test]
fn a_preview_on_postgres_says_what_the_import_then_does_and_changes_nothing() -> Result<()> {
    scenario(async |stage| {
        let (postgres, site, database) = on_postgres(stage).await?;
        site.api.import(DIRECTORY).await?;
        change(&site).await?;
        let before = dump_server(&postgres, &database).await?;
        let (job, rows) = preview(&site.api).await?;
        let after = dump_server(&postgres, &database).await?;
        ensure!(after == before, "the preview changed something");
        import_and_compare(&site, &job, &rows).await
    })
}

#[test]
fn a_preview_shows_what_an_import_would_be_held_for_and_what_would_wait() -> Result<()> {
    scenario(async |stage| {
        let site = Site::start_with(stage, directory(), control_plane::Options::for_tests()?).await?;
        site.api.import(DIRECTORY).await?;
        for number in (0..13).filter(|number| number % 97 != 13) {
            site.slapd.rename(&Person::nth(number).dn(SUFFIX), &format!("uid=renamed{number}"), None).await?;
        }
        site.slapd.replace(&person_dn("anna"), "mail", &["anna@example.org"]).await?;
        site.slapd.delete(&person_dn("bert")).await?;
        let (previewed, rows) = preview(&site.api).await?;
        let before = known(&site.api, "users").await?;
        let held = site.api.try_import(DIRECTORY).await?.expect("held")?;
        ensure!(previewed.result["hold"]["reason"] == held.hold["reason"], "{previewed:#?} but {:#}", held.hold);
        let meanwhile = known(&site.api, "users").await?;
        let waits = |row: &&Value| row["waits"] == true;
        ensure!(previewed.result["waiting"] == rows.iter().filter(waits).count(), "{previewed:#?}");
        // What does not wait is there already; the rest is not.
        let at_once: Vec<Value> = rows.iter().filter(|row| row["waits"] == false).cloned().collect();
        compare_users(&at_once, &before, &meanwhile)?;
        ensure!(names(&at_once, "user", "changed") == BTreeSet::from(["anna".to_owned()]), "{at_once:#?}");
        site.api.decide(&held.id, "approve").await?;
        site.api.finished(&held.id, wait::SOON).await?.expect("succeeded")?;
        compare_users(&rows, &before, &known(&site.api, "users").await?)
    })
}
