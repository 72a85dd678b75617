//! Values of unique attributes, claimed by many users at once.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use postern_store::{Store, UserId};
use support::world::{World, at};
use support::{TestDatabase, conformance};

conformance! {
    one_of_many_gets_a_value_and_the_others_keep_theirs,
    values_of_other_organizations_and_attributes_do_not_matter,
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
