//! Jobs from creation to end, with any replica and any interruption.

use crate::support::world::{World, at, enroll};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AnnouncedDirectory, Error, Finish, Flavour, Job, JobEvent, JobFilter, JobState, Lease, PageRequest, Release,
    ReplicaId, Wake,
};
use serde_json::json;

conformance! {
    every_event_does_what_the_table_says_in_every_state,
    a_disabled_directory_takes_no_jobs,
    a_disabled_directory_ends_what_is_not_proven,
    jobs_are_listed_newest_first,
    a_lost_lease_fences_its_owner_out,
    only_one_import_of_a_directory_is_under_way,
    a_held_import_goes_on_without_an_agent_once_approved,
    a_rejection_keeps_its_reason,
    an_approval_is_about_what_was_read_and_only_for_some_hours,
    an_agent_that_reconnects_elsewhere_keeps_its_job,
    jobs_wait_for_agents_and_expire,
    released_jobs_pause_and_count_failures,
    wake_ups_arrive,
}

/// Brings a fresh job into a state.
async fn bring(world: &World, state: JobState) -> (Job, Lease) {
    let store = &world.store;
    let job = world.create("test_connection").await;
    let no_lease = Lease { job: job.id, attempt: 1, owner: world.replica };
    match state {
        JobState::Queued => return (job, no_lease),
        JobState::Waiting => {
            let marked = store.mark_waiting(&[], "no agent", at(1), at(1)).await.unwrap();
            return (marked.into_iter().next().unwrap(), no_lease);
        }
        _ => {}
    }
    let claimed = world.claim().await.remove(0);
    let lease = claimed.lease().unwrap();
    match state {
        JobState::Held => assert!(store.hold(&lease, &json!({}), at(1)).await.unwrap()),
        JobState::Succeeded => assert!(store.finish(&lease, &Finish::Succeeded(json!({})), at(1)).await.unwrap()),
        JobState::Failed => assert!(store.finish(&lease, &Finish::Failed(json!({})), at(1)).await.unwrap()),
        JobState::Canceled => assert!(store.finish(&lease, &Finish::Canceled, at(1)).await.unwrap()),
        _ => {}
    }
    let job = store.get_job(world.org(), job.id).await.unwrap().unwrap();
    (job, lease)
}

/// Applies an event; returns whether it took effect.
async fn happen(world: &World, job: &Job, lease: &Lease, event: JobEvent) -> bool {
    let (store, org) = (&world.store, world.org());
    let decided = |outcome: Result<Job, Error>| match outcome {
        Ok(_) => true,
        Err(Error::Conflict { .. }) => false,
        Err(error) => panic!("{error:?}"),
    };
    match event {
        // After the lease of its owner.
        JobEvent::Claim => {
            !store.claim(ReplicaId::new(), &[world.directory.id], at(200), at(100), 9).await.unwrap().is_empty()
        }
        JobEvent::MarkWaiting => !store.mark_waiting(&[], "no agent", at(2), at(2)).await.unwrap().is_empty(),
        JobEvent::Release => store.release(lease, Release::default(), at(2)).await.unwrap(),
        JobEvent::Hold => store.hold(lease, &json!({"missing": 11}), at(2)).await.unwrap(),
        JobEvent::Approve => decided(store.approve_job(org, job.id, "ada", at(2)).await),
        JobEvent::Reject => decided(store.reject_job(org, job.id, "ada", Some("left on purpose"), at(2)).await),
        JobEvent::RequestCancel => decided(store.request_cancel(org, job.id, at(2)).await),
        JobEvent::Expire => !store
            .expire_overdue(&json!({"code": "deadline"}), &json!({"code": "behind"}), at(4_000))
            .await
            .unwrap()
            .is_empty(),
        JobEvent::Succeed => store.finish(lease, &Finish::Succeeded(json!({"users": 1})), at(2)).await.unwrap(),
        JobEvent::Fail => store.finish(lease, &Finish::Failed(json!({"code": "x"})), at(2)).await.unwrap(),
        JobEvent::Cancel => store.finish(lease, &Finish::Canceled, at(2)).await.unwrap(),
    }
}

async fn every_event_does_what_the_table_says_in_every_state(database: TestDatabase) {
    for state in JobState::ALL {
        for event in JobEvent::ALL {
            let world = World::new(&database.store, &format!("{state} {event}")).await;
            let (job, lease) = bring(&world, *state).await;
            assert_eq!(job.state, *state);
            let wanted = state.after(*event);
            assert_eq!(happen(&world, &job, &lease, *event).await, wanted.is_some(), "{event} of a {state} job");
            let job = database.store.get_job(world.org(), job.id).await.unwrap().unwrap();
            assert_eq!(job.state, wanted.unwrap_or(*state), "{event} of a {state} job");
            assert_eq!(job.finished_at.is_some(), job.state.is_final(), "{event} of a {state} job");
            assert_eq!(job.owner.is_some(), job.state == JobState::Running, "{event} of a {state} job");
            if !job.state.is_final() {
                // Removed, so that the next claims do not take it.
                database.store.delete_directory(world.org(), world.directory.id, at(5)).await.unwrap();
            }
        }
    }
}

async fn a_disabled_directory_takes_no_jobs(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let change = postern_store::DirectoryChange { disabled: Some(true), ..Default::default() };
    database.store.update_directory(world.org(), world.directory.id, change).await.unwrap();
    let refused = database.store.create_job(world.job("import"), at(0)).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })));
}

async fn a_disabled_directory_ends_what_is_not_proven(database: TestDatabase) {
    let (store, error) = (&database.store, json!({"code": "disabled"}));
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (running, lease) = bring(&world, JobState::Running).await;
    let (queued, elsewhere) = (world.create("import").await, other.create("import").await);
    assert_eq!(store.disabled_running(lease.owner).await.unwrap(), []);
    assert_eq!(store.fail_disabled(&error, at(5)).await.unwrap(), []);
    let disable = async |disabled: bool| {
        let change = postern_store::DirectoryChange { disabled: Some(disabled), ..Default::default() };
        store.update_directory(world.org(), world.directory.id, change).await.unwrap();
    };
    disable(true).await;
    let ended = store.fail_disabled(&error, at(5)).await.unwrap();
    assert_eq!(ended.iter().map(|job| job.id).collect::<Vec<_>>(), [queued.id]);
    assert_eq!((ended[0].state, ended[0].finished_at), (JobState::Failed, Some(at(5))));
    assert_eq!(ended[0].error, Some(error));
    assert_eq!(store.get_job(other.org(), elsewhere.id).await.unwrap().unwrap().state, JobState::Queued);
    assert_eq!(store.disabled_running(lease.owner).await.unwrap(), [running.id]);
    assert_eq!(store.disabled_running(postern_store::ReplicaId::new()).await.unwrap(), []);
    assert!(!store.mark_proven(&lease, at(6)).await.unwrap(), "it is not proven while the directory is disabled");
    disable(false).await;
    assert!(store.mark_proven(&lease, at(6)).await.unwrap());
    disable(true).await;
    assert_eq!(store.disabled_running(lease.owner).await.unwrap(), []);
}

async fn jobs_are_listed_newest_first(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let mut ids = Vec::new();
    for kind in ["import", "lookup_user", "import"] {
        ids.push(world.create(kind).await.id);
    }
    let any = JobFilter::default();
    let page = store.list_jobs(world.org(), &any, &PageRequest::first(2)).await.unwrap();
    assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
    let page = store.list_jobs(world.org(), &any, &PageRequest::after(page.next.unwrap(), 2)).await.unwrap();
    assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[0]]);
    assert_eq!(page.next, None);
    let filter = JobFilter {
        kind: Some("lookup_user".to_owned()),
        state: Some(JobState::Queued),
        directory: Some(world.directory.id),
    };
    let page = store.list_jobs(world.org(), &filter, &PageRequest::first(10)).await.unwrap();
    assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(page.items[0].directory_name, "corp");
    let bad = PageRequest::after("nonsense".to_owned(), 1);
    assert!(matches!(store.list_jobs(world.org(), &any, &bad).await, Err(Error::Conflict { .. })));
    assert_eq!(store.count_open_jobs().await.unwrap(), [(JobState::Queued, 3)]);
}

async fn a_lost_lease_fences_its_owner_out(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    assert!(store.set_progress(&lease, &json!({"entries_read": 5}), at(1)).await.unwrap());
    assert!(store.assign_agent(&lease, world.agent.id).await.unwrap());
    assert!(store.set_agent_result(&lease, &json!({"pages": 1})).await.unwrap());
    let other = ReplicaId::new();
    let stolen = store.claim(other, &[world.directory.id], at(200), at(61), 10).await.unwrap().remove(0);
    assert_eq!((stolen.attempt, stolen.owner), (2, Some(other)));
    assert!(stolen.agent.is_none() && stolen.agent_result.is_none() && stolen.progress.is_none());

    let wrong_attempt = Lease { owner: other, ..lease };
    for stale in [lease, wrong_attempt] {
        assert!(!store.set_progress(&stale, &json!({}), at(62)).await.unwrap());
        assert!(!store.assign_agent(&stale, world.agent.id).await.unwrap());
        assert!(!store.set_agent_result(&stale, &json!({})).await.unwrap());
        assert!(!store.mark_proven(&stale, at(62)).await.unwrap());
        assert!(!store.hold(&stale, &json!({}), at(62)).await.unwrap());
        assert!(!store.release(&stale, Release::default(), at(62)).await.unwrap());
        assert!(!store.finish(&stale, &Finish::Canceled, at(62)).await.unwrap());
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(62)).await.unwrap();
        assert!(!tx.check_owner(&stale).await.unwrap());
        tx.rollback().await.unwrap();
    }
    let good = stolen.lease().unwrap();
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(62)).await.unwrap();
    assert!(tx.check_owner(&good).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(store.renew_leases(&[lease, good], at(300)).await.unwrap(), []);
    assert_eq!(store.renew_leases(&[lease], at(300)).await.unwrap(), [job.id]);
    assert_eq!(store.get_job(world.org(), job.id).await.unwrap().unwrap().lease_until, Some(at(300)));
    assert!(store.finish(&good, &Finish::Succeeded(json!({"users": 3})), at(70)).await.unwrap());
    assert!(!store.finish(&good, &Finish::Canceled, at(71)).await.unwrap());
    let job = store.job_by_id(job.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.result), (JobState::Succeeded, Some(json!({"users": 3}))));
}

async fn only_one_import_of_a_directory_is_under_way(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (first, second) = (world.create("import").await, world.create("import").await);
    let question = world.create("test_connection").await;
    let claimed = world.claim().await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [first.id, question.id]);
    assert_eq!(world.claim().await, []);
    // The second waits for the first, not for an agent.
    assert_eq!(store.mark_waiting(&[], "no agent", at(9), at(9)).await.unwrap(), []);
    let lease = claimed[0].lease().unwrap();
    assert!(store.mark_proven(&lease, at(1)).await.unwrap());
    assert!(store.hold(&lease, &json!({"missing": 50}), at(1)).await.unwrap());
    assert_eq!(world.claim().await, [], "a held import is under way");
    store.approve_job(world.org(), first.id, "ada", at(2)).await.unwrap();
    assert_eq!(world.claim().await, [], "so is an approved one");
    let approved = store.claim_proven(world.replica, at(60), at(3), 10).await.unwrap().remove(0);
    assert!(store.finish(&approved.lease().unwrap(), &Finish::Succeeded(json!({})), at(4)).await.unwrap());
    assert_eq!(world.claim().await[0].id, second.id);
}

async fn a_held_import_goes_on_without_an_agent_once_approved(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    assert_eq!(store.claim_proven(world.replica, at(60), at(99), 10).await.unwrap(), []);
    store.mark_proven(&lease, at(1)).await.unwrap();
    // Its replica dies: any other continues, without an agent, with the same generation.
    assert_eq!(store.claim(world.replica, &[world.directory.id], at(200), at(60), 10).await.unwrap(), []);
    let taken = store.claim_proven(ReplicaId::new(), at(120), at(60), 10).await.unwrap().remove(0);
    assert_eq!((taken.id, taken.attempt, taken.approvals.changes), (job.id, 1, false));
    assert!(store.hold(&taken.lease().unwrap(), &json!({"missing": 50, "known": 100}), at(61)).await.unwrap());
    assert_eq!(store.claim_proven(world.replica, at(200), at(199), 10).await.unwrap(), []);
    let approved = store.approve_job(world.org(), job.id, "ada", at(62)).await.unwrap();
    assert_eq!(
        (approved.state, approved.approvals.changes, approved.decided_by.as_deref()),
        (JobState::Queued, true, Some("ada"))
    );
    // Neither the waiting state nor the deadline stops a job that needs no agent.
    assert_eq!(store.mark_waiting(&[], "no agent", at(99), at(99)).await.unwrap(), []);
    assert_eq!(store.expire_overdue(&json!({}), &json!({}), at(9_999)).await.unwrap(), []);
    let last = store.claim_proven(world.replica, at(200), at(63), 10).await.unwrap().remove(0);
    assert_eq!((last.id, last.attempt, last.approvals.changes), (job.id, 1, true));
    assert_eq!(last.hold, Some(json!({"missing": 50, "known": 100})));
}

async fn a_rejection_keeps_its_reason(database: TestDatabase) {
    for reason in [None, Some("the filter is wrong")] {
        let (store, world) = (&database.store, World::new(&database.store, reason.unwrap_or("none")).await);
        let (job, _) = bring(&world, JobState::Held).await;
        store.reject_job(world.org(), job.id, "ada", reason, at(2)).await.unwrap();
        let kept = store.get_job(world.org(), job.id).await.unwrap().unwrap();
        assert_eq!((kept.decided_by.as_deref(), kept.decision_reason.as_deref()), (Some("ada"), reason));
        // A second decision does not change the first.
        store.reject_job(world.org(), job.id, "eve", Some("other"), at(3)).await.unwrap_err();
        let same = store.get_job(world.org(), job.id).await.unwrap().unwrap();
        assert_eq!((same.decided_by, same.decision_reason), (kept.decided_by, kept.decision_reason));
    }
}

async fn an_approval_is_about_what_was_read_and_only_for_some_hours(database: TestDatabase) {
    const HOUR: i64 = 3_600;
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await;
    let given = job.deadline.duration_since(job.created_at);
    // Held before reading: the approval does not cover what it will read.
    let lease = world.claim().await[0].lease().unwrap();
    assert!(store.hold(&lease, &json!({}), at(1)).await.unwrap());
    let accepted = store.approve_job(world.org(), job.id, "ada", at(9 * HOUR)).await.unwrap();
    assert_eq!((accepted.approvals.changes, accepted.approvals.server_behind, accepted.proven), (false, true, false));
    assert_eq!(accepted.deadline, at(9 * HOUR) + given, "as much time again as it had at first");
    // Held after it was proven, and approved soon.
    let lease = store.claim(world.replica, &[world.directory.id], at(10 * HOUR), at(9 * HOUR), 10).await.unwrap();
    let lease = lease[0].lease().unwrap();
    assert!(store.mark_proven(&lease, at(9 * HOUR)).await.unwrap());
    assert!(store.hold(&lease, &json!({}), at(9 * HOUR)).await.unwrap());
    let approved = store.approve_job(world.org(), job.id, "ada", at(13 * HOUR - 1)).await.unwrap();
    assert_eq!((approved.approvals.changes, approved.proven, approved.message), (true, true, None));
    // Held again, and approved when it was old: it is read again, and nothing is approved.
    let lease = store.claim_proven(world.replica, at(14 * HOUR), at(13 * HOUR), 10).await.unwrap()[0].lease().unwrap();
    assert!(store.hold(&lease, &json!({}), at(13 * HOUR)).await.unwrap());
    let old = store.approve_job(world.org(), job.id, "ada", at(17 * HOUR)).await.unwrap();
    assert_eq!((old.state, old.approvals.changes, old.proven), (JobState::Queued, false, false));
    assert!(old.message.is_some());
    assert_eq!(store.claim_proven(world.replica, at(18 * HOUR), at(17 * HOUR), 10).await.unwrap(), []);
    let again = store.claim(world.replica, &[world.directory.id], at(18 * HOUR), at(17 * HOUR), 10).await.unwrap();
    assert_eq!((again[0].id, again[0].attempt), (job.id, lease.attempt + 1));
}

async fn an_agent_that_reconnects_elsewhere_keeps_its_job(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    store.assign_agent(&lease, world.agent.id).await.unwrap();
    let running = store.running_of_agent(world.agent.id).await.unwrap();
    assert_eq!(running.iter().map(|job| job.id).collect::<Vec<_>>(), [job.id]);
    let other = ReplicaId::new();
    let stranger = enroll(store, world.org(), "stranger").await.id;
    assert_eq!(store.adopt(job.id, 1, stranger, other, at(90)).await.unwrap(), None);
    assert_eq!(store.adopt(job.id, 2, world.agent.id, other, at(90)).await.unwrap(), None);
    let adopted = store.adopt(job.id, 1, world.agent.id, other, at(90)).await.unwrap().unwrap();
    assert!(!store.mark_proven(&lease, at(2)).await.unwrap());
    assert!(store.mark_proven(&adopted, at(2)).await.unwrap());
    assert_eq!(store.running_of_agent(world.agent.id).await.unwrap(), []);
}

async fn jobs_wait_for_agents_and_expire(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let job = world.create("import").await;
    assert_eq!(store.mark_waiting(&[], "no agent", at(0), at(1)).await.unwrap(), [], "too young");
    assert_eq!(store.mark_waiting(&[world.directory.id], "no agent", at(9), at(9)).await.unwrap(), []);
    let waiting = store.mark_waiting(&[], "no agent serves corp", at(9), at(9)).await.unwrap();
    assert_eq!((waiting[0].id, waiting[0].state), (job.id, JobState::Waiting));
    assert_eq!(waiting[0].message.as_deref(), Some("no agent serves corp"));
    let claimed = world.claim().await;
    assert_eq!((claimed[0].id, claimed[0].message.as_deref()), (job.id, None));
    store.release(&claimed[0].lease().unwrap(), Release::default(), at(10)).await.unwrap();
    assert_eq!(
        store.expire_overdue(&json!({"code": "deadline"}), &json!({"code": "behind"}), at(3_599)).await.unwrap(),
        []
    );
    let expired =
        store.expire_overdue(&json!({"code": "deadline"}), &json!({"code": "behind"}), at(3_600)).await.unwrap();
    assert_eq!((expired[0].state, expired[0].error.clone()), (JobState::Failed, Some(json!({"code": "deadline"}))));

    let ahead = world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    assert_eq!(lease.job, ahead.id);
    assert!(store.mark_proven(&lease, at(1)).await.unwrap());
    assert!(store.hold(&lease, &json!({}), at(2)).await.unwrap());
    world.create("import").await;
    let (deadline, behind) = (json!({"code": "deadline"}), json!({"code": "behind"}));
    let expired = store.expire_overdue(&deadline, &behind, at(9_999)).await.unwrap();
    assert_eq!(expired[0].error, Some(behind), "the held import was in its way, not a missing agent");
}

async fn released_jobs_pause_and_count_failures(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    world.create("import").await;
    let lease = world.claim().await[0].lease().unwrap();
    let release =
        Release { not_before: Some(at(30)), message: Some("attempt 1 failed".to_owned()), count_failure: true };
    assert!(store.release(&lease, release, at(1)).await.unwrap());
    assert_eq!(world.claim().await, [], "it pauses");
    let again = store.claim(world.replica, &[world.directory.id], at(90), at(30), 10).await.unwrap();
    assert_eq!((again[0].attempt, again[0].failures, again[0].not_before), (2, 1, None));
    store.release(&again[0].lease().unwrap(), Release::default(), at(31)).await.unwrap();
    assert_eq!(world.claim().await[0].failures, 1);
}

async fn wake_ups_arrive(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let mut wakes = store.listen().await.unwrap();
    let job = world.create("import").await;
    assert_eq!(wakes.recv().await.unwrap(), Wake::JobReady(world.directory.id));
    let lease = world.claim().await[0].lease().unwrap();
    assert_eq!(wakes.recv().await.unwrap(), Wake::JobChanged(job.id));
    store.request_cancel(world.org(), job.id, at(1)).await.unwrap();
    assert_eq!(wakes.recv().await.unwrap(), Wake::CancelRequested(job.id));
    // A rolled back change wakes nobody.
    let served = [AnnouncedDirectory { name: "lab".to_owned(), flavour: Flavour::Generic }];
    store.announce_directories(world.org(), world.agent.id, &served, at(1)).await.unwrap();
    assert!(store.approve_job(world.org(), job.id, "ada", at(1)).await.is_err());
    assert!(store.finish(&lease, &Finish::Canceled, at(2)).await.unwrap());
    let mut last = [wakes.recv().await.unwrap(), wakes.recv().await.unwrap()];
    last.sort_by_key(|wake| matches!(wake, Wake::JobReady(_)));
    assert_eq!(last, [Wake::JobChanged(job.id), Wake::JobReady(world.directory.id)]);
}
