//! Values of unique attributes, claimed by many users at once.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{AttributeDefinition, AttributeType, Error, Store, UserId};

conformance! {
    one_of_many_gets_a_value_and_the_others_keep_theirs,
    values_of_other_organizations_and_attributes_do_not_matter,
    a_user_gets_all_values_or_none,
    a_definition_waits_for_those_who_write_users,
    many_users_at_once_wait_for_each_other_before_they_lock_any,
    a_transaction_that_another_one_ends_says_so,
}

async fn claim(store: &Store, world: &World, name: &str, values: &[(UserId, Option<&str>)]) -> Vec<UserId> {
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    let values: Vec<_> = values.iter().map(|(user, value)| (*user, value.map(str::to_owned))).collect();
    let refused = tx.claim_values(name, &values).await.unwrap();
    tx.commit().await.unwrap();
    refused
}

async fn one_of_many_gets_a_value_and_the_others_keep_theirs(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let [ada, ben, eve] = [UserId::new(), UserId::new(), UserId::new()];
    assert_eq!(claim(store, &world, "badge", &[(ada, Some("A7")), (ben, Some("b8")), (eve, None)]).await, []);
    // Letter case does not matter. The value that nobody else has is given up for a new one.
    assert_eq!(claim(store, &world, "badge", &[(eve, Some("a7")), (ben, Some("B9"))]).await, [eve]);
    assert_eq!(claim(store, &world, "badge", &[(eve, Some("b8"))]).await, [], "it is free now");
    assert_eq!(claim(store, &world, "badge", &[(ada, Some("B9"))]).await, [ada]);
    assert_eq!(claim(store, &world, "badge", &[(eve, Some("A7"))]).await, [eve], "ada has kept hers");
    assert_eq!(claim(store, &world, "badge", &[(ada, None)]).await, []);
    assert_eq!(claim(store, &world, "badge", &[(eve, Some("A7"))]).await, []);
    // Two want the same new one: one of them gets it.
    let refused = claim(store, &world, "badge", &[(ada, Some("c1")), (ben, Some("C1"))]).await;
    assert_eq!(refused.len(), 1);
    assert_eq!(claim(store, &world, "badge", &[]).await, []);
}

async fn values_of_other_organizations_and_attributes_do_not_matter(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let [ada, ben] = [UserId::new(), UserId::new()];
    assert_eq!(claim(store, &world, "badge", &[(ada, Some("7"))]).await, []);
    assert_eq!(claim(store, &world, "desk", &[(ben, Some("7"))]).await, []);
    assert_eq!(claim(store, &other, "badge", &[(ben, Some("7"))]).await, []);
    // What another organization takes away is not this one's.
    assert_eq!(claim(store, &other, "badge", &[(ada, None)]).await, []);
    assert_eq!(claim(store, &world, "badge", &[(ben, Some("7"))]).await, [ben]);
}

async fn a_user_gets_all_values_or_none(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let [ada, ben] = [UserId::new(), UserId::new()];
    let claim = async |user: UserId, values: &[(&str, Option<&str>)]| {
        let owned = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        let values: Vec<_> = values.iter().map(owned).collect();
        let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
        let taken = tx.claim(user, &values).await.unwrap();
        tx.commit().await.unwrap();
        taken
    };
    assert_eq!(claim(ada, &[("badge", Some("A1")), ("desk", Some("D1"))]).await, None);
    // The badge is free, the desk is not.
    assert_eq!(claim(ben, &[("badge", Some("B1")), ("desk", Some("d1"))]).await.as_deref(), Some("desk"));
    assert_eq!(claim(ada, &[("badge", Some("b1")), ("desk", None)]).await, None, "it is still free");
    assert_eq!(claim(ben, &[("badge", Some("a1")), ("desk", Some("D1"))]).await, None, "both were given up");
    // What the user had before is kept.
    assert_eq!(claim(ben, &[("badge", Some("A1")), ("desk", Some("D2")), ("room", Some("R"))]).await, None);
    assert_eq!(claim(ada, &[("badge", Some("B1")), ("desk", Some("D2"))]).await.as_deref(), Some("desk"));
    assert_eq!(claim(ben, &[("badge", Some("B1"))]).await.as_deref(), Some("badge"));
}

fn defined(name: &str) -> AttributeDefinition {
    AttributeDefinition {
        name: name.to_owned(),
        kind: AttributeType::String,
        required: false,
        unique: true,
        sensitive: true,
    }
}

async fn a_definition_waits_for_those_who_write_users(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let person = |name: &str, attributes: &str| {
        let (mut user, _) = world.person(name);
        attributes.clone_into(&mut user.attributes);
        user
    };
    // A request and an import, each with a value of an attribute that nobody has defined when it begins.
    for name in ["badge", "desk"] {
        let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
        if name == "badge" {
            assert_eq!(tx.definitions().await.unwrap(), []);
        } else {
            tx.check_unique().await.unwrap();
        }
        let (organization, other) = (world.org(), store.clone());
        let defining = tokio::spawn(async move { other.define_attribute(organization, &defined(name), at(1)).await });
        database.somebody_waits().await;
        tx.insert_users(vec![person(name, &format!(r#"{{"{name}":"7"}}"#))]).await.unwrap();
        tx.commit().await.unwrap();
        let refused = defining.await.unwrap();
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{name}: {refused:?}");
    }
    // A definition is not taken away while somebody writes by it.
    store.define_attribute(world.org(), &defined("room"), at(2)).await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    assert_eq!(tx.definitions().await.unwrap(), [defined("room")]);
    let (organization, other) = (world.org(), store.clone());
    let forgetting = tokio::spawn(async move { other.forget_attribute(organization, "room").await });
    database.somebody_waits().await;
    tx.insert_users(vec![person("eve", r#"{"room":"7"}"#)]).await.unwrap();
    tx.commit().await.unwrap();
    let refused = forgetting.await.unwrap();
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
}

async fn many_users_at_once_wait_for_each_other_before_they_lock_any(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = ["ada", "ben", "eve"].map(|name| world.person(name).0);
    let ids = people.clone().map(|user| user.id);
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_users(people.to_vec()).await.unwrap();
    tx.commit().await.unwrap();
    let mut first = store.begin_identities(world.org(), at(1)).await.unwrap();
    first.definitions_alone().await.unwrap();
    first.owned_user(ids[0]).await.unwrap();
    let (organization, other) = (world.org(), store.clone());
    let second = tokio::spawn(async move {
        let mut second = other.begin_identities(organization, at(1)).await.unwrap();
        second.definitions_alone().await.unwrap();
        for id in ids.into_iter().rev() {
            second.owned_user(id).await.unwrap();
        }
        second.commit().await.unwrap();
    });
    // It waits before it has locked the last user, which the first one locks now.
    database.somebody_waits().await;
    for id in ids {
        assert!(first.owned_user(id).await.unwrap().is_some());
    }
    first.commit().await.unwrap();
    second.await.unwrap();
}

async fn a_transaction_that_another_one_ends_says_so(database: TestDatabase) {
    // SQLite has one writer at a time.
    if !database.is_postgres() {
        return;
    }
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people = ["ada", "ben"].map(|name| world.person(name).0);
    let [ada, ben] = people.clone().map(|user| user.id);
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_users(people.to_vec()).await.unwrap();
    tx.commit().await.unwrap();
    let mut first = store.begin_identities(world.org(), at(1)).await.unwrap();
    first.owned_user(ada).await.unwrap();
    let mut second = store.begin_identities(world.org(), at(1)).await.unwrap();
    second.owned_user(ben).await.unwrap();
    let crossed = tokio::spawn(async move { second.owned_user(ada).await.map(drop) });
    let outcomes = [first.owned_user(ben).await.map(drop), {
        drop(first);
        crossed.await.unwrap()
    }];
    let failed: Vec<&Error> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(matches!(failed.as_slice(), [error] if error.is_undone()), "{outcomes:?}");
}
