//! Proven imports, which need no agent any more: only a process that dies with one is counted.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{DirectoryChange, JobState, ReplicaId};
use serde_json::json;

conformance! {
    a_proven_import_that_nobody_survives_ends,
    a_proven_import_whose_processes_live_goes_on,
    a_job_that_must_end_writes_no_more,
}

async fn a_proven_import_that_nobody_survives_ends(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let error = json!({ "code": "crashed" });
    let job = world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    assert!(store.mark_proven(&lease, at(1)).await.unwrap());
    let mut now = 100;
    for taken_up in 0..3 {
        assert_eq!(
            store.fail_resumed(world.replica, 3, &error, at(now)).await.unwrap(),
            [],
            "taken up {taken_up} times"
        );
        let claimed = store.claim_proven(ReplicaId::new(), at(now + 30), at(now), 10).await.unwrap();
        assert_eq!(claimed.iter().map(|job| (job.id, job.attempt)).collect::<Vec<_>>(), [(job.id, 1)]);
        now += 30;
        assert_eq!(
            store.fail_resumed(world.replica, 3, &error, at(now - 1)).await.unwrap(),
            [],
            "somebody works on it"
        );
    }
    let ended = store.fail_resumed(world.replica, 3, &error, at(now)).await.unwrap().remove(0);
    assert_eq!((ended.id, ended.state, ended.error), (job.id, JobState::Failed, Some(error)));
    assert_eq!((ended.owner, ended.finished_at), (None, Some(at(now))));
    assert_eq!(store.claim_proven(world.replica, at(now + 60), at(now + 30), 10).await.unwrap(), []);
}

/// An approval, an orderly stop and an unreachable database do not count as deaths. A death still counts.
async fn a_proven_import_whose_processes_live_goes_on(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let error = json!({ "code": "crashed" });
    let job = world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    assert!(!store.let_go(&lease, None).await.unwrap(), "what is not proven is its agent's");
    assert!(store.mark_proven(&lease, at(1)).await.unwrap());
    let take_up = async |replica: ReplicaId, now: i64| {
        assert_eq!(store.fail_resumed(replica, 1, &error, at(now)).await.unwrap(), [], "at {now}");
        let claimed = store.claim_proven(replica, at(now + 30), at(now), 10).await.unwrap();
        assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id], "at {now}");
        claimed[0].lease().unwrap()
    };
    // Held and approved repeatedly.
    let mut lease = lease;
    for now in [100, 200, 300] {
        assert!(store.hold(&lease, &json!({}), at(now)).await.unwrap());
        store.approve_job(world.org(), job.id, "ada", at(now)).await.unwrap();
        lease = take_up(ReplicaId::new(), now).await;
    }
    // Stopped in good order: the next claim need not wait for the lease.
    for now in [310, 320, 329] {
        assert!(store.let_go(&lease, Some(at(now))).await.unwrap());
        let running = store.get_job(world.org(), job.id).await.unwrap().unwrap();
        assert_eq!((running.state, running.owner), (JobState::Running, None));
        assert!(!store.let_go(&lease, Some(at(9_999))).await.unwrap(), "it is nobody's");
        lease = take_up(ReplicaId::new(), now).await;
    }
    // Given up without a time: the lease must end first.
    assert!(store.let_go(&lease, None).await.unwrap());
    assert_eq!(store.claim_proven(ReplicaId::new(), at(999), at(358), 10).await.unwrap(), []);
    lease = take_up(ReplicaId::new(), 359).await;
    // The same process, after the database did not answer.
    for now in [400, 500, 600] {
        lease = take_up(lease.owner, now).await;
    }
    // A process that died.
    take_up(ReplicaId::new(), 700).await;
    let ended = store.fail_resumed(world.replica, 1, &error, at(800)).await.unwrap();
    assert_eq!(ended.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
}

/// A proven import is carried out to its end, unless its directory is deleted.
async fn a_job_that_must_end_writes_no_more(database: TestDatabase) {
    let store = &database.store;
    for (end, proven) in
        ["canceled", "disabled", "deleted", "revoked"].into_iter().flat_map(|end| [(end, false), (end, true)])
    {
        let world = World::new(store, &format!("{end} {proven}")).await;
        let job = world.create("import").await;
        let lease = world.claim().await[0].lease().unwrap();
        assert!(store.assign_agent(&lease, world.agent.id).await.unwrap());
        assert!(!proven || store.mark_proven(&lease, at(1)).await.unwrap());
        let writes = async || {
            let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
            let writes = tx.check_owner(&lease).await.unwrap();
            tx.rollback().await.unwrap();
            writes
        };
        assert!(writes().await, "{end} {proven}");
        match end {
            "canceled" => store.request_cancel(world.org(), job.id, at(3)).await.map(|_| ()).unwrap(),
            "disabled" => {
                let change = DirectoryChange { disabled: Some(true), ..DirectoryChange::default() };
                store.update_directory(world.org(), world.directory.id, change).await.map(|_| ()).unwrap();
            }
            "deleted" => store.delete_directory(world.org(), world.directory.id, at(3)).await.unwrap(),
            _ => store.revoke_agent(world.org(), world.agent.id, at(3)).await.map(|_| ()).unwrap(),
        }
        let goes_on = proven && end != "deleted";
        assert_eq!(writes().await, goes_on, "{end} {proven}");
        assert_eq!(store.mark_proven(&lease, at(4)).await.unwrap(), goes_on, "{end} {proven}");
    }
}
