//! Leases of jobs: which replica has them, and what becomes of the jobs of a replica that is gone.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{Finish, JobState, ReplicaId};
use serde_json::json;

conformance! {
    a_dead_replicas_job_is_taken_over,
    a_dead_replicas_job_that_nobody_takes_over_ends,
    leases_end_at_the_word_of_the_only_process,
    two_replicas_never_claim_the_same,
}

async fn a_dead_replicas_job_is_taken_over(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await;
    let dirs = [world.directory.id];
    world.claim().await;
    store.request_cancel(world.org(), job.id, at(5)).await.unwrap();
    assert_eq!(store.canceled_running(world.replica).await.unwrap(), [job.id]);
    let other = ReplicaId::new();
    assert_eq!(store.claim(other, &dirs, at(120), at(59), 10).await.unwrap(), []);
    assert_eq!(store.claim(other, &[], at(120), at(60), 10).await.unwrap(), []);
    let taken = store.claim(other, &dirs, at(120), at(60), 10).await.unwrap();
    assert_eq!((taken[0].id, taken[0].attempt, taken[0].cancel_requested), (job.id, 2, true));
    assert_eq!(taken[0].started_at, Some(at(0)));
}

async fn a_dead_replicas_job_that_nobody_takes_over_ends(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (canceled, overdue) = (world.create("test_connection").await, world.create("test_connection").await);
    assert_eq!(world.claim().await.len(), 2);
    store.request_cancel(world.org(), canceled.id, at(5)).await.unwrap();
    let error = json!({"code": "deadline"});
    assert_eq!(store.end_abandoned(&error, at(59)).await.unwrap(), [], "the lease holds");
    let ended = store.end_abandoned(&error, at(60)).await.unwrap();
    assert_eq!(ended.iter().map(|job| (job.id, job.state)).collect::<Vec<_>>(), [(canceled.id, JobState::Canceled)]);
    let ended = store.end_abandoned(&error, overdue.deadline).await.unwrap();
    assert_eq!((ended[0].id, ended[0].state, ended[0].error.as_ref()), (overdue.id, JobState::Failed, Some(&error)));
    assert_eq!(store.end_abandoned(&error, overdue.deadline).await.unwrap(), []);
}

async fn leases_end_at_the_word_of_the_only_process(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = ReplicaId::new();
    let (held, free) = (world.create("import").await, world.create("test_connection").await);
    for job in world.claim().await {
        if job.id == held.id {
            assert!(store.assign_agent(&job.lease().unwrap(), world.agent.id).await.unwrap());
        }
    }
    assert_eq!(store.claim(other, &[world.directory.id], at(90), at(10), 9).await.unwrap(), [], "leased until 60");
    assert_eq!(store.end_leases(at(11), at(10)).await.unwrap(), 2);
    let claim = async |now| store.claim(other, &[world.directory.id], at(90), at(now), 9).await.unwrap();
    assert_eq!(claim(10).await.iter().map(|job| job.id).collect::<Vec<_>>(), [free.id], "its agent may come back");
    // The agent's work goes on at its attempt; without the agent the next attempt begins.
    assert!(store.adopt(held.id, 1, world.agent.id, other, at(10)).await.unwrap().is_some());
    let again = claim(11).await;
    assert_eq!((again[0].id, again[0].attempt), (held.id, 2));
    assert!(store.mark_proven(&again[0].lease().unwrap(), at(12)).await.unwrap());
    assert_eq!(store.end_leases(at(14), at(13)).await.unwrap(), 2);
    let proven = store.claim_proven(ReplicaId::new(), at(99), at(13), 9).await.unwrap();
    assert_eq!(proven.iter().map(|job| job.id).collect::<Vec<_>>(), [held.id], "needs no agent");
}

async fn two_replicas_never_claim_the_same(database: TestDatabase) {
    let (world, other) = (World::new(&database.store, "one").await, database.again().await);
    for _ in 0..10 {
        let jobs = ["import", "import", "lookup_user", "lookup_user"];
        for kind in jobs {
            world.create(kind).await;
        }
        let dirs = [world.directory.id];
        let (one, two) = (ReplicaId::new(), ReplicaId::new());
        let (first, second) = tokio::join!(
            database.store.claim(one, &dirs, at(60), at(0), 10),
            other.claim(two, &dirs, at(60), at(0), 10),
        );
        let mut claimed = first.unwrap();
        claimed.extend(second.unwrap());
        // A job that was skipped because the other replica held it comes with the next claim.
        claimed.extend(world.claim().await);
        let imports = claimed.iter().filter(|job| job.kind == "import").count();
        assert_eq!((claimed.len(), imports), (3, 1));
        assert!(claimed.iter().all(|job| job.attempt == 1));
        for job in &claimed {
            assert!(world.store.finish(&job.lease().unwrap(), &Finish::Canceled, at(1)).await.unwrap());
        }
        let rest = world.claim().await;
        assert_eq!(rest.len(), 1);
        assert!(world.store.finish(&rest[0].lease().unwrap(), &Finish::Canceled, at(1)).await.unwrap());
    }
    other.close().await;
}
