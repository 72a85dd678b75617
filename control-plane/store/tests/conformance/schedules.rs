//! Schedules: kept for each organization, run by one replica, moved on in the transaction that makes the job.

use std::task::Poll;

use crate::support::world::{World, all, at};
use crate::support::{TestDatabase, conformance};
use jiff::Timestamp;
use postern_store::{
    AuditFilter, DirectoryChange, Error, Finish, JobFilter, JobState, MissedRuns, NewSchedule, NextRun, RunOutcome,
    Schedule, ScheduleId, ScheduleSettings, ScheduledJob, ScheduledRun, Store, Thing,
};
use serde_json::json;

conformance! {
    a_schedule_is_created_read_changed_and_deleted,
    another_organization_neither_sees_nor_changes_it,
    a_name_is_taken_once_and_there_is_a_limit,
    a_run_makes_one_job_and_moves_the_schedule_on,
    of_two_replicas_one_runs_it,
    what_was_read_before_a_run_or_a_change_writes_nothing,
    a_run_that_is_cut_anywhere_is_whole_or_did_not_take_place,
    a_run_does_not_overlap_the_job_before,
    an_exclusive_kind_waits_for_a_job_that_somebody_else_started,
    a_directory_that_may_not_be_used_starts_nothing,
    paused_and_later_ones_are_not_due,
}

fn next(seconds: i64) -> NextRun {
    NextRun { time: at(seconds), run_at: at(seconds + 5) }
}

fn settings(world: &World, name: &str) -> ScheduleSettings {
    ScheduleSettings {
        name: name.to_owned(),
        directory: world.directory.id,
        kind: "import".to_owned(),
        input: json!({}),
        timing: json!({"repeat": "daily", "at": "02:30"}),
        time_zone: "Europe/Berlin".to_owned(),
        jitter_seconds: 60,
        missed_runs: MissedRuns::Skip,
        paused: false,
    }
}

async fn create(world: &World, name: &str) -> Schedule {
    let new = NewSchedule {
        id: ScheduleId::new(),
        settings: settings(world, name),
        next: next(100),
        created_by: "ada".to_owned(),
    };
    world.store.create_schedule(world.org(), new, 10, at(0)).await.unwrap()
}

fn job(retry_at: Option<Timestamp>) -> ScheduledJob {
    ScheduledJob { input: json!({}), exclusive: true, deadline: at(3_600), retry_at }
}

async fn jobs(world: &World) -> usize {
    world.store.list_jobs(world.org(), &JobFilter::default(), &all()).await.unwrap().items.len()
}

async fn again(world: &World, schedule: &Schedule) -> Schedule {
    world.store.get_schedule(world.org(), schedule.id).await.unwrap().unwrap()
}

/// Who did what, as the audit log says, the first one first.
async fn logged(world: &World) -> Vec<(String, String, Option<uuid::Uuid>)> {
    let log = world.store.list_audit(world.org(), &AuditFilter::default(), &all()).await.unwrap().items;
    log.into_iter().rev().map(|entry| (entry.note.actor, entry.note.action, entry.note.object_id)).collect()
}

async fn started(store: &Store, schedule: &Schedule, seconds: i64) -> postern_store::Job {
    match store.run_schedule(schedule, job(None), next(seconds + 100), at(seconds)).await.unwrap() {
        ScheduledRun::Started(job) => *job,
        other => panic!("{other:?}"),
    }
}

async fn a_schedule_is_created_read_changed_and_deleted(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let made = create(&world, "nightly").await;
    assert_eq!(made.settings, settings(&world, "nightly"));
    assert_eq!((made.next, made.created_at, made.created_by.as_str()), (next(100), at(0), "ada"));
    assert_eq!((made.last_run.clone(), made.directory_name.as_str()), (None, "corp"));
    assert_eq!(again(&world, &made).await, made);
    let listed = store.list_schedules(world.org(), &all()).await.unwrap().items;
    assert_eq!(listed, std::slice::from_ref(&made));
    assert_eq!(store.total_schedules(world.org()).await.unwrap().count, 1);
    let named = store.with_name(world.org(), Thing::Schedule, "nightly").await.unwrap();
    assert_eq!(named[0].id, made.id.as_uuid());
    let wanted = ScheduleSettings { paused: true, jitter_seconds: 0, ..settings(&world, "weekly") };
    let changed = store.change_schedule(&made, &wanted, next(200), "bob", at(9)).await.unwrap().unwrap();
    assert_eq!((changed.settings.clone(), changed.next), (wanted, next(200)));
    assert_eq!((changed.updated_at, changed.updated_by.as_str(), changed.created_by.as_str()), (at(9), "bob", "ada"));
    store.delete_schedule(world.org(), made.id).await.unwrap();
    assert!(store.get_schedule(world.org(), made.id).await.unwrap().is_none());
    let gone = store.delete_schedule(world.org(), made.id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

async fn another_organization_neither_sees_nor_changes_it(database: TestDatabase) {
    let store = &database.store;
    let (one, two) = (World::new(store, "one").await, World::new(store, "two").await);
    let made = create(&one, "nightly").await;
    assert!(store.get_schedule(two.org(), made.id).await.unwrap().is_none());
    assert!(store.list_schedules(two.org(), &all()).await.unwrap().items.is_empty());
    assert_eq!(store.total_schedules(two.org()).await.unwrap().count, 0);
    assert!(store.with_name(two.org(), Thing::Schedule, "nightly").await.unwrap().is_empty());
    assert!(matches!(store.delete_schedule(two.org(), made.id).await, Err(Error::NotFound { .. })));
    let foreign = Schedule { organization: two.org(), ..made.clone() };
    let changed = store.change_schedule(&foreign, &settings(&two, "mine"), next(1), "eve", at(1)).await.unwrap();
    assert!(changed.is_none());
    let run = store.run_schedule(&foreign, job(None), next(1), at(1)).await.unwrap();
    assert_eq!(run, ScheduledRun::Taken);
    let skipped = store.skip_run(&foreign, RunOutcome::Missed, None, next(1), at(1)).await.unwrap();
    assert!(!skipped);
    assert_eq!(again(&one, &made).await, made);
    assert_eq!(jobs(&two).await, 0);
    // Nor does it use a directory of another organization.
    let elsewhere = ScheduleSettings { directory: two.directory.id, ..settings(&one, "elsewhere") };
    let refused = store.change_schedule(&made, &elsewhere, next(1), "ada", at(1)).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    let new = NewSchedule { id: ScheduleId::new(), settings: elsewhere, next: next(1), created_by: "ada".to_owned() };
    let refused = store.create_schedule(one.org(), new, 10, at(1)).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    assert_eq!(again(&one, &made).await, made);
}

async fn a_name_is_taken_once_and_there_is_a_limit(database: TestDatabase) {
    let store = &database.store;
    let (one, two) = (World::new(store, "one").await, World::new(store, "two").await);
    let first = create(&one, "nightly").await;
    create(&two, "nightly").await;
    let second = create(&one, "weekly").await;
    let new = |name: &str| NewSchedule {
        id: ScheduleId::new(),
        settings: settings(&one, name),
        next: next(100),
        created_by: "ada".to_owned(),
    };
    let refused = store.create_schedule(one.org(), new("nightly"), 10, at(1)).await.unwrap_err();
    assert!(refused.to_string().contains("\"nightly\" exists already"), "{refused}");
    let refused = store.change_schedule(&second, &settings(&one, "nightly"), next(1), "ada", at(1)).await.unwrap_err();
    assert!(refused.to_string().contains("\"nightly\" exists already"), "{refused}");
    let refused = store.create_schedule(one.org(), new("hourly"), 2, at(1)).await.unwrap_err();
    assert!(refused.to_string().contains("at most 2 schedules"), "{refused}");
    let listed = store.list_schedules(one.org(), &all()).await.unwrap().items;
    assert_eq!(listed, [first, second]);
}

async fn a_run_makes_one_job_and_moves_the_schedule_on(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let made = create(&world, "nightly").await;
    let job = started(store, &made, 105).await;
    assert_eq!((job.kind.as_str(), job.created_by.as_str()), ("import", "schedule nightly"));
    assert_eq!((job.state, job.created_at, job.directory), (JobState::Queued, at(105), world.directory.id));
    let entry = (made.id.to_string(), "job.created".to_owned(), Some(job.id.as_uuid()));
    assert_eq!(logged(&world).await, [entry]);
    let after = again(&world, &made).await;
    let last = after.last_run.clone().unwrap();
    assert_eq!((last.at, last.outcome, last.job), (at(105), RunOutcome::Started, Some(job.id)));
    assert_eq!(last.job_state, Some(JobState::Queued));
    assert_eq!((after.next, after.started_job), (next(205), Some(job.id)));
    assert_eq!((after.updated_at, after.updated_by.as_str()), (at(0), "ada"), "a run is no change");
    // A job that was deleted since leaves no trace but its id.
    let claimed = world.claim().await.remove(0);
    store.finish(&claimed.lease().unwrap(), &Finish::Succeeded(json!({})), at(106)).await.unwrap();
    assert_eq!(store.forget_jobs(at(3_600 * 24 * 365)).await.unwrap(), 1);
    let last = again(&world, &made).await.last_run.unwrap();
    assert_eq!((last.job, last.job_state), (Some(job.id), None));
}

async fn of_two_replicas_one_runs_it(database: TestDatabase) {
    let (store, other) = (&database.store, database.again().await);
    let world = World::new(store, "one").await;
    let mut schedule = create(&world, "nightly").await;
    for round in 1..=10 {
        let seconds = round * 100 + 5;
        let (mine, theirs) = (again(&world, &schedule).await, again(&world, &schedule).await);
        let (one, two) = tokio::join!(
            store.run_schedule(&mine, job(None), next(seconds + 95), at(seconds)),
            other.run_schedule(&theirs, job(None), next(seconds + 95), at(seconds)),
        );
        let runs = [one.unwrap(), two.unwrap()];
        let begun = runs.iter().filter(|run| matches!(run, ScheduledRun::Started(_))).count();
        let taken = runs.iter().filter(|run| matches!(run, ScheduledRun::Taken)).count();
        assert_eq!((begun, taken), (1, 1), "{runs:?}");
        assert_eq!(jobs(&world).await, usize::try_from(round).unwrap());
        schedule = again(&world, &schedule).await;
        let job = schedule.started_job.unwrap();
        store.request_cancel(world.org(), job, at(seconds)).await.unwrap();
    }
    other.close().await;
}

async fn what_was_read_before_a_run_or_a_change_writes_nothing(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let old = create(&world, "nightly").await;
    started(store, &old, 105).await;
    let after = again(&world, &old).await;
    let changed = store.change_schedule(&old, &settings(&world, "other"), next(100), "bob", at(106)).await.unwrap();
    assert!(changed.is_none(), "it would run a second time");
    assert!(!store.skip_run(&old, RunOutcome::Missed, None, next(300), at(106)).await.unwrap());
    assert_eq!(again(&world, &old).await, after);
    let wanted = ScheduleSettings { paused: true, ..settings(&world, "nightly") };
    store.change_schedule(&after, &wanted, next(205), "bob", at(107)).await.unwrap().unwrap();
    for known in [&after, &again(&world, &old).await] {
        let run = store.run_schedule(known, job(None), next(300), at(210)).await.unwrap();
        assert_eq!(run, ScheduledRun::Taken, "it is paused");
    }
    store.delete_schedule(world.org(), old.id).await.unwrap();
    assert_eq!(store.run_schedule(&after, job(None), next(300), at(210)).await.unwrap(), ScheduledRun::Taken);
    assert_eq!(jobs(&world).await, 1);
}

/// Drives a future so many steps, and drops it then. True: it has ended before.
async fn cut_after<T>(steps: usize, future: impl Future<Output = T>) -> bool {
    let (mut future, mut taken) = (std::pin::pin!(future), 0);
    std::future::poll_fn(|context| {
        if taken == steps {
            return Poll::Ready(false);
        }
        taken += 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// The jobs of a schedule and the schedule, read at a time at which nothing changes.
async fn standing(world: &World, schedule: &Schedule) -> (usize, Schedule) {
    loop {
        let (before, read) = (jobs(world).await, again(world, schedule).await);
        if jobs(world).await == before && again(world, schedule).await == read {
            return (before, read);
        }
    }
}

async fn a_run_that_is_cut_anywhere_is_whole_or_did_not_take_place(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let mut known = create(&world, "nightly").await;
    let (mut made, mut whole, mut cut) = (0, 0, 0);
    // How many steps a run takes depends on what else the machine does: each is cut again and again.
    for round in 0..400 {
        let ended = cut_after(round % 20, store.run_schedule(&known, job(None), next(200), at(105))).await;
        // The connection of a cut transaction is gone before the next write gets through.
        let probe = ScheduleSettings { jitter_seconds: u32::try_from(round).unwrap(), ..known.settings.clone() };
        let changed = store.change_schedule(&known, &probe, known.next, "ada", at(106)).await.unwrap();
        let (jobs, now) = standing(&world, &known).await;
        if jobs > made {
            assert_eq!((jobs, changed), (made + 1, None), "a run and a change of one revision");
            assert_eq!((now.next, now.revision), (next(200), known.revision + 1));
            let job = now.started_job.unwrap();
            assert_ne!(Some(job), known.started_job);
            (made, whole) = (jobs, whole + 1);
            store.request_cancel(world.org(), job, at(107)).await.unwrap();
        } else {
            assert!(!ended, "it said that it had run");
            assert_eq!((now.started_job, now.next), (known.started_job, known.next));
            assert_eq!(now.last_run.map(|run| run.at), known.last_run.as_ref().map(|run| run.at));
            cut += 1;
        }
        known = again(&world, &known).await;
        if whole > 3 && cut > 3 {
            break;
        }
    }
    assert!(whole > 3 && cut > 3, "{whole} whole, {cut} cut");
    assert_eq!(logged(&world).await.len(), made);
    assert_eq!(store.verify_audit(world.org(), None).await.unwrap().fault, None);
}

async fn a_run_does_not_overlap_the_job_before(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let made = create(&world, "nightly").await;
    let not_exclusive = |retry_at| ScheduledJob { exclusive: false, ..job(retry_at) };
    let before = started(store, &made, 105).await;
    let known = again(&world, &made).await;
    let skipped = store.run_schedule(&known, not_exclusive(None), next(300), at(205)).await.unwrap();
    assert_eq!(skipped, ScheduledRun::NotStarted(RunOutcome::UnderWay));
    let known = again(&world, &made).await;
    assert_eq!(known.next, next(300));
    let last = known.last_run.clone().unwrap();
    assert_eq!(
        (last.outcome, last.job, last.job_state),
        (RunOutcome::UnderWay, Some(before.id), Some(JobState::Queued))
    );
    assert_eq!(known.started_job, Some(before.id));
    assert_eq!(logged(&world).await.len(), 1, "a run that starts nothing changes nothing");
    // Or it waits: the time of the run stays, and it is looked at again.
    let waits = store.run_schedule(&known, not_exclusive(Some(at(365))), next(400), at(305)).await.unwrap();
    assert_eq!(waits, ScheduledRun::NotStarted(RunOutcome::Waiting));
    let known = again(&world, &made).await;
    assert_eq!(known.next, NextRun { time: at(300), run_at: at(365) });
    store.request_cancel(world.org(), before.id, at(350)).await.unwrap();
    let run = store.run_schedule(&known, not_exclusive(Some(at(425))), next(400), at(365)).await.unwrap();
    assert!(matches!(run, ScheduledRun::Started(_)), "{run:?}");
    assert_eq!(jobs(&world).await, 2);
}

async fn an_exclusive_kind_waits_for_a_job_that_somebody_else_started(database: TestDatabase) {
    let store = &database.store;
    let (one, two) = (World::new(store, "one").await, World::new(store, "two").await);
    let made = create(&one, "nightly").await;
    // None of these is in the way: another organization's, another kind.
    two.create("import").await;
    one.create("lookup_user").await;
    let by_hand = one.create("import").await;
    let run = store.run_schedule(&made, job(None), next(200), at(105)).await.unwrap();
    assert_eq!(run, ScheduledRun::NotStarted(RunOutcome::UnderWay));
    assert_eq!(again(&one, &made).await.last_run.unwrap().job, Some(by_hand.id));
    store.request_cancel(one.org(), by_hand.id, at(110)).await.unwrap();
    started(store, &again(&one, &made).await, 205).await;
}

async fn a_directory_that_may_not_be_used_starts_nothing(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let made = create(&world, "nightly").await;
    let disable = |disabled| DirectoryChange { disabled: Some(disabled), ..DirectoryChange::default() };
    store.update_directory(world.org(), world.directory.id, disable(true)).await.unwrap();
    let run = store.run_schedule(&made, job(Some(at(165))), next(200), at(105)).await.unwrap();
    assert_eq!(run, ScheduledRun::NotStarted(RunOutcome::DirectoryDisabled));
    let known = again(&world, &made).await;
    assert_eq!((known.next, known.last_run.clone().unwrap().outcome), (next(200), RunOutcome::DirectoryDisabled));
    store.update_directory(world.org(), world.directory.id, disable(false)).await.unwrap();
    store.delete_directory(world.org(), world.directory.id, at(150)).await.unwrap();
    let run = store.run_schedule(&known, job(None), next(300), at(205)).await.unwrap();
    assert_eq!(run, ScheduledRun::NotStarted(RunOutcome::DirectoryDeleted));
    let known = again(&world, &made).await;
    assert_eq!(known.next, next(300));
    assert!(store.skip_run(&known, RunOutcome::Refused, Some("why"), next(400), at(305)).await.unwrap());
    let last = again(&world, &made).await.last_run.unwrap();
    assert_eq!((last.outcome, last.detail.as_deref(), last.job), (RunOutcome::Refused, Some("why"), None));
    assert_eq!(jobs(&world).await, 0);
}

async fn paused_and_later_ones_are_not_due(database: TestDatabase) {
    let store = &database.store;
    let (one, two) = (World::new(store, "one").await, World::new(store, "two").await);
    let first = create(&one, "first").await;
    let second = create(&two, "second").await;
    let paused = create(&one, "paused").await;
    let wanted = ScheduleSettings { paused: true, ..settings(&one, "paused") };
    store.change_schedule(&paused, &wanted, next(1), "ada", at(1)).await.unwrap().unwrap();
    store.change_schedule(&second, &settings(&two, "second"), next(50), "ada", at(1)).await.unwrap().unwrap();
    let due = async |seconds, limit| {
        let due = store.due_schedules(at(seconds), limit).await.unwrap();
        due.into_iter().map(|schedule| schedule.id).collect::<Vec<_>>()
    };
    assert_eq!(due(54, 10).await, []);
    assert_eq!(due(55, 10).await, [second.id]);
    assert_eq!(due(105, 10).await, [second.id, first.id]);
    assert_eq!(due(105, 1).await, [second.id]);
}
