//! The rules of directories, version by version.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{DirectoryId, Error, MappingDirection, NewMapping};
use serde_json::json;

const IN: MappingDirection = MappingDirection::Inbound;

conformance! {
    versions_of_rules_follow_each_other,
    rules_of_another_organization_do_not_exist,
    only_the_newest_versions_of_rules_are_kept,
    both_directions_have_versions_of_their_own,
}

fn rules(text: &str) -> NewMapping {
    NewMapping { rules: json!([text]), restored_from: None, created_by: "me".to_owned() }
}

async fn versions_of_rules_follow_each_other(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (organization, directory) = (world.org(), world.directory.id);
    assert_eq!(store.current_mapping(organization, directory, IN).await.unwrap(), None);
    let first = store.save_mapping(organization, directory, IN, 0, rules("a"), at(1)).await.unwrap();
    assert_eq!((first.version, &first.rules, first.created_at), (1, &json!(["a"]), at(1)));
    for stale in [0, 2] {
        let stale = store.save_mapping(organization, directory, IN, stale, rules("b"), at(2)).await;
        assert!(matches!(stale, Err(Error::Conflict { .. })), "{stale:?}");
    }
    let back = NewMapping { restored_from: Some(1), ..rules("c") };
    let second = store.save_mapping(organization, directory, IN, 1, back, at(3)).await.unwrap();
    assert_eq!(store.current_mapping(organization, directory, IN).await.unwrap(), Some(second.clone()));
    assert_eq!(store.mapping_version(organization, directory, IN, 1).await.unwrap(), Some(first.clone()));
    assert_eq!(store.mapping_version(organization, directory, IN, 3).await.unwrap(), None);
    assert_eq!(store.mapping_versions(organization, directory, IN).await.unwrap(), [second, first]);
}

async fn rules_of_another_organization_do_not_exist(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let directory = world.directory.id;
    store.save_mapping(world.org(), directory, IN, 0, rules("a"), at(1)).await.unwrap();
    assert_eq!(store.current_mapping(other.org(), directory, IN).await.unwrap(), None);
    assert_eq!(store.mapping_version(other.org(), directory, IN, 1).await.unwrap(), None);
    assert!(store.mapping_versions(other.org(), directory, IN).await.unwrap().is_empty());
    for (organization, directory) in [(other.org(), directory), (world.org(), DirectoryId::new())] {
        let refused = store.save_mapping(organization, directory, IN, 1, rules("b"), at(2)).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(store.mapping_versions(world.org(), directory, IN).await.unwrap().len(), 1);
}

async fn only_the_newest_versions_of_rules_are_kept(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    for version in 0..103 {
        store.save_mapping(world.org(), world.directory.id, IN, version, rules("a"), at(1)).await.unwrap();
    }
    let kept = store.mapping_versions(world.org(), world.directory.id, IN).await.unwrap();
    assert_eq!((kept.len(), kept[0].version, kept[99].version), (100, 103, 4));
}

async fn both_directions_have_versions_of_their_own(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (organization, directory, out) = (world.org(), world.directory.id, MappingDirection::Outbound);
    let saved = store.save_mapping(organization, directory, out, 0, rules("out"), at(1)).await.unwrap();
    assert_eq!(saved.version, 1);
    assert_eq!(store.current_mapping(organization, directory, IN).await.unwrap(), None);
    assert_eq!(store.mapping_progress(organization, directory).await.unwrap(), None, "no account is mapped anew");
    for version in 0..101 {
        store.save_mapping(organization, directory, IN, version, rules("in"), at(2)).await.unwrap();
    }
    assert_eq!(store.current_mapping(organization, directory, out).await.unwrap(), Some(saved.clone()));
    assert_eq!(store.mapping_version(organization, directory, out, 1).await.unwrap(), Some(saved));
    assert_eq!(store.mapping_version(organization, directory, out, 7).await.unwrap(), None);
    assert_eq!(store.mapping_versions(organization, directory, out).await.unwrap().len(), 1);
}
