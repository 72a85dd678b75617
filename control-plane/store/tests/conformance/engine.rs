//! The engines themselves: opened twice at once, restarted in use, and how `PostgreSQL` runs statements. `src/plans.rs`
//! tests the plans of `SQLite`.

use std::collections::HashSet;

use crate::support::postgres::Server;
use crate::support::world::{World, at, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{DatabaseUrl, Error, IdentityFilter, IdentityId, PageRequest, Store, Wake};
use serde_json::json;

conformance! {
    what_another_process_wrote_is_seen,
}

/// Eight processes start at once on a database without a schema.
async fn open_at_once(url: DatabaseUrl) {
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        opening.spawn(async move { Store::open(&url).await });
    }
    let mut stores = Vec::new();
    while let Some(opened) = opening.join_next().await {
        stores.push(opened.unwrap().expect("every one of them opens it"));
    }
    for (number, store) in stores.iter().enumerate() {
        store.ping().await.unwrap();
        World::new(store, &format!("organization {number}")).await;
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_is_migrated_once_however_many_open_it() {
    let folder = tempfile::tempdir().unwrap();
    open_at_once(DatabaseUrl::sqlite(&folder.path().join("postern.db"))).await;
}

async fn what_another_process_wrote_is_seen(database: TestDatabase) {
    let other = database.again().await;
    let (one, two) = tokio::join!(World::new(&database.store, "one"), World::new(&other, "two"));
    let job = two.create("import").await;
    assert_eq!(database.store.get_job(two.org(), job.id).await.unwrap(), Some(job));
    assert_eq!(other.find_organization("one").await.unwrap(), Some(one.organization));
    other.close().await;
}

#[tokio::test]
async fn postgres_restarts() {
    let mut server = Server::start().await;
    open_at_once(server.fresh_database().await).await;
    wake_ups_cross_replicas(TestDatabase::open(server.fresh_database().await).await).await;
    a_restart_is_a_pause(&mut server).await;
}

async fn wake_ups_cross_replicas(database: TestDatabase) {
    let other = database.again().await;
    let mut wakes = other.listen().await.unwrap();
    let world = World::new(&database.store, "one").await;
    world.create("import").await;
    assert_eq!(wakes.recv().await.unwrap(), Wake::JobReady(world.directory.id));
    other.close().await;
    database.store.close().await;
}

async fn a_restart_is_a_pause(server: &mut Server) {
    let store = TestDatabase::open(server.fresh_database().await).await.store;
    let world = World::new(&store, "one").await;
    let mut wakes = store.listen().await.unwrap();
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.identities().insert_users(vec![world.person("anna").0]).await.unwrap();
    server
        .restart(async || {
            let failed = tx.commit().await.unwrap_err();
            assert!(matches!(failed, Error::Unavailable(_)), "{failed:?}");
            assert!(failed.is_retryable());
        })
        .await;
    store.ping().await.unwrap();
    assert_eq!(store.count_users(world.org()).await.unwrap(), 0);
    world.import(&[world.person("anna")], &[]).await;
    // The listener reports that it may have missed something, or breaks and is created again.
    if let Ok(wake) = wakes.recv().await {
        assert_eq!(wake, Wake::Resync);
    }
    let mut wakes = store.listen().await.unwrap();
    world.create("import").await;
    assert_eq!(wakes.recv().await.unwrap(), Wake::JobReady(world.directory.id));
    store.close().await;
}

const ALL: IdentityFilter = IdentityFilter { active: None, missing: None };
const PEOPLE: usize = 20_000;
/// One descent of the index and the table for eleven users, and room for reading the statistics.
const MOST_PAGES: u64 = 40;

/// `SQLite` is measured in `src/users/tests.rs`, in steps of its virtual machine.
#[tokio::test]
async fn on_postgres_a_page_of_a_search_reads_as_few_pages_at_the_end_as_at_the_beginning() {
    let server = Server::start().await;
    let database = TestDatabase::open(server.fresh_database().await).await;
    let world = World::new(&database.store, "one").await;
    let mut people: Vec<_> = (0..PEOPLE).map(|number| world.person(&format!("{number:06}"))).collect();
    for (user, _) in &mut people {
        // Half of them have a display name that no search finds, and are found by address.
        let first = if user.user_name.ends_with(['0', '2', '4', '6', '8']) { 'x' } else { 'a' };
        user.display_name = Some(format!("{first}{}", user.user_name));
        user.email = Some(format!("x{}@corp.example", user.user_name));
    }
    world.import(&people, &[]).await;
    server.analyze().await;
    // Names begin with 0; display names and addresses with x.
    for (way, prefix, ends) in
        [(0, "0", [None, Some("019980")]), (1, "x", [None, Some("x019980")]), (2, "x", [None, Some("x019980")])]
    {
        for after in ends {
            let read = database.store.pages_read_for_search(world.org(), prefix, ALL, after, 11).await.unwrap()[way];
            assert!((1..MOST_PAGES).contains(&read), "{prefix:?} after {after:?}, way {way}: {read} pages");
        }
    }
    // Few are inactive or missing, and they are far apart.
    server.run("UPDATE users SET active = FALSE, missing_since = 1 WHERE seq % 1000 IN (1, 2)").await;
    server.run("VACUUM ANALYZE").await;
    let inactive = IdentityFilter { active: Some(false), missing: None };
    let missing = IdentityFilter { active: None, missing: Some(true) };
    for filter in [inactive, missing] {
        for (way, prefix) in [(0, "0"), (1, "x"), (2, "x")] {
            let read = database.store.pages_read_for_search(world.org(), prefix, filter, None, 11).await.unwrap()[way];
            assert!((1..MOST_PAGES).contains(&read), "{filter:?} {prefix:?}, way {way}: {read} pages");
        }
    }
    database.store.close().await;
}

/// The plans of statements that read one of these tables as a whole, logged after the first `before` bytes.
fn whole_reads(server: &Server, before: usize, tables: &[&str]) -> Vec<String> {
    let log = server.log();
    let plans = log[before..].split("LOG:").filter(|entry| entry.contains("plan:"));
    let reads = |plan: &str| tables.iter().any(|table| plan.contains(&format!("Seq Scan on {table} ")));
    plans.filter(|plan| reads(plan)).map(str::to_owned).collect()
}

#[tokio::test]
async fn on_postgres_what_looks_for_open_jobs_never_reads_the_ended_ones() {
    let server = Server::start().await;
    let database = TestDatabase::open(server.explaining_database().await).await;
    let (store, error) = (&database.store, json!({}));
    let world = World::new(store, "one").await;
    let job = world.create("lookup_user").await;
    store.request_cancel(world.org(), job.id, at(1)).await.unwrap();
    server
        .run(
            "INSERT INTO jobs (id, organization_id, kind, directory_id, state, input, created_by, deadline, created_at, \
             updated_at, finished_at) SELECT gen_random_uuid(), organization_id, 'import', directory_id, 'succeeded', \
             input, created_by, deadline, created_at, updated_at, finished_at FROM jobs, generate_series(1, 20000)",
        )
        .await;
    server.analyze().await;
    world.create("import").await;
    let before = server.log().len();
    world.claim().await;
    store.claim_proven(world.replica, at(1), at(1), 10).await.unwrap();
    store.running_of_agent(world.agent.id).await.unwrap();
    store.canceled_running(world.replica).await.unwrap();
    store.mark_waiting(&[], "", at(1), at(1)).await.unwrap();
    store.count_open_jobs().await.unwrap();
    store.end_leases(at(1), at(1)).await.unwrap();
    store.end_abandoned(&error, at(2)).await.unwrap();
    store.expire_overdue(&error, &error, at(2)).await.unwrap();
    store.fail_disabled(&error, at(2)).await.unwrap();
    store.fail_resumed(world.replica, 3, &error, at(2)).await.unwrap();
    store.disabled_running(world.replica).await.unwrap();
    assert!(server.log()[before..].contains("jobs_open"), "plans are logged");
    assert_eq!(whole_reads(&server, before, &["jobs"]), [""; 0]);
    store.close().await;
}

/// Right after an import the database has no statistics, and assumes that all tables are small.
#[tokio::test]
async fn on_postgres_the_directories_of_groups_are_found_by_index_right_after_an_import() {
    let server = Server::start().await;
    let database = TestDatabase::open(server.explaining_database().await).await;
    server.run("ALTER TABLE accounts SET (autovacuum_enabled = off)").await;
    let world = World::new(&database.store, "one").await;
    let people: Vec<_> = (0..5_000).map(|number| world.person(&format!("{number:06}"))).collect();
    let teams: Vec<_> = (0..1_000).map(|number| world.team(&format!("team {number:06}"))).collect();
    world.import(&people, &teams).await;
    let ids: Vec<_> = teams.iter().map(|(group, _)| group.id).collect();
    let before = server.log().len();
    let found = database.store.directories_of_groups(world.org(), &ids).await.unwrap();
    assert!(found.len() == 1_000 && found.values().all(|names| names == &["corp"]), "{}", found.len());
    assert_eq!(whole_reads(&server, before, &["accounts"]), [""; 0]);
    assert!(server.log()[before..].contains("accounts_of_identity"), "plans are logged");
    database.store.close().await;
}

/// Right after an import, too, whatever is read of a user, or of a group's members.
#[tokio::test]
async fn on_postgres_users_and_members_are_found_by_index_right_after_an_import() {
    let server = Server::start().await;
    let database = TestDatabase::open(server.explaining_database().await).await;
    server.run("ALTER SYSTEM SET autovacuum = off").await;
    server.run("SELECT pg_reload_conf()").await;
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people: Vec<_> = (0..5_000).map(|number| world.person(&format!("{number:06}"))).collect();
    let teams: Vec<_> = (0..1_000).map(|number| world.team(&format!("team {number:06}"))).collect();
    world.import(&people, &teams).await;
    let [imported, nested, own, own_nested] = [0, 1, 2, 3].map(|team: usize| teams[team].0.id);
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    let everybody = (0..5_000).map(|number| dn_key(&format!("{number:06}"))).collect::<Vec<_>>();
    let with_nested = everybody.iter().cloned().chain([dn_key("team 000001")]).collect();
    tx.replace_members(vec![(imported, with_nested), (nested, everybody)]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    let everybody = || people.iter().map(|(user, _)| IdentityId::User(user.id));
    let mut members: Vec<_> = everybody().map(|user| (own, user)).collect();
    members.extend(everybody().map(|user| (own_nested, user)));
    members.extend([(own, IdentityId::Group(own_nested)), (imported, IdentityId::Group(own))]);
    tx.add_members(&members).await.unwrap();
    tx.commit().await.unwrap();

    let (before, page) = (server.log().len(), PageRequest::first(20));
    let user = people[7].0.id;
    for group in [imported, own] {
        assert_eq!(store.list_group_members(world.org(), group, &page).await.unwrap().items.len(), 20);
        assert_eq!(store.list_effective_members(world.org(), group, &page).await.unwrap().items.len(), 20);
        store.total_group_members(world.org(), group).await.unwrap();
    }
    assert_eq!(store.list_effective_groups(world.org(), user.as_uuid(), &page).await.unwrap().items.len(), 4);
    assert_eq!(store.groups_of(world.org(), user.as_uuid(), &page).await.unwrap().items.len(), 4);
    assert_eq!(store.accounts_of(world.org(), user.as_uuid()).await.unwrap().len(), 1);
    // What provisioning reads of many at once.
    let (some, target) = (&people[..16], world.directory.id.into());
    let users: Vec<_> = some.iter().map(|(user, _)| user.id).collect();
    let ids: Vec<_> = users.iter().map(|user| user.as_uuid()).collect();
    let identities: Vec<_> = users.iter().map(|user| IdentityId::User(*user)).collect();
    assert_eq!(store.accounts_in(world.org(), target, &identities).await.unwrap().len(), 16);
    assert_eq!(store.present_accounts_of(world.org(), &users).await.unwrap().len(), 16);
    assert_eq!(store.get_owned_users(world.org(), &users).await.unwrap().len(), 16);
    assert_eq!(store.members_of_any(world.org(), &ids, &[imported]).await.unwrap().len(), 16);
    let groups = [imported, nested, own];
    assert_eq!(store.get_groups(world.org(), &groups).await.unwrap().len(), 3);
    assert_eq!(store.groups_with_own_members(world.org(), &groups).await.unwrap(), HashSet::from([imported, own]));
    store.list_users_where(world.org(), Some("0000"), ALL, &page).await.unwrap();
    store.list_groups_where(world.org(), Some("team"), ALL, &page).await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    let mut changed = tx.owned_user(user).await.unwrap().unwrap();
    changed.row.display_name = Some("Changed".to_owned());
    tx.write_owned(changed.row, changed.own).await.unwrap();
    tx.remove_members(&members[..1]).await.unwrap();
    tx.commit().await.unwrap();
    let log = server.log();
    assert!(log[before..].contains("own_members_of_member"), "plans are logged");
    assert_eq!(whole_reads(&server, before, &["accounts", "own_members", "member_names", "group_members"]), [""; 0]);
    // Once, for the users of a whole page, is not much in a table of this size; for each of them it is.
    let again_and_again = |plan: &String| plan.contains("Nested Loop") || plan.contains("SubPlan");
    let whole = whole_reads(&server, before, &["users", "groups"]).into_iter().filter(again_and_again);
    assert_eq!(whole.collect::<Vec<_>>(), [""; 0]);
    database.store.close().await;
}
