//! Mapping stored accounts anew: what is claimed, what is stale, and what is written of it.

use crate::support::world::{World, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, Finish, JobId, MappingDirection, MappingStep, NewMapping, Restamp, RuleFailures, Store,
};
use serde_json::json;

const IN: MappingDirection = MappingDirection::Inbound;

conformance! {
    a_run_is_claimed_by_one_and_goes_on_where_it_was,
    a_new_version_begins_the_run_anew,
    a_run_waits_for_an_import_that_began_before_the_rules,
    stale_accounts_come_by_key_and_are_stamped_only_if_nobody_changed_them,
    profiles_are_those_of_the_organization,
    failures_of_rules_are_counted_once_and_sampled_in_order,
}

async fn save(store: &Store, world: &World, version: u32, seconds: i64) {
    let rules = NewMapping { rules: json!([]), restored_from: None, created_by: "me".to_owned() };
    store.save_mapping(world.org(), world.directory.id, IN, version, rules, at(seconds)).await.unwrap();
}

/// A step in which two users changed and so many rules failed.
fn failed(count: u64) -> MappingStep {
    MappingStep { changed: 2, failures: RuleFailures { count, samples: json!([{ "failures": count }]) } }
}

async fn a_run_is_claimed_by_one_and_goes_on_where_it_was(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (org, directory) = (world.org(), world.directory.id);
    assert_eq!(store.claim_mapping(at(60), at(0)).await.unwrap(), None);
    assert_eq!(store.mapping_progress(org, directory).await.unwrap(), None);
    save(store, &world, 0, 1).await;
    let mut run = store.claim_mapping(at(60), at(0)).await.unwrap().unwrap();
    assert_eq!((run.organization, run.directory, run.version), (org, directory, 1));
    assert_eq!((run.kind, run.after.is_empty()), (AccountKind::User, true));
    assert_eq!(store.claim_mapping(at(60), at(59)).await.unwrap(), None, "somebody has it");
    run.after = vec![7];
    assert!(store.advance_mapping(&mut run, &failed(3), at(90)).await.unwrap());
    // Its owner has died.
    let mut other = store.claim_mapping(at(200), at(91)).await.unwrap().unwrap();
    assert_eq!(other.after, [7]);
    assert!(!store.advance_mapping(&mut run, &failed(5), at(300)).await.unwrap(), "somebody else has it now");
    assert!(store.advance_mapping(&mut other, &failed(4), at(300)).await.unwrap());
    let progress = store.mapping_progress(org, directory).await.unwrap().unwrap();
    assert_eq!((progress.version, progress.done, progress.failures), (1, false, 7));
    assert_eq!((progress.changed, progress.samples, progress.finished_at), (4, json!([{ "failures": 3 }]), None));
    let read = store.get_directory(org, directory).await.unwrap().unwrap();
    assert_eq!(read.mapping_failures, 7);
    assert!(store.finish_mapping(&other, at(400), at(500)).await.unwrap());
    let progress = store.mapping_progress(org, directory).await.unwrap().unwrap();
    assert_eq!((progress.done, progress.finished_at), (true, Some(at(500))));
    assert_eq!(store.claim_mapping(at(900), at(800)).await.unwrap(), None);
}

async fn a_new_version_begins_the_run_anew(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    save(store, &world, 0, 1).await;
    let mut run = store.claim_mapping(at(60), at(0)).await.unwrap().unwrap();
    run.after = vec![9];
    assert!(store.advance_mapping(&mut run, &failed(2), at(90)).await.unwrap());
    save(store, &world, 1, 2).await;
    assert!(!store.advance_mapping(&mut run, &failed(0), at(90)).await.unwrap(), "it is of an older version");
    assert!(!store.finish_mapping(&run, at(90), at(500)).await.unwrap());
    let next = store.claim_mapping(at(60), at(3)).await.unwrap().unwrap();
    assert_eq!((next.version, next.after.is_empty()), (2, true));
    let progress = store.mapping_progress(world.org(), world.directory.id).await.unwrap().unwrap();
    assert_eq!((progress.version, progress.done, progress.failures), (2, false, 0));
    assert_eq!((progress.changed, progress.samples), (0, json!([])));
}

async fn a_run_waits_for_an_import_that_began_before_the_rules(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    world.create("import").await;
    let import = world.claim().await.remove(0);
    save(store, &world, 0, 1).await;
    let mut run = store.claim_mapping(at(60), at(0)).await.unwrap().unwrap();
    run.after = vec![9];
    assert!(store.advance_mapping(&mut run, &failed(0), at(60)).await.unwrap());
    assert!(!store.finish_mapping(&run, at(30), at(500)).await.unwrap(), "the import maps by older rules");
    assert_eq!(store.claim_mapping(at(90), at(29)).await.unwrap(), None);
    let again = store.claim_mapping(at(90), at(30)).await.unwrap().unwrap();
    assert!(again.after.is_empty(), "from the beginning");
    assert!(store.finish(&import.lease().unwrap(), &Finish::Succeeded(json!({})), at(40)).await.unwrap());
    assert!(store.finish_mapping(&again, at(60), at(500)).await.unwrap());
}

async fn stale_accounts_come_by_key_and_are_stamped_only_if_nobody_changed_them(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let mut people: Vec<_> = (0..5).map(|number| world.person(&format!("user{number}"))).collect();
    for (_, account) in &mut people {
        account.hash[10..13].copy_from_slice(&[0, 0, 0]);
    }
    people[4].1.hash[12] = 1;
    world.import(&people, &[world.team("staff")]).await;
    save(store, &world, 0, 1).await;
    let mut run = store.claim_mapping(at(60), at(0)).await.unwrap().unwrap();
    let stale = store.stale_accounts(&run, [0, 0, 1], 10).await.unwrap();
    let mut wanted: Vec<_> = people[..4].iter().map(|(_, account)| account.external_key.clone()).collect();
    wanted.sort_unstable();
    let keys = |stale: &[postern_store::StaleAccount]| -> Vec<_> {
        stale.iter().map(|stale| stale.account.external_key.clone()).collect()
    };
    assert_eq!(keys(&stale), wanted, "not the one of this version, and no group");
    run.pass(&wanted[1]);
    assert_eq!(keys(&store.stale_accounts(&run, [0, 0, 1], 1).await.unwrap()), wanted[2..3]);
    let restamp = |stale: &postern_store::StaleAccount| {
        let mut after = stale.hash;
        after[12] = 1;
        Restamp { account: stale.account.id, before: stale.hash, after }
    };
    let mut restamps: Vec<Restamp> = stale.iter().map(restamp).collect();
    // Nothing happens to accounts of somebody else.
    let mut tx = store.begin_intake(other.org(), other.directory.id, at(2)).await.unwrap();
    assert_eq!(tx.restamp(&restamps).await.unwrap(), 0);
    tx.commit().await.unwrap();
    restamps[3].before = [9; 16];
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    assert_eq!(tx.restamp(&restamps).await.unwrap(), 3, "one was changed meanwhile");
    tx.commit().await.unwrap();
    run.after = Vec::new();
    assert_eq!(keys(&store.stale_accounts(&run, [0, 0, 1], 10).await.unwrap()), wanted[3..]);
    run.kind = AccountKind::Group;
    assert_eq!(store.stale_accounts(&run, [0, 0, 1], 10).await.unwrap().len(), 1);
}

async fn profiles_are_those_of_the_organization(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let (mut ada, staff) = (world.person("ada"), world.team("staff"));
    r#"{"title":"Countess"}"#.clone_into(&mut ada.0.attributes);
    let mut strangers = other.person("eve");
    strangers.1.external_key = postern_store::ExternalKey::from_text("eve of other");
    world.import(std::slice::from_ref(&ada), std::slice::from_ref(&staff)).await;
    other.import(std::slice::from_ref(&strangers), &[]).await;
    let ids = vec![ada.0.id.as_uuid(), strangers.0.id.as_uuid(), staff.0.id.as_uuid()];
    let users = store.user_profiles(world.org(), ids.clone()).await.unwrap();
    assert_eq!(users.len(), 1, "neither strangers nor groups");
    let (id, profile) = &users[0];
    assert_eq!((*id, &profile.display_name), (ada.0.id.as_uuid(), &ada.0.display_name));
    assert_eq!((&profile.given_name, &profile.family_name, &profile.email), (&ada.0.given_name, &None, &ada.0.email));
    let attributes: serde_json::Value = serde_json::from_str(&profile.attributes).unwrap();
    assert_eq!(attributes, json!({"title": "Countess"}));
    let groups = store.group_profiles(world.org(), ids).await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].0, groups[0].1.display_name.as_deref()), (staff.0.id.as_uuid(), Some("staff")));
    assert!(store.user_profiles(world.org(), Vec::new()).await.unwrap().is_empty());
}

async fn failures_of_rules_are_counted_once_and_sampled_in_order(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    world.create("import").await;
    let job = world.claim().await.remove(0);
    let failures = |count: u64| RuleFailures { count, samples: json!([{ "count": count }]) };
    let record = async |of: JobId, recorded: Vec<(u64, u32, RuleFailures)>| {
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
        tx.record_rule_failures(of, 1, recorded).await.unwrap();
        tx.commit().await.unwrap();
    };
    assert_eq!(store.rule_failures(world.org(), job.id, 1, 5).await.unwrap(), (0, Vec::new()));
    record(job.id, vec![(2, 0, failures(20)), (1, 4, failures(3)), (1, 0, failures(1))]).await;
    // A chunk that comes again counts once.
    record(job.id, vec![(2, 0, failures(5))]).await;
    let found = store.rule_failures(world.org(), job.id, 1, 2).await.unwrap();
    assert_eq!(found, (9, vec![failures(1), failures(3)]));
    assert_eq!(store.rule_failures(world.org(), job.id, 2, 5).await.unwrap().0, 0, "another generation");
    let other = World::new(store, "other").await;
    assert_eq!(store.rule_failures(other.org(), job.id, 1, 5).await.unwrap().0, 0, "another organization");
}
