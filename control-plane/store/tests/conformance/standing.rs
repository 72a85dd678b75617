//! What stays with a directory after an import of it has ended.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{DirectoryChange, Finish, Job, JobState, Lease};
use serde_json::json;

conformance! {
    only_an_import_that_succeeds_is_the_last_import,
    what_an_import_found_is_the_job_owners_to_write,
    an_import_that_waited_for_an_agent_says_what_it_waits_for_now,
}

/// A job of this kind, claimed by this world's replica.
async fn claimed(world: &World, kind: &str) -> (Job, Lease) {
    world.create(kind).await;
    let job = world.claim().await.remove(0);
    let lease = Lease { job: job.id, attempt: job.attempt, owner: world.replica };
    (job, lease)
}

async fn only_an_import_that_succeeds_is_the_last_import(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let last = async |world: &World| {
        store.get_directory(world.org(), world.directory.id).await.unwrap().unwrap().last_import_at
    };
    assert_eq!(last(&world).await, None);
    let succeeded = || Finish::Succeeded(json!({}));
    let endings = [
        ("test_connection", succeeded(), None),
        ("import", Finish::Failed(json!({})), None),
        ("import", Finish::Canceled, None),
        ("import", succeeded(), Some(at(4))),
        ("lookup_user", succeeded(), Some(at(4))),
        ("import", Finish::Failed(json!({})), Some(at(4))),
    ];
    for (second, (kind, finish, expected)) in (1..).zip(endings) {
        let (_, lease) = claimed(&world, kind).await;
        let stranger = Lease { owner: other.replica, ..lease };
        assert!(!store.note_import(&stranger, None, at(second)).await.unwrap());
        assert!(!store.finish(&stranger, &succeeded(), at(second)).await.unwrap());
        if kind == "import" && finish == succeeded() {
            assert!(store.note_import(&lease, None, at(second)).await.unwrap());
        }
        assert!(store.finish(&lease, &finish, at(second)).await.unwrap());
        assert_eq!(last(&world).await, expected, "{kind} {finish:?}");
    }
    assert_eq!(last(&other).await, None);
    let all = async || -> Vec<_> {
        store.last_imports().await.unwrap().into_iter().map(|one| (one.organization, one.directory, one.at)).collect()
    };
    let of = |organization: &str, at| (organization.to_owned(), "corp".to_owned(), at);
    assert_eq!(all().await, [of("one", Some(at(4))), of("other", None)]);
    let disabled = DirectoryChange { disabled: Some(true), ..DirectoryChange::default() };
    store.update_directory(world.org(), world.directory.id, disabled).await.unwrap();
    store.delete_directory(other.org(), other.directory.id, at(9)).await.unwrap();
    assert_eq!(all().await, []);
}

async fn what_an_import_found_is_the_job_owners_to_write(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let problem = async |world: &World| {
        store.get_directory(world.org(), world.directory.id).await.unwrap().unwrap().import_problem
    };
    let (_, lease) = claimed(&world, "import").await;
    assert!(!store.note_import(&Lease { owner: other.replica, ..lease }, Some("x"), at(1)).await.unwrap());
    assert_eq!(problem(&world).await, None);
    assert!(store.note_import(&lease, Some("one entry has no id"), at(1)).await.unwrap());
    assert_eq!(problem(&world).await.as_deref(), Some("one entry has no id"));
    assert_eq!(problem(&other).await, None);
    assert!(store.note_import(&lease, None, at(1)).await.unwrap());
    assert_eq!(problem(&world).await, None);
}

async fn an_import_that_waited_for_an_agent_says_what_it_waits_for_now(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (first, second) = (world.create("import").await, world.create("import").await);
    let waiting = store.mark_waiting(&[], "no agent", at(9), at(9)).await.unwrap();
    assert!(waiting.len() == 2 && waiting.iter().all(|job| job.waits_for.is_none()), "{waiting:?}");
    // The agent connects: the first import runs, and the second waits for it, not for an agent.
    assert_eq!(world.claim().await[0].id, first.id);
    let waiting = store.get_job(world.org(), second.id).await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.waits_for), (JobState::Waiting, Some((first.id, JobState::Running))));
}
