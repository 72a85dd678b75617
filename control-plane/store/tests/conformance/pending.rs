//! Changes that somebody wants in a target and that are not there yet.

use crate::support::world::{World, account_of, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{AccountId, AccountKind, IdentityId, PendingChange, PendingId, Provisioning, Store};
use serde_json::{Value, json};

conformance! {
    a_later_request_takes_the_place_of_an_earlier_one,
    what_is_refused_can_be_read_for_a_while,
    whoever_is_deleted_wants_nothing_any_more,
    what_others_want_is_seen_until_it_is_refused,
    a_member_that_provisioning_has_added_is_known,
    a_user_gets_one_account_however_many_are_linked_at_once,
}

fn change(world: &World, identity: IdentityId, what: &str, wanted: Value) -> PendingChange {
    PendingChange {
        id: PendingId::new(),
        target: world.directory.id.into(),
        identity,
        what: what.to_owned(),
        wanted,
        asked_at: at(5),
        asked_by: "ada".to_owned(),
        refused: None,
    }
}

async fn ask(world: &World, changes: &[PendingChange]) {
    let mut tx = world.store.begin_identities(world.org(), at(5)).await.unwrap();
    tx.ask_changes(changes).await.unwrap();
    tx.commit().await.unwrap();
}

async fn anna(world: &World) -> IdentityId {
    let (person, account) = world.person("anna");
    world.import(&[(person.clone(), account)], &[]).await;
    IdentityId::User(person.id)
}

async fn provision(store: &Store, world: &World) {
    let new = Provisioning {
        target: world.directory.id.into(),
        organization: world.org(),
        settings: json!({}),
        paused: false,
        revision: 0,
        updated_at: at(1),
        updated_by: "owner".to_owned(),
    };
    store.save_provisioning(&new, 0).await.unwrap();
}

async fn a_later_request_takes_the_place_of_an_earlier_one(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let anna = anna(&world).await;
    provision(store, &world).await;
    let target = world.directory.id.into();
    let (first, second) = (change(&world, anna, "email", json!("a")), change(&world, anna, "email", json!("b")));
    let title = change(&world, anna, "attributes.title", Value::Null);
    ask(&world, &[first.clone(), title.clone()]).await;
    let marks = store.due_marks(world.org(), target, at(9), 10).await.unwrap();
    assert!(marks.iter().any(|mark| mark.identity == anna), "it is carried out");
    ask(&world, std::slice::from_ref(&second)).await;
    assert_eq!(store.pending_of(world.org(), anna.as_uuid()).await.unwrap(), [title.clone(), second.clone()]);
    assert_eq!(store.pending_of(other.org(), anna.as_uuid()).await.unwrap(), []);
    assert_eq!(store.pending_in(world.org(), target, &[anna]).await.unwrap().len(), 2);
    assert_eq!(store.pending_in(other.org(), target, &[anna]).await.unwrap(), []);
    assert_eq!(store.pending_in(world.org(), other.directory.id.into(), &[anna]).await.unwrap(), []);
    // What has become of the first says nothing about the second.
    let mut tx = store.begin_identities(world.org(), at(6)).await.unwrap();
    assert_eq!(tx.forget_changes(&[first.id]).await.unwrap(), 0);
    assert_eq!(tx.forget_changes(&[title.id]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut tx = store.begin_identities(other.org(), at(6)).await.unwrap();
    assert_eq!(tx.forget_changes(&[second.id]).await.unwrap(), 0, "it is another organization's");
    assert_eq!(tx.refuse_changes(&[second.id], "no").await.unwrap(), 0);
    tx.rollback().await.unwrap();
    assert_eq!(store.pending_of(world.org(), anna.as_uuid()).await.unwrap(), [second]);
}

async fn what_is_refused_can_be_read_for_a_while(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let anna = anna(&world).await;
    provision(store, &world).await;
    let asked = change(&world, anna, "email", json!("a"));
    ask(&world, std::slice::from_ref(&asked)).await;
    let mut tx = store.begin_identities(world.org(), at(7)).await.unwrap();
    assert_eq!(tx.refuse_changes(&[asked.id], "The directory says no.").await.unwrap(), 1);
    tx.commit().await.unwrap();
    let target = world.directory.id.into();
    assert_eq!(store.pending_in(world.org(), target, &[anna]).await.unwrap(), [], "it is not sent again");
    let shown = store.pending_of(world.org(), anna.as_uuid()).await.unwrap();
    let refusal = shown[0].refused.as_ref().unwrap();
    assert_eq!((refusal.at, refusal.reason.as_str()), (at(7), "The directory says no."));
    assert_eq!(store.forget_refused_changes(at(7)).await.unwrap(), 0);
    assert_eq!(store.forget_refused_changes(at(8)).await.unwrap(), 1);
    // Asking again begins anew.
    ask(&world, std::slice::from_ref(&asked)).await;
    assert_eq!(store.forget_refused_changes(at(100)).await.unwrap(), 0);
    assert!(store.remove_provisioning(world.org(), target).await.unwrap());
    assert_eq!(store.pending_of(world.org(), anna.as_uuid()).await.unwrap(), [], "nothing is sent there any more");
}

async fn whoever_is_deleted_wants_nothing_any_more(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    provision(store, &world).await;
    let (user, group) = (world.person("anna").0, world.team("staff").0);
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_own_users(vec![(user.clone(), "{}".to_owned())]).await.unwrap();
    tx.insert_groups(vec![group.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let (a, g) = (IdentityId::User(user.id), IdentityId::Group(group.id));
    let member = user.id.to_string();
    ask(&world, &[change(&world, a, "email", json!("a")), change(&world, g, &member, json!(true))]).await;
    let mut tx = store.begin_identities(world.org(), at(6)).await.unwrap();
    assert_eq!(tx.pending_members(group.id, &[user.id.as_uuid()]).await.unwrap().len(), 1);
    assert_eq!(tx.pending_members(group.id, &[group.id.as_uuid()]).await.unwrap(), []);
    let owned = tx.owned_user(user.id).await.unwrap().unwrap();
    tx.delete_user(owned, "ada").await.unwrap();
    tx.delete_group(&group, "ada").await.unwrap();
    tx.commit().await.unwrap();
    for identity in [a, g] {
        assert_eq!(store.pending_of(world.org(), identity.as_uuid()).await.unwrap(), []);
    }
}

async fn what_others_want_is_seen_until_it_is_refused(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let (anna, bert) = (world.person("anna"), world.person("bert"));
    world.import(&[anna.clone(), bert.clone()], &[]).await;
    provision(store, &world).await;
    let badge = change(&world, IdentityId::User(anna.0.id), "attributes.badge", json!("B-1"));
    ask(&world, std::slice::from_ref(&badge)).await;
    let mut tx = store.begin_identities(world.org(), at(6)).await.unwrap();
    assert_eq!(tx.wanted_by_others(bert.0.id, "attributes.badge").await.unwrap(), std::slice::from_ref(&badge));
    assert_eq!(tx.wanted_by_others(anna.0.id, "attributes.badge").await.unwrap(), [], "it is her own");
    assert_eq!(tx.wanted_by_others(bert.0.id, "attributes.title").await.unwrap(), []);
    tx.refuse_changes(&[badge.id], "no").await.unwrap();
    assert_eq!(tx.wanted_by_others(bert.0.id, "attributes.badge").await.unwrap(), []);
    tx.rollback().await.unwrap();
    let mut tx = store.begin_identities(other.org(), at(6)).await.unwrap();
    assert_eq!(tx.wanted_by_others(bert.0.id, "attributes.badge").await.unwrap(), []);
    tx.rollback().await.unwrap();
}

async fn a_member_that_provisioning_has_added_is_known(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (team, anna, bert) = (world.team("staff"), world.person("anna"), world.person("bert"));
    world.import(&[anna.clone(), bert.clone()], std::slice::from_ref(&team)).await;
    let names = vec![crate::support::world::dn_key("anna"), crate::support::world::dn_key("bert")];
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    tx.replace_members(vec![(team.0.id, names.clone())]).await.unwrap();
    tx.change_outbound_members(&team.1.external_key, names[..1].to_vec(), Vec::new()).await.unwrap();
    let ids = [anna.0.id.as_uuid(), bert.0.id.as_uuid()];
    let known = tx.identities().known_members(team.0.id, &ids).await.unwrap();
    assert_eq!(known.named, ids.into());
    assert_eq!(known.sent, [ids[0]].into());
    let there = tx.identities().with_accounts_in(world.directory.id.into(), &[ids[0], team.0.id.as_uuid()]).await;
    assert_eq!(there.unwrap(), [ids[0], team.0.id.as_uuid()].into());
    tx.rollback().await.unwrap();
}

async fn a_user_gets_one_account_however_many_are_linked_at_once(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let user = world.person("anna").0;
    let accounts = ["l1", "l2", "l3"].map(|name| account_of(AccountKind::User, name, None));
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.identities().insert_own_users(vec![(user.clone(), "{}".to_owned())]).await.unwrap();
    tx.insert_accounts(accounts.to_vec()).await.unwrap();
    tx.commit().await.unwrap();
    let link = async |account: AccountId| {
        let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
        let linked = tx.link_outbound(account, user.id).await.unwrap();
        tx.commit().await.unwrap();
        linked
    };
    let [one, two, three] = accounts.map(|account| account.id);
    let linked = tokio::join!(link(one), link(two), link(three));
    assert_eq!([linked.0, linked.1, linked.2].into_iter().filter(|linked| *linked).count(), 1);
    let found = store.accounts_in(world.org(), world.directory.id.into(), &[IdentityId::User(user.id)]).await.unwrap();
    assert_eq!(found.len(), 1);
}
