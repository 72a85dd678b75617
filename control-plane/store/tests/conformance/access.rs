//! Tokens, agents, directories, answers and keys of an organization.

use crate::support::world::{World, agent, all, at, enroll, enrollment, hash};
use crate::support::{TestDatabase, conformance};
use jiff::SignedDuration;
use postern_store::{
    AgentId, AgentStanding, AnnouncedDirectory, AnswerClaim, ConsumeError, Digests, DirectoryChange, Error, Flavour,
    NewApiToken, NewEnrollmentToken, PageRequest, Role, Store, StoredAnswer, Wake,
};

conformance! {
    one_authority_is_that_of_all,
    organizations_have_unique_names,
    api_tokens_are_found_by_hash_and_revoked,
    an_enrollment_token_is_good_once,
    unknown_used_expired_and_revoked_tokens_have_different_errors,
    two_agents_race_for_one_token,
    agents_are_seen_renewed_and_revoked,
    directories_appear_change_and_come_back,
    what_an_agent_announced_is_known_in_one_read,
    an_existing_directory_is_served_only_by_agents_that_may_serve_it,
    answers_are_claimed_kept_and_forgotten,
    a_key_makes_one_job,
    a_key_is_forgotten_and_makes_another_job,
}

async fn one_authority_is_that_of_all(database: TestDatabase) {
    let store = database.store;
    assert_eq!(store.authority().await.unwrap(), None);
    let (first, second) = (hash("first"), hash("second"));
    assert_eq!(store.enter_authority(first, at(0)).await.unwrap(), first);
    assert_eq!(store.enter_authority(second, at(1)).await.unwrap(), first);
    assert_eq!(store.authority().await.unwrap(), Some(first));
    store.replace_authority(second, at(2)).await.unwrap();
    assert_eq!(store.enter_authority(second, at(3)).await.unwrap(), second);
}

async fn organizations_have_unique_names(database: TestDatabase) {
    let store = database.store;
    let first = store.create_organization("Ärzte", at(0)).await.unwrap();
    let second = store.create_organization("Other", at(1)).await.unwrap();
    assert!(matches!(store.create_organization("Ärzte", at(2)).await, Err(Error::Conflict { .. })));
    assert_eq!(store.find_organization("Ärzte").await.unwrap(), Some(first.clone()));
    assert_eq!(store.find_organization("ärzte").await.unwrap(), None);
    assert_eq!(store.get_organization(second.id).await.unwrap(), Some(second.clone()));
    let page = store.list_organizations(&PageRequest::first(1)).await.unwrap();
    assert_eq!(page.items, [first]);
    let page = store.list_organizations(&PageRequest::after(page.next.unwrap(), 1)).await.unwrap();
    assert_eq!((page.items, page.next), (vec![second], None));
}

async fn api_tokens_are_found_by_hash_and_revoked(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let new =
        NewApiToken { name: "ci".to_owned(), hash: hash("secret"), role: Role::Operator, expires_at: Some(at(100)) };
    let token = store.create_api_token(org, new.clone(), at(0)).await.unwrap();
    assert!(matches!(store.create_api_token(org, new, at(0)).await, Err(Error::Conflict { .. })));
    assert_eq!(store.find_api_token_by_hash(hash("secret")).await.unwrap(), Some(token.clone()));
    assert_eq!(store.find_api_token_by_hash(hash("other")).await.unwrap(), None);

    store.touch_api_token(&token, at(10)).await.unwrap();
    let used = store.get_api_token(org, token.id).await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(at(10)));
    store.touch_api_token(&used, at(69)).await.unwrap();
    assert_eq!(store.get_api_token(org, token.id).await.unwrap().unwrap().last_used_at, Some(at(10)));
    store.touch_api_token(&used, at(70)).await.unwrap();
    assert_eq!(store.get_api_token(org, token.id).await.unwrap().unwrap().last_used_at, Some(at(70)));

    store.revoke_api_token(org, token.id, at(80)).await.unwrap();
    let revoked = store.revoke_api_token(org, token.id, at(90)).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(at(80)));
    assert_eq!(store.list_api_tokens(org, &all()).await.unwrap().items, [revoked]);
}

async fn an_enrollment_token_is_good_once(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let token = store.create_enrollment_token(org, enrollment("secret"), at(0)).await.unwrap();
    assert_eq!(store.find_enrollment_token(hash("secret"), at(1)).await.unwrap(), token);

    let new = agent("dc1");
    let enrolled = store.enroll_agent(hash("secret"), new.clone(), at(1)).await.unwrap();
    assert_eq!((enrolled.organization, enrolled.id), (org, new.id));
    assert_eq!(enrolled.allowed_directories, ["corp"]);
    assert_eq!(store.get_agent(org, new.id).await.unwrap(), Some(enrolled));
    let used = store.get_enrollment_token(org, token.id).await.unwrap().unwrap();
    assert_eq!((used.used_at, used.used_by), (Some(at(1)), Some(new.id)));

    let again = store.enroll_agent(hash("secret"), agent("dc2"), at(2)).await;
    assert!(matches!(again, Err(ConsumeError::Used)));
    assert_eq!(store.list_agents(org, &all()).await.unwrap().items.len(), 1);
}

async fn unknown_used_expired_and_revoked_tokens_have_different_errors(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let unknown = store.enroll_agent(hash("nothing"), agent("dc"), at(1)).await;
    assert!(matches!(unknown, Err(ConsumeError::Unknown)));

    store.create_enrollment_token(org, enrollment("late"), at(0)).await.unwrap();
    let expired = store.enroll_agent(hash("late"), agent("dc"), at(3_600)).await;
    assert!(matches!(expired, Err(ConsumeError::Expired)));
    assert!(matches!(store.find_enrollment_token(hash("late"), at(3_600)).await, Err(ConsumeError::Expired)));

    let revoked = store.create_enrollment_token(org, enrollment("revoked"), at(0)).await.unwrap();
    store.revoke_enrollment_token(org, revoked.id, at(1)).await.unwrap();
    let refused = store.enroll_agent(hash("revoked"), agent("dc"), at(2)).await;
    assert!(matches!(refused, Err(ConsumeError::Unknown)));

    // An agent that cannot be created does not use its token up.
    let enrolled = enroll(&store, org, "dc").await;
    store.create_enrollment_token(org, enrollment("kept"), at(0)).await.unwrap();
    let mut twin = agent("twin");
    twin.id = enrolled.id;
    assert!(matches!(store.enroll_agent(hash("kept"), twin, at(1)).await, Err(ConsumeError::Store(_))));
    store.enroll_agent(hash("kept"), agent("dc"), at(2)).await.unwrap();
}

async fn two_agents_race_for_one_token(database: TestDatabase) {
    let (one, other) = (database.store.clone(), database.again().await);
    let org = one.create_organization("one", at(0)).await.unwrap().id;
    for round in 0..10 {
        let secret = format!("secret {round}");
        one.create_enrollment_token(org, enrollment(&secret), at(0)).await.unwrap();
        let (first, second) = tokio::join!(
            one.enroll_agent(hash(&secret), agent("first"), at(1)),
            other.enroll_agent(hash(&secret), agent("second"), at(1)),
        );
        let (winner, loser) = if first.is_ok() { (first, second) } else { (second, first) };
        assert!(winner.is_ok(), "one of them wins");
        assert!(matches!(loser, Err(ConsumeError::Used)), "the other is refused: {loser:?}");
    }
    assert_eq!(one.list_agents(org, &all()).await.unwrap().items.len(), 10);
    other.close().await;
}

async fn agents_are_seen_renewed_and_revoked(database: TestDatabase) {
    let store = database.store;
    let org = store.create_organization("one", at(0)).await.unwrap().id;
    let (one, two) = (enroll(&store, org, "one").await, enroll(&store, org, "two").await);
    store.record_hello(one.id, Some("2.0.0"), Some("linux 6.1"), at(6)).await.unwrap();
    store.record_hello(one.id, None, None, at(7)).await.unwrap();
    let end = at(0) + SignedDuration::from_hours(1);
    store.record_certificate(one.id, "0a", "0b", end).await.unwrap();
    let seen = store.get_agent(org, one.id).await.unwrap().unwrap();
    assert_eq!(seen.version.as_deref(), Some("2.0.0"));
    assert_eq!(seen.os.as_deref(), Some("linux 6.1"));
    assert_eq!((seen.serial.as_str(), seen.not_after, seen.last_seen_at), ("0b", end, Some(at(7))));
    assert_eq!(store.agent_by_id(two.id).await.unwrap().unwrap().last_seen_at, None);

    let mut wakes = store.listen().await.unwrap();
    store.revoke_agent(org, one.id, at(20)).await.unwrap();
    assert_eq!(wakes.recv().await.unwrap(), Wake::AgentRevoked(one.id));
    let revoked = store.revoke_agent(org, one.id, at(30)).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(at(20)));
    store.revoke_agent(org, two.id, at(20)).await.unwrap();
    assert_eq!(wakes.recv().await.unwrap(), Wake::AgentRevoked(two.id), "what changes nothing wakes nobody");
    let since = store.revoked_agents_since(at(20)).await.unwrap();
    assert!(since.len() == 2 && since.contains(&one.id) && since.contains(&two.id), "{since:?}");
    assert_eq!(store.revoked_agents_since(at(21)).await.unwrap(), []);
    assert!(matches!(store.record_certificate(one.id, "0b", "0c", end).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.revoke_agent(org, AgentId::new(), at(30)).await, Err(Error::NotFound { .. })));
}

async fn directories_appear_change_and_come_back(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let (store, org) = (&database.store, world.org());
    let corp = &world.directory;
    assert_eq!(
        (corp.name.as_str(), corp.flavour, &corp.agents[..]),
        ("corp", Flavour::OpenLdap, &[world.agent.id][..])
    );
    assert_eq!((corp.missing_threshold_percent, corp.missing_threshold_minimum), (10, 10));

    let served = |names: &[&str]| -> Vec<AnnouncedDirectory> {
        let flavour = Flavour::Unknown;
        names.iter().map(|name| AnnouncedDirectory { name: (*name).to_owned(), flavour }).collect()
    };
    let second = enroll(store, org, "second").await;
    store.allow_directory(org, second.id, "corp").await.unwrap();
    let both = store.announce_directories(org, second.id, &served(&["lab", "corp"]), at(1)).await.unwrap();
    assert_eq!(both.iter().map(|directory| directory.name.as_str()).collect::<Vec<_>>(), ["corp", "lab"]);
    assert_eq!((both[0].id, both[0].flavour, both[0].agents.len()), (corp.id, Flavour::OpenLdap, 2));
    agents_report_how_they_read_a_directory(store, &world, second.id).await;
    store.announce_directories(org, second.id, &served(&["lab"]), at(2)).await.unwrap();
    assert_eq!(store.get_directory(org, corp.id).await.unwrap().unwrap().agents, [world.agent.id]);
    store.revoke_agent(org, second.id, at(2)).await.unwrap();
    assert_eq!(store.find_directory(org, "lab").await.unwrap().unwrap().agents, []);

    let change =
        DirectoryChange { display_name: Some("Headquarters".to_owned()), disabled: Some(true), ..Default::default() };
    let changed = store.update_directory(org, corp.id, change).await.unwrap();
    assert_eq!(
        (changed.display_name.as_str(), changed.disabled, changed.missing_threshold_percent),
        ("Headquarters", true, 10)
    );
    let change = DirectoryChange { missing_threshold_percent: Some(50), disabled: Some(false), ..Default::default() };
    let changed = store.update_directory(org, corp.id, change).await.unwrap();
    assert_eq!(
        (changed.display_name.as_str(), changed.disabled, changed.missing_threshold_percent),
        ("Headquarters", false, 50)
    );

    let job = world.create("import").await;
    store.delete_directory(org, corp.id, at(3)).await.unwrap();
    assert_eq!(store.get_directory(org, corp.id).await.unwrap(), None);
    assert_eq!(store.get_job(org, job.id).await.unwrap().unwrap().state, postern_store::JobState::Canceled);
    assert!(matches!(store.create_job(world.job("import"), at(4)).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.delete_directory(org, corp.id, at(4)).await, Err(Error::NotFound { .. })));
    assert_eq!(store.list_directories(org, &all()).await.unwrap().items.len(), 1);

    let back = store.announce_directories(org, world.agent.id, &served(&["corp"]), at(5)).await.unwrap();
    assert_eq!((back[0].id, back[0].display_name.as_str(), back[0].deleted_at), (corp.id, "Headquarters", None));
}

async fn agents_report_how_they_read_a_directory(store: &Store, world: &World, second: AgentId) {
    let (org, corp) = (world.org(), &world.directory);
    let problem = "the bind account is disabled".to_owned();
    let read_by = |users: &str| Digests { users: Some(users.to_owned()), groups: None };
    let standing = |problem, configuration| [AgentStanding { directory: corp.id, problem, configuration }];
    store.note_standings(org, second, &standing(Some(problem.clone()), read_by("u"))).await.unwrap();
    let other = World::new(store, "other").await;
    store.note_standings(other.org(), second, &standing(None, read_by("foreign"))).await.unwrap();
    let shown = store.get_directory(org, corp.id).await.unwrap().unwrap();
    assert_eq!(shown.problems, [(second, problem)], "another organization changes nothing");
    assert_eq!(shown.configurations, [(world.agent.id, Digests::default()), (second, read_by("u"))]);
    store.note_standings(org, second, &standing(None, read_by("v"))).await.unwrap();
    let shown = store.get_directory(org, corp.id).await.unwrap().unwrap();
    assert_eq!((shown.problems.len(), &shown.configurations[1]), (0, &(second, read_by("v"))));
    let known = store.known_agent(second).await.unwrap().unwrap();
    assert_eq!(known.directories[0].configuration, read_by("v"));
}

async fn an_existing_directory_is_served_only_by_agents_that_may_serve_it(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let (store, org) = (&database.store, world.org());
    let unbound = |secret: &str| NewEnrollmentToken { directories: Vec::new(), ..enrollment(secret) };
    store.create_enrollment_token(org, unbound("first"), at(0)).await.unwrap();
    store.create_enrollment_token(org, unbound("second"), at(0)).await.unwrap();
    let first = store.enroll_agent(hash("first"), agent("first"), at(0)).await.unwrap().id;
    let second = store.enroll_agent(hash("second"), agent("second"), at(0)).await.unwrap().id;
    let announce = async |agent: AgentId, names: &[&str]| {
        let flavour = Flavour::Generic;
        let served: Vec<_> = names.iter().map(|&name| AnnouncedDirectory { name: name.to_owned(), flavour }).collect();
        let now = store.announce_directories(org, agent, &served, at(1)).await.unwrap();
        now.into_iter().map(|directory| directory.name).collect::<Vec<_>>()
    };
    // A new name belongs to the agent that announces it first, and stays with it.
    assert_eq!(announce(first, &["corp", "lab"]).await, ["lab"]);
    assert_eq!(announce(second, &["corp", "lab", "hq"]).await, ["hq"]);
    assert_eq!(announce(first, &["lab", "hq"]).await, ["lab"]);
    assert_eq!(store.find_directory(org, "corp").await.unwrap().unwrap().agents, [world.agent.id]);
    // A deleted directory is not free: who restores it restores its users.
    let corp = world.directory.id;
    store.delete_directory(org, corp, at(2)).await.unwrap();
    assert_eq!(announce(second, &["corp", "hq"]).await, ["hq"]);
    assert_eq!(store.get_directory(org, corp).await.unwrap(), None);

    let mut wakes = store.listen().await.unwrap();
    let foreign = store.create_organization("foreign", at(0)).await.unwrap().id;
    assert!(matches!(store.allow_directory(foreign, second, "corp").await, Err(Error::NotFound { .. })));
    store.allow_directory(org, second, "hq").await.unwrap();
    let allowed = store.allow_directory(org, second, "corp").await.unwrap();
    assert_eq!(allowed.allowed_directories, ["corp", "hq"]);
    assert_eq!(wakes.recv().await.unwrap(), Wake::AgentChanged(second));
    assert_eq!(announce(second, &["corp", "hq"]).await, ["corp", "hq"]);
    assert_eq!(store.find_directory(org, "corp").await.unwrap().unwrap().id, corp);
}

async fn what_an_agent_announced_is_known_in_one_read(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let store = &database.store;
    let known = store.known_agent(world.agent.id).await.unwrap().unwrap();
    assert_eq!(known.agent, world.agent);
    assert_eq!(known.directories.len(), 1);
    assert_eq!((known.directories[0].id, known.directories[0].flavour), (world.directory.id, Flavour::OpenLdap));
    let idle = enroll(store, world.org(), "idle").await;
    assert_eq!(store.known_agent(idle.id).await.unwrap().unwrap().directories, []);
    assert_eq!(store.known_agent(AgentId::new()).await.unwrap(), None);
}

async fn answers_are_claimed_kept_and_forgotten(database: TestDatabase) {
    let store = database.store;
    let one = store.create_organization("one", at(0)).await.unwrap().id;
    let two = store.create_organization("two", at(0)).await.unwrap().id;
    let (key, request) = (hash("key"), hash("request"));
    assert_eq!(store.claim_answer(one, key, request, at(0)).await.unwrap(), AnswerClaim::Claimed);
    assert_eq!(store.claim_answer(two, key, request, at(0)).await.unwrap(), AnswerClaim::Claimed);
    assert_eq!(store.claim_answer(one, key, hash("other"), at(59)).await.unwrap(), AnswerClaim::Busy { request });
    // The process that claimed it was lost.
    assert_eq!(store.claim_answer(one, key, request, at(60)).await.unwrap(), AnswerClaim::Claimed);
    // A request that has lost its key to another one does not affect that one.
    store.store_answer(one, (key, hash("other")), 200, b"late", at(61)).await.unwrap();
    store.drop_answer(one, key, hash("other")).await.unwrap();
    assert_eq!(store.claim_answer(one, key, request, at(61)).await.unwrap(), AnswerClaim::Busy { request });
    store.store_answer(one, (key, request), 201, b"sealed", at(61)).await.unwrap();
    let kept = AnswerClaim::Answered(StoredAnswer { request, status: 201, body: b"sealed".to_vec() });
    assert_eq!(store.claim_answer(one, key, request, at(9_999)).await.unwrap(), kept);
    store.drop_answer(two, key, request).await.unwrap();
    assert_eq!(store.claim_answer(two, key, request, at(1)).await.unwrap(), AnswerClaim::Claimed);
    assert_eq!(store.expire_answers(at(61)).await.unwrap(), 1);
    assert_eq!(store.claim_answer(one, key, request, at(62)).await.unwrap(), kept);
}

async fn a_key_makes_one_job(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let mut new = world.job("import");
    new.idempotency_key = Some("key".to_owned());
    let job = database.store.create_job(new.clone(), at(0)).await.unwrap();
    assert_eq!(database.store.create_job(new.clone(), at(9)).await.unwrap(), job);
    "test_connection".clone_into(&mut new.kind);
    assert!(matches!(database.store.create_job(new.clone(), at(9)).await, Err(Error::Conflict { .. })));
    let other = World::new(&database.store, "two").await;
    let foreign = postern_store::NewJob { idempotency_key: Some("key".to_owned()), ..other.job("import") };
    assert_ne!(database.store.create_job(foreign, at(0)).await.unwrap().id, job.id);
}

async fn a_key_is_forgotten_and_makes_another_job(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let keyed = postern_store::NewJob { idempotency_key: Some("monday".to_owned()), ..world.job("test_connection") };
    let first = store.create_job(keyed.clone(), at(0)).await.unwrap();
    assert_eq!(store.expire_job_keys(at(0)).await.unwrap(), 0);
    assert_eq!(store.create_job(keyed.clone(), at(1)).await.unwrap().id, first.id);
    assert_eq!(store.expire_job_keys(at(1)).await.unwrap(), 1);
    assert_ne!(store.create_job(keyed, at(2)).await.unwrap().id, first.id);
}
