//! The results of an import's second look are kept until the job has ended, and no longer.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{Digests, Finish, Lease, Sight};
use serde_json::json;

conformance! {
    what_a_second_look_said_is_kept_by_job_and_generation,
    accounts_are_sought_by_id_within_the_organization,
    the_source_of_the_last_import_is_the_job_owners_to_write,
}

async fn the_source_of_the_last_import_is_the_job_owners_to_write(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let source = async |world: &World| store.directory_source(world.org(), world.directory.id).await.unwrap();
    assert_eq!(source(&world).await, None);
    world.create("import").await;
    let job = world.claim().await.remove(0);
    let lease = Lease { job: job.id, attempt: 1, owner: world.replica };
    let other = World::new(store, "other").await;
    for (stranger, written) in
        [(Lease { owner: other.replica, ..lease }, false), (Lease { attempt: 2, ..lease }, false), (lease, true)]
    {
        let configuration = Digests { users: Some("u".to_owned()), groups: None };
        let source = json!({ "server": "a" });
        assert_eq!(store.set_directory_source(&stranger, &source, &configuration).await.unwrap(), written);
        let shown = store.get_directory(world.org(), world.directory.id).await.unwrap().unwrap();
        assert_eq!(shown.configuration == configuration, written);
    }
    assert_eq!(source(&world).await, Some(json!({ "server": "a" })));
    assert_eq!(source(&other).await, None);
    assert_eq!(store.directory_source(other.org(), world.directory.id).await.unwrap(), None);
}

async fn what_a_second_look_said_is_kept_by_job_and_generation(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    let people: Vec<_> = Sight::ALL.iter().map(|sight| world.person(sight.as_str())).collect();
    world.import(&people, &[]).await;
    world.create("import").await;
    let job = world.claim().await.remove(0);
    let seen: Vec<_> = people.iter().zip(Sight::ALL).map(|((_, account), sight)| (account.id, *sight)).collect();
    let mut tx = store.begin_intake(org, directory, at(1)).await.unwrap();
    tx.record_sights(job.id, 1, &seen).await.unwrap();
    // Repeated with another answer after a broken connection: the first one counts.
    tx.record_sights(job.id, 1, &[(seen[0].0, Sight::Unavailable)]).await.unwrap();
    tx.record_sights(job.id, 1, &[]).await.unwrap();
    tx.commit().await.unwrap();

    let mut kept = store.sights(org, job.id, 1).await.unwrap();
    let mut expected = seen.clone();
    kept.sort();
    expected.sort();
    assert_eq!(kept, expected);
    assert!(store.sights(org, job.id, 2).await.unwrap().is_empty(), "another generation");
    let other = World::new(store, "other").await;
    assert!(store.sights(other.org(), job.id, 1).await.unwrap().is_empty(), "another organization");

    let unsettled = store.unsettled(org, job.id, 1, 100).await.unwrap();
    let dns: Vec<&str> = unsettled.iter().map(|one| one.dn.as_str()).collect();
    let not_missing = Sight::ALL.iter().filter(|sight| !sight.is_missing()).count();
    assert_eq!(unsettled.len(), not_missing);
    assert!(dns.is_sorted() && unsettled.iter().all(|one| one.dn.contains(one.sight.as_str())), "{unsettled:?}");
    assert_eq!(store.unsettled(org, job.id, 1, 3).await.unwrap().len(), 3);

    assert_eq!(store.drop_staged_of_ended_jobs().await.unwrap(), 0);
    assert_eq!(store.sights(org, job.id, 1).await.unwrap().len(), seen.len(), "the job still runs");
    let lease = Lease { job: job.id, attempt: 1, owner: world.replica };
    assert!(store.finish(&lease, &Finish::Succeeded(json!({})), at(2)).await.unwrap());
    store.drop_staged_of_ended_jobs().await.unwrap();
    assert!(store.sights(org, job.id, 1).await.unwrap().is_empty());
}

async fn accounts_are_sought_by_id_within_the_organization(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (person, team) = (world.person("anna"), world.team("staff"));
    world.import(std::slice::from_ref(&person), std::slice::from_ref(&team)).await;
    let ids = [person.1.id, team.1.id];
    let mut sought = store.sought_accounts(world.org(), &ids).await.unwrap();
    sought.sort_by_key(|account| account.kind);
    let found: Vec<_> = sought.iter().map(|one| (one.id, one.kind, &one.external_key, one.dn.as_str())).collect();
    let expected = [&person.1, &team.1].map(|one| (one.id, one.kind, &one.external_key, one.dn.as_str()));
    assert_eq!(found, expected);
    let other = World::new(store, "other").await;
    assert!(store.sought_accounts(other.org(), &ids).await.unwrap().is_empty());
    assert!(store.sought_accounts(world.org(), &[]).await.unwrap().is_empty());
}
