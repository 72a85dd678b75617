//! Lists and names for administrators: the number of items in a list, which thing a name means, and that the last owner
//! token stays.

use crate::support::world::{World, at, enroll, external_id, hash};
use crate::support::{TestDatabase, conformance};
use jiff::Timestamp;
use postern_store::{
    AccountKind, ApiToken, ApiTokenId, Error, IdentityFilter, JobFilter, JobState, NewApiToken, PageRequest, Role,
    Thing, Total, Wake,
};
use uuid::Uuid;

conformance! {
    lists_are_counted_as_they_are_read,
    a_count_ends_where_nobody_reads_on,
    things_are_found_by_name_and_by_the_beginning_of_an_id,
    the_last_owner_token_is_not_revoked,
    two_owners_cannot_revoke_each_other,
    an_owner_token_that_ends_soon_is_not_another_owner,
}

const ALL: IdentityFilter = IdentityFilter { active: None, missing: None };

fn exactly(count: usize) -> Total {
    Total { count: count as u64, more: false }
}

async fn lists_are_counted_as_they_are_read(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let mut people: Vec<_> = ["anna", "annabel", "bert", "xaver"].map(|name| world.person(name)).into();
    people[2].0.display_name = Some("Annas Bruder".to_owned());
    people[3].0.email = Some("anna.lyst@corp.example".to_owned());
    people[1].0.active = false;
    world.import(&people, &[world.team("staff"), world.team("stables"), world.team("ops")]).await;
    other.import(&[other.person("annette")], &[other.team("staff")]).await;
    for query in [None, Some("anna"), Some("anna@corp"), Some("display"), Some("zz")] {
        for active in [None, Some(true), Some(false)] {
            let filter = IdentityFilter { active, missing: None };
            let page = PageRequest::first(100);
            let listed = store.list_users_where(world.org(), query, filter, &page).await.unwrap().items.len();
            let total = store.total_users(world.org(), query, filter).await.unwrap();
            assert_eq!(total, exactly(listed), "{query:?} {active:?}");
        }
    }
    assert_eq!(store.total_users(world.org(), Some("anna"), ALL).await.unwrap(), exactly(4));
    for (query, count) in [(None, 3), (Some("sta"), 2), (Some("q"), 0)] {
        assert_eq!(store.total_groups(world.org(), query, ALL).await.unwrap(), exactly(count), "{query:?}");
    }
    let gone = IdentityFilter { active: None, missing: Some(true) };
    assert_eq!(store.total_groups(world.org(), None, gone).await.unwrap(), exactly(0));
    let lists = [(world.directory.id, AccountKind::User), (world.directory.id, AccountKind::Group)];
    for (missing, count) in [(None, 7), (Some(false), 7), (Some(true), 0)] {
        assert_eq!(store.total_accounts(world.org(), &lists, missing).await.unwrap(), exactly(count), "{missing:?}");
        assert_eq!(store.total_accounts(other.org(), &lists, missing).await.unwrap(), exactly(0), "another's");
    }
    world.create("import").await;
    world.create("lookup_user").await;
    let filter = JobFilter { kind: Some("import".to_owned()), state: Some(JobState::Queued), ..JobFilter::default() };
    assert_eq!(store.total_jobs(world.org(), &filter).await.unwrap(), exactly(1));
    assert_eq!(store.total_jobs(world.org(), &JobFilter::default()).await.unwrap(), exactly(2));
    assert_eq!(store.total_agents(world.org()).await.unwrap(), exactly(1));
    assert_eq!(store.total_directories(world.org()).await.unwrap(), exactly(1));
    assert_eq!(store.total_api_tokens(world.org()).await.unwrap(), exactly(0));
    assert_eq!(store.total_enrollment_tokens(world.org()).await.unwrap(), exactly(1));
    assert_eq!(store.total_conflicts(world.org(), &[world.directory.id]).await.unwrap(), exactly(0));
}

async fn a_count_ends_where_nobody_reads_on(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    for part in 0..11 {
        let name = |number: usize| format!("u{part:02}-{number:04}");
        let people: Vec<_> = (0..1_000).map(|number| world.person(&name(number))).collect();
        world.import(&people, &[]).await;
    }
    let more = |count| Total { count, more: true };
    assert_eq!(store.total_users(world.org(), None, ALL).await.unwrap(), more(10_000));
    assert_eq!(store.total_users(world.org(), Some("u"), ALL).await.unwrap(), more(10_000));
    assert_eq!(store.total_users(world.org(), Some("u03"), ALL).await.unwrap(), exactly(1_000));
    // Nobody is inactive, and an index shows it.
    let inactive = IdentityFilter { active: Some(false), missing: None };
    assert_eq!(store.total_users(world.org(), None, inactive).await.unwrap(), exactly(0));
    let users = [(world.directory.id, AccountKind::User)];
    assert_eq!(store.total_accounts(world.org(), &users, None).await.unwrap(), more(10_000));
    assert_eq!(store.total_accounts(world.org(), &users, Some(true)).await.unwrap(), exactly(0));
}

async fn things_are_found_by_name_and_by_the_beginning_of_an_id(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let mut people: Vec<_> = ["anna", "bert", "carl"].map(|name| world.person(name)).into();
    people[1].0.display_name = Some("ANNA".to_owned());
    people[1].0.email = Some("Albert@Corp.example".to_owned());
    people[2].0.display_name = Some("Carl C.".to_owned());
    world.import(&people, &[world.team("Staff"), world.team("staff")]).await;
    other.import(&[other.person("anna")], &[other.team("staff")]).await;
    let ids = async |thing: Thing, name: &str| -> Vec<Uuid> {
        let found = store.with_name(world.org(), thing, name).await.unwrap();
        found.into_iter().map(|named| named.id).collect()
    };
    let user = |number: usize| people[number].0.id.as_uuid();
    // A user name takes precedence over a display name.
    assert_eq!(ids(Thing::User, "Anna").await, [user(0)]);
    assert_eq!(ids(Thing::User, "carl c.").await, [user(2)]);
    assert_eq!(ids(Thing::User, "albert@corp.example").await, [user(1)]);
    assert_eq!(ids(Thing::User, "anna@corp.example").await, [user(0)]);
    assert!(ids(Thing::User, "ann").await.is_empty());
    assert_eq!(ids(Thing::Group, "STAFF").await.len(), 2);
    assert_eq!(ids(Thing::Directory, "corp").await, [world.directory.id.as_uuid()]);
    assert_eq!(ids(Thing::Agent, "one").await, [world.agent.id.as_uuid()]);
    assert!(ids(Thing::Agent, "two").await.is_empty(), "of another");
    let account = people[2].1.id.as_uuid();
    assert_eq!(ids(Thing::Account, &external_id("carl")).await, [account]);
    assert_eq!(store.with_name(other.org(), Thing::Account, &external_id("carl")).await.unwrap(), []);
    assert_eq!(store.names(world.org(), Thing::Directory).await.unwrap(), ["corp"]);

    let job = world.create("import").await.id.as_uuid();
    for (thing, id) in [
        (Thing::User, user(0)),
        (Thing::Account, account),
        (Thing::Agent, world.agent.id.as_uuid()),
        (Thing::Directory, world.directory.id.as_uuid()),
        (Thing::Job, job),
    ] {
        let found = store.with_ids(world.org(), thing, (id, id)).await.unwrap();
        assert_eq!(found.iter().map(|named| named.id).collect::<Vec<_>>(), [id], "{thing:?}");
        assert_eq!(store.with_ids(other.org(), thing, (id, id)).await.unwrap(), [], "{thing:?} of another");
        let all = store.with_ids(world.org(), thing, (Uuid::nil(), Uuid::max())).await.unwrap();
        assert!(all.iter().any(|named| named.id == id), "{thing:?}");
    }
    for number in 0..25 {
        enroll(store, world.org(), &format!("site {number}")).await;
    }
    let agents = store.with_ids(world.org(), Thing::Agent, (Uuid::nil(), Uuid::max())).await.unwrap();
    assert_eq!(agents.len(), 20, "no answer is long");
}

async fn token(world: &World, name: &str, role: Role, expires_at: Option<Timestamp>) -> ApiToken {
    let hash = hash(&format!("{} {name}", world.org()));
    let new = NewApiToken { name: name.to_owned(), hash, role, expires_at };
    world.store.create_api_token(world.org(), new, at(0)).await.unwrap()
}

async fn the_last_owner_token_is_not_revoked(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let first = token(&world, "first", Role::Owner, None).await;
    let expired = token(&world, "expired", Role::Owner, Some(at(10))).await;
    token(&world, "operator", Role::Operator, None).await;
    token(&other, "another's", Role::Owner, None).await;
    let mut wakes = store.listen().await.unwrap();
    let refused = store.revoke_api_token(world.org(), first.id, at(20)).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    assert_eq!(store.get_api_token(world.org(), first.id).await.unwrap().unwrap().revoked_at, None);
    store.revoke_api_token(world.org(), expired.id, at(20)).await.unwrap();
    assert_eq!(wakes.recv().await.unwrap(), Wake::TokenRevoked(expired.id), "of the refused one nobody hears");
    let second = token(&world, "second", Role::Owner, None).await;
    store.revoke_api_token(world.org(), first.id, at(30)).await.unwrap();
    // Repeating it changes nothing and is not refused.
    store.revoke_api_token(world.org(), first.id, at(31)).await.unwrap();
    assert!(store.revoke_api_token(world.org(), second.id, at(32)).await.is_err());
    let unknown = store.revoke_api_token(world.org(), ApiTokenId::new(), at(33)).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
}

async fn two_owners_cannot_revoke_each_other(database: TestDatabase) {
    let again = database.again().await;
    let world = World::new(&database.store, "one").await;
    let mut one = token(&world, "first", Role::Owner, None).await;
    for round in 0..10 {
        let two = token(&world, &format!("round {round}"), Role::Owner, None).await;
        let (first, second) = tokio::join!(
            database.store.revoke_api_token(world.org(), one.id, at(1)),
            again.revoke_api_token(world.org(), two.id, at(1))
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        one = if first.is_ok() { two } else { one };
    }
    again.close().await;
}

async fn an_owner_token_that_ends_soon_is_not_another_owner(database: TestDatabase) {
    const DAY: i64 = 24 * 60 * 60;
    let store = &database.store;
    let world = World::new(store, "one").await;
    let lasting = token(&world, "lasting", Role::Owner, None).await;
    let short = token(&world, "short", Role::Owner, Some(at(DAY - 1))).await;
    let refused = store.revoke_api_token(world.org(), lasting.id, at(0)).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
    assert_eq!(store.get_api_token(world.org(), lasting.id).await.unwrap().unwrap().revoked_at, None);
    // The short-lived token may be revoked while the lasting one exists.
    store.revoke_api_token(world.org(), short.id, at(0)).await.unwrap();
    // A token with a day left counts.
    let day = token(&world, "a day", Role::Owner, Some(at(DAY))).await;
    store.revoke_api_token(world.org(), lasting.id, at(0)).await.unwrap();
    // The last one stays, even if it expires soon or beside another that expires soon.
    token(&world, "short too", Role::Owner, Some(at(DAY - 1))).await;
    assert!(store.revoke_api_token(world.org(), day.id, at(1)).await.is_err());
    assert_eq!(store.get_api_token(world.org(), day.id).await.unwrap().unwrap().revoked_at, None);
}
