//! Operations that somebody has asked for, and the keys that passwords are sealed to.

use crate::support::world::{World, at, enroll};
use crate::support::{TestDatabase, conformance};
use jiff::Timestamp;
use postern_store::{
    AnnouncedDirectory, DirectoryId, Flavour, IdentityId, Operation, OperationId, OperationState, OrganizationId,
    UserId,
};
use serde_json::json;

conformance! {
    what_was_asked_for_waits_for_its_turn_and_outlives_other_failures,
    what_nobody_took_in_time_ends_and_is_dropped,
    the_keys_of_a_directory_are_those_of_its_agents,
}

fn operation(world: &World, user: UserId, action: &str, created_at: Timestamp) -> Operation {
    Operation {
        id: OperationId::new(),
        organization: world.org(),
        target: world.directory.id.into(),
        identity: IdentityId::User(user),
        name: "anna".to_owned(),
        account: None,
        place: 0,
        action: action.to_owned(),
        content: Some(json!({"sealed": "x"})),
        changes: json!({}),
        cause: "user.password_set".to_owned(),
        actor: None,
        state: OperationState::Waiting,
        generation: 0,
        created_at,
        sent_at: None,
        ended_at: None,
        elapsed_ms: None,
        answer: None,
        approved_by: None,
        plan: None,
    }
}

async fn ask(world: &World, operation: &Operation) {
    let mut tx = world.store.begin_identities(world.org(), operation.created_at).await.unwrap();
    tx.ask_operation(operation).await.unwrap();
    tx.commit().await.unwrap();
}

async fn asked(world: &World, organization: OrganizationId, directory: DirectoryId) -> Vec<OperationId> {
    let found = world.store.asked_operations(organization, directory.into(), 100).await.unwrap();
    found.into_iter().map(|operation| operation.id).collect()
}

async fn what_was_asked_for_waits_for_its_turn_and_outlives_other_failures(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let stranger = World::new(&database.store, "two").await;
    let (anna, ben) = (UserId::new(), UserId::new());
    let [first, second] = [(); 2].map(|()| operation(&world, anna, "set_password", at(1)));
    let (of_ben, update) = (operation(&world, ben, "set_password", at(1)), operation(&world, anna, "update", at(1)));
    for one in [&first, &second, &of_ben, &update] {
        ask(&world, one).await;
    }
    let directory = world.directory.id;
    assert_eq!(asked(&world, world.org(), directory).await, [first.id, of_ben.id], "the oldest of each user");
    assert_eq!(asked(&world, stranger.org(), directory).await, []);
    let mut tx = world.store.begin_identities(world.org(), at(2)).await.unwrap();
    assert_eq!(tx.drop_waiting(directory.into(), &[IdentityId::User(anna)]).await.unwrap(), 1);
    assert!(tx.send_operation(first.id, 1).await.unwrap());
    tx.commit().await.unwrap();
    let state = async |id| world.store.get_operation(world.org(), id).await.unwrap().unwrap().state;
    assert_eq!(state(update.id).await, OperationState::Dropped);
    assert_eq!(state(first.id).await, OperationState::Sent);
    assert_eq!(asked(&world, world.org(), directory).await, [second.id, of_ben.id]);
}

async fn what_nobody_took_in_time_ends_and_is_dropped(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let user = UserId::new();
    let (old, new) = (operation(&world, user, "set_password", at(1)), operation(&world, user, "set_password", at(50)));
    let update = operation(&world, user, "update", at(1));
    for one in [&old, &new, &update] {
        ask(&world, one).await;
    }
    let answer = json!({"error": {"code": "expired"}});
    assert_eq!(world.store.expire_asked_operations(at(50), &answer, at(60)).await.unwrap(), 1);
    assert_eq!(world.store.expire_asked_operations(at(50), &answer, at(61)).await.unwrap(), 0);
    let ended = world.store.get_operation(world.org(), old.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.content, ended.answer), (OperationState::Failed, None, Some(answer)));
    assert_eq!(ended.ended_at, Some(at(60)));
    for one in [&new, &update] {
        let open = world.store.get_operation(world.org(), one.id).await.unwrap().unwrap();
        assert_eq!((open.state, open.content.is_some()), (OperationState::Waiting, true));
    }
}

async fn the_keys_of_a_directory_are_those_of_its_agents(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let stranger = World::new(&database.store, "two").await;
    let (store, directory) = (&world.store, world.directory.id);
    let agent = enroll(store, world.org(), "second").await;
    let keys = async |organization| store.password_keys(organization, directory, 100).await.unwrap();
    store.record_password_key(agent.id, Some(&[4; 65])).await.unwrap();
    assert_eq!(keys(world.org()).await, [], "it does not serve the directory");
    let served = [AnnouncedDirectory { name: world.directory.name.clone(), flavour: Flavour::OpenLdap }];
    let allowed = store.allow_directory(world.org(), agent.id, &world.directory.name).await.unwrap();
    store.announce_directories(world.org(), allowed.id, &served, at(1)).await.unwrap();
    let found = keys(world.org()).await;
    assert_eq!((found.len(), found[0].agent, found[0].key.as_slice()), (1, agent.id, &[4; 65][..]));
    assert_eq!(keys(stranger.org()).await, []);
    assert_eq!(store.agent_by_id(agent.id).await.unwrap().unwrap().password_key, Some(vec![4; 65]));
    store.record_password_key(agent.id, None).await.unwrap();
    assert_eq!(keys(world.org()).await, []);
    store.record_password_key(agent.id, Some(&[5; 65])).await.unwrap();
    store.revoke_agent(world.org(), agent.id, at(2)).await.unwrap();
    assert_eq!(keys(world.org()).await, [], "it was revoked");
}
