//! Which replica holds each agent's session, and where a job may continue after its agent has gone.

use crate::support::world::{World, at, enroll};
use crate::support::{TestDatabase, conformance};
use jiff::Timestamp;
use postern_store::{
    Agent, AgentStanding, AnnouncedDirectory, ClosedSession, Digests, Flavour, NewSession, PageRequest,
    REPLICA_PATIENCE, ReplicaId, Store, Stranded, Wake,
};
use uuid::Uuid;

conformance! {
    why_a_session_broke_or_was_refused_is_kept,
    a_session_is_known_to_all_until_it_is_closed_or_its_replica_dies,
    the_newest_session_counts_and_the_replica_before_is_woken,
    processes_that_gave_way_are_remembered,
    a_forgotten_replica_leaves_when_its_agents_were_last_seen,
    a_stranded_job_goes_where_an_agent_is,
}

fn session(agent: &Agent, instance: &str, connected_at: Timestamp) -> NewSession {
    NewSession {
        organization: agent.organization,
        agent: agent.id,
        id: Uuid::now_v7(),
        instance: Some(instance.to_owned()),
        connected_at,
    }
}

async fn opened(store: &Store, replica: ReplicaId, session: &NewSession) {
    store.open_sessions(replica, vec![session.clone()]).await.unwrap();
}

fn closed(session: &NewSession, closed_at: Timestamp) -> Vec<ClosedSession> {
    vec![ClosedSession { agent: session.agent, id: session.id, closed_at, error: None }]
}

async fn a_session_is_known_to_all_until_it_is_closed_or_its_replica_dies(database: TestDatabase) {
    let store = database.store;
    let world = World::new(&store, "one").await;
    let (replica, agent) = (ReplicaId::new(), world.agent.clone());
    assert!(store.record_replica(replica, at(9)).await.unwrap(), "it is new");
    assert!(!store.record_replica(replica, at(10)).await.unwrap());
    let first = session(&agent, "a", at(10));
    opened(&store, replica, &first).await;

    let known = store.agent_by_id(agent.id).await.unwrap().unwrap();
    assert_eq!(known.connected_since(at(11)), Some(at(10)));
    assert_eq!(known.last_seen_at, Some(at(10)));
    let directory = store.get_directory(world.org(), world.directory.id).await.unwrap().unwrap();
    assert_eq!(directory.connected(at(11)).collect::<Vec<_>>(), [agent.id]);
    // An agent that only stays connected needs no writes.
    store.record_replica(replica, at(20)).await.unwrap();
    let listed = store.list_agents(world.org(), &PageRequest::first(10)).await.unwrap().items.remove(0);
    assert_eq!((listed.connected_since(at(21)), listed.last_seen_at), (Some(at(10)), Some(at(20))));

    let too_late = at(20) + REPLICA_PATIENCE;
    let reading = store.known_agent(agent.id).await.unwrap().unwrap();
    assert_eq!(reading.directories.len(), 1);
    assert_eq!(reading.agent.connected_since(too_late), None, "its replica died");
    assert_eq!(directory.connected(too_late).count(), 0);
    assert_eq!(reading.agent.last_seen_at, Some(at(20)));

    store.record_replica(replica, at(30)).await.unwrap();
    store.close_sessions(closed(&first, at(31))).await.unwrap();
    let known = store.get_agent(world.org(), agent.id).await.unwrap().unwrap();
    assert_eq!((known.session.as_ref(), known.last_seen_at), (None, Some(at(31))));
    assert_eq!(known.connected_since(at(31)), None);
    let directory = store.get_directory(world.org(), world.directory.id).await.unwrap().unwrap();
    assert_eq!(directory.agents, [agent.id], "it still serves it");
    assert!(directory.sessions.is_empty());
}

async fn why_a_session_broke_or_was_refused_is_kept(database: TestDatabase) {
    let store = database.store;
    let world = World::new(&store, "one").await;
    let last = async || {
        let agent = store.get_agent(world.org(), world.agent.id).await.unwrap().unwrap();
        (agent.last_error, agent.last_error_at)
    };
    assert_eq!(last().await, (None, None));
    let broken = |error: Option<&str>, seconds| {
        let mut session = closed(&session(&world.agent, "a", at(0)), at(seconds)).remove(0);
        session.error = error.map(str::to_owned);
        vec![session]
    };
    store.close_sessions(broken(Some("lost"), 5)).await.unwrap();
    assert_eq!(last().await, (Some("lost".to_owned()), Some(at(5))));
    store.close_sessions(broken(None, 9)).await.unwrap();
    assert_eq!(last().await, (Some("lost".to_owned()), Some(at(5))), "a good end is no error, and hides none");
    store.note_agent_error(world.agent.id, "refused", at(10)).await.unwrap();
    assert_eq!(last().await, (Some("refused".to_owned()), Some(at(10))));
}

async fn the_newest_session_counts_and_the_replica_before_is_woken(database: TestDatabase) {
    let store = database.store;
    let world = World::new(&store, "one").await;
    let (here, there) = (ReplicaId::new(), ReplicaId::new());
    for replica in [here, there] {
        store.record_replica(replica, at(0)).await.unwrap();
    }
    let [first, again, moved] = ["a", "a", "a"].map(|instance| session(&world.agent, instance, at(1)));
    let mut wakes = store.listen().await.unwrap();
    opened(&store, here, &first).await;
    opened(&store, here, &again).await;
    opened(&store, there, &moved).await;
    assert_eq!(wakes.recv().await.unwrap(), Wake::SessionMoved(world.agent.id), "the only one");
    // A late close does not remove the newer session.
    for older in [&first, &again] {
        store.close_sessions(closed(older, at(2))).await.unwrap();
    }
    let found = store.sessions_of(&[world.agent.id]).await.unwrap().remove(&world.agent.id).unwrap();
    assert_eq!((found.replica, found.id), (there, moved.id));
}

async fn processes_that_gave_way_are_remembered(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let agent = enroll(&store, org, "one").await;
    let replica = ReplicaId::new();
    store.record_replica(replica, at(0)).await.unwrap();
    let replaced = async || store.agent_by_id(agent.id).await.unwrap().unwrap().session.unwrap().replaced;
    for (instance, expected) in [
        ("a", [].as_slice()),
        ("a", &[]),
        ("b", &["a"]),
        ("a", &["b", "a"]),
        ("c", &["a", "b"]),
        ("d", &["c", "a", "b"]),
        ("e", &["d", "c", "a", "b"]),
        ("f", &["e", "d", "c", "a"]),
    ] {
        opened(&store, replica, &session(&agent, instance, at(1))).await;
        assert_eq!(replaced().await, expected, "{instance}");
    }
    // An older release does not identify its process.
    let nameless = NewSession { instance: None, ..session(&agent, "", at(2)) };
    opened(&store, replica, &nameless).await;
    assert_eq!(replaced().await, ["f", "e", "d", "c"]);
}

async fn a_forgotten_replica_leaves_when_its_agents_were_last_seen(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let (one, two) = (enroll(&store, org, "one").await, enroll(&store, org, "two").await);
    let (dead, alive) = (ReplicaId::new(), ReplicaId::new());
    store.record_replica(dead, at(100)).await.unwrap();
    store.record_replica(alive, at(200)).await.unwrap();
    opened(&store, dead, &session(&one, "a", at(50))).await;
    opened(&store, alive, &session(&two, "a", at(50))).await;
    assert_eq!(store.forget_replicas(at(100)).await.unwrap(), 0);
    assert_eq!(store.forget_replicas(at(150)).await.unwrap(), 1);
    assert_eq!(store.forget_replicas(at(150)).await.unwrap(), 0);
    let (one, two) =
        (store.agent_by_id(one.id).await.unwrap().unwrap(), store.agent_by_id(two.id).await.unwrap().unwrap());
    assert_eq!((one.session, one.last_seen_at), (None, Some(at(100))));
    assert_eq!((two.connected_since(at(201)), two.last_seen_at), (Some(at(50)), Some(at(200))));
    assert!(store.record_replica(dead, at(201)).await.unwrap(), "it hears that it was forgotten");
}

async fn a_stranded_job_goes_where_an_agent_is(database: TestDatabase) {
    let store = database.store;
    let world = World::new(&store, "one").await;
    let elsewhere = ReplicaId::new();
    store.record_replica(elsewhere, at(10)).await.unwrap();
    store.record_replica(world.replica, at(10)).await.unwrap();
    let created = world.create("test_connection").await;
    let job = world.claim().await.remove(0);
    assert_eq!(job.id, created.id);
    assert!(store.assign_agent(&job.lease().unwrap(), world.agent.id).await.unwrap());
    let stranded = async |now| store.stranded_jobs(world.replica, &[job.id], now).await.unwrap().remove(&job.id);
    let expect = |agent_is_elsewhere, has_another| Some(Stranded { agent_is_elsewhere, has_another });
    assert_eq!(stranded(at(11)).await, expect(false, false));

    // Another agent: first of another directory, then of this one, then with a problem.
    let spare = enroll(&store, world.org(), "spare").await;
    opened(&store, elsewhere, &session(&spare, "s", at(11))).await;
    assert_eq!(stranded(at(11)).await, expect(false, false));
    let corp = AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap };
    store.allow_directory(world.org(), spare.id, "corp").await.unwrap();
    store.announce_directories(world.org(), spare.id, &[corp], at(11)).await.unwrap();
    assert_eq!(stranded(at(11)).await, expect(false, true));
    assert_eq!(stranded(at(10) + REPLICA_PATIENCE).await, expect(false, false), "its replica died");
    let standing = AgentStanding {
        directory: world.directory.id,
        problem: Some("no password file".to_owned()),
        configuration: Digests::default(),
    };
    store.note_standings(world.org(), spare.id, &[standing]).await.unwrap();
    assert_eq!(stranded(at(11)).await, expect(false, false));

    // The agent itself, here and elsewhere.
    opened(&store, world.replica, &session(&world.agent, "w", at(11))).await;
    assert_eq!(stranded(at(11)).await, expect(false, false));
    opened(&store, elsewhere, &session(&world.agent, "w", at(12))).await;
    assert_eq!(stranded(at(12)).await, expect(true, false));

    assert_eq!(store.stranded_jobs(elsewhere, &[job.id], at(12)).await.unwrap().len(), 0, "not its job");
}
