//! Users that are merged and split, values by which rules find users, and ignored accounts.

use crate::support::world::{World, account_of, all, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AnnouncedDirectory, AuditFilter, AuditNote, Error, Flavour, IdentityId, NewAccount, UserRow,
};
use serde_json::json;

conformance! {
    what_a_merged_user_had_moves,
    only_accounts_of_the_user_move,
    values_find_the_one_user_that_has_them,
    values_of_users_that_are_there_are_added_once,
    an_ignored_account_is_remembered,
    waiting_accounts_that_match_one_user_are_found,
    matching_rules_are_replaced_only_as_they_are_known,
}

async fn what_a_merged_user_had_moves(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let (anna, ada) = (world.person("anna"), world.person("ada"));
    let teams = [world.team("staff"), world.team("board")];
    world.import(&[anna.clone(), ada.clone()], &teams).await;
    let [staff, board] = teams.map(|(group, _)| group.id);
    let (into, gone) = (anna.0.id, ada.0.id);
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    let memberships =
        [(staff, into), (staff, gone), (board, gone)].map(|(group, user)| (group, IdentityId::User(user)));
    tx.add_members(&memberships).await.unwrap();
    let badge = [("badge".to_owned(), Some("7".to_owned()))];
    assert_eq!(tx.claim(gone, &badge).await.unwrap(), None);
    tx.commit().await.unwrap();
    let note = |object| AuditNote {
        organization: world.org(),
        at: at(1),
        actor: "ada".to_owned(),
        actor_name: "ada".to_owned(),
        address: None,
        action: "user.changed".to_owned(),
        object_id: Some(object),
        object: "x".to_owned(),
        before: None,
        after: None,
    };
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    tx.note(note(gone.as_uuid()));
    assert_eq!(tx.own_groups_of(gone).await.unwrap().len(), 2);
    tx.owned_user(into).await.unwrap();
    tx.merge_users(into, (gone, "ada"), "me").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.get_user(world.org(), gone).await.unwrap(), None);
    let accounts = store.accounts_of(world.org(), into.as_uuid()).await.unwrap();
    assert_eq!(accounts.len(), 2);
    let merged = store.merged_user(world.org(), gone).await.unwrap().unwrap();
    assert_eq!((merged.into, merged.user_name.as_str(), merged.at, merged.by.as_str()), (into, "ada", at(2), "me"));
    assert_eq!(store.merged_user(other.org(), gone).await.unwrap(), None);
    let mut tx = store.begin_identities(world.org(), at(3)).await.unwrap();
    let groups: Vec<String> = tx.own_groups_of(into).await.unwrap().into_iter().map(|(_, name)| name).collect();
    assert_eq!(groups, ["board", "staff"]);
    assert_eq!(tx.claim(gone, &badge).await.unwrap().as_deref(), Some("badge"), "the value has moved");
    tx.rollback().await.unwrap();
    // What was done with the one that is gone is found with the other.
    let filter = AuditFilter { object_id: Some(into.as_uuid()), ..AuditFilter::default() };
    let found = store.list_audit(world.org(), &filter, &all()).await.unwrap().items;
    assert_eq!(found.iter().map(|entry| entry.note.object_id).collect::<Vec<_>>(), [Some(gone.as_uuid())]);
    // Once more: the first one names the last.
    let last = world.person("last");
    world.import(std::slice::from_ref(&last), &[]).await;
    let mut tx = store.begin_identities(world.org(), at(4)).await.unwrap();
    tx.merge_users(last.0.id, (into, "anna"), "me").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.merged_user(world.org(), gone).await.unwrap().unwrap().into, last.0.id);
}

async fn only_accounts_of_the_user_move(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (anna, bert, new) = (world.person("anna"), world.person("bert"), world.person("new").0);
    world.import(&[anna.clone(), bert.clone()], &[]).await;
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_users(vec![new.clone()]).await.unwrap();
    let foreign = tx.move_accounts(&[anna.1.id, bert.1.id], anna.0.id, new.id).await;
    assert!(matches!(foreign, Err(Error::NotFound { .. })), "{foreign:?}");
    tx.rollback().await.unwrap();
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.insert_users(vec![new.clone()]).await.unwrap();
    tx.move_accounts(&[anna.1.id], anna.0.id, new.id).await.unwrap();
    assert_eq!(tx.all_accounts_of(anna.0.id).await.unwrap().len(), 0);
    assert_eq!(tx.all_accounts_of(new.id).await.unwrap()[0].id, anna.1.id);
    tx.commit().await.unwrap();
}

fn with(user: &UserRow, email: &str, number: Option<&str>) -> UserRow {
    let attributes = number.map_or_else(|| json!({}), |number| json!({ "employee_number": number }));
    UserRow { email: Some(email.to_owned()), attributes: attributes.to_string(), ..user.clone() }
}

async fn values_find_the_one_user_that_has_them(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let number = "attributes.employee_number";
    for organization in [world.org(), other.org()] {
        store.keep_match_field(organization, "email", at(0)).await.unwrap();
        store.keep_match_field(organization, number, at(0)).await.unwrap();
    }
    let [anna, bert, cleo] = ["anna", "bert", "cleo"].map(|name| world.person(name));
    world.import(&[anna.clone(), bert.clone(), cleo.clone()], &[]).await;
    let rows = [with(&anna.0, " A@x ", Some("7")), with(&bert.0, "b@x", Some("8")), with(&cleo.0, "B@X", None)];
    let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
    tx.update_profiles(rows.to_vec()).await.unwrap();
    tx.commit().await.unwrap();
    let find = async |world: &World, field: &str, keys: &[&str]| {
        let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
        let keys = keys.iter().map(|key| postern_store::match_key(key).unwrap()).collect();
        let mut found = tx.users_of_keys(field, keys).await.unwrap();
        tx.rollback().await.unwrap();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found.into_iter().map(|(key, user)| (key, user.map(|user| (user.user, user.name_key)))).collect::<Vec<_>>()
    };
    let one = |key: &str, user: &UserRow| (key.to_owned(), Some((user.id, user.name_key.clone())));
    let found = find(&world, "email", &["a@X", "b@x", "nobody@x"]).await;
    assert_eq!(found, [one("a@x", &anna.0), ("b@x".to_owned(), None)]);
    assert_eq!(find(&world, number, &["7", "8"]).await, [one("7", &anna.0), one("8", &bert.0)]);
    assert_eq!(find(&other, "email", &["a@x"]).await, []);
    let keys = ["a@x", "b@x", "nobody@x"].map(str::to_owned).to_vec();
    let with_keys: Vec<String> =
        store.users_with_keys(world.org(), "email", keys).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(with_keys, ["a@x", "b@x", "b@x"]);
    assert_eq!(postern_store::match_key(" \u{200b} "), None);
    // Values that are gone find nobody.
    let mut tx = store.begin_identities(world.org(), at(3)).await.unwrap();
    tx.update_users(vec![with(&bert.0, "other@x", None)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(find(&world, "email", &["b@x"]).await, [one("b@x", &cleo.0)]);
    assert_eq!(find(&world, number, &["8"]).await, []);
}

async fn values_of_users_that_are_there_are_added_once(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people: Vec<_> = (0..2_100).map(|number| world.person(&format!("user{number}"))).collect();
    world.import(&people, &[]).await;
    for _ in 0..2 {
        store.keep_match_field(world.org(), "email", at(1)).await.unwrap();
        for number in [0, 1_999, 2_000, 2_099] {
            let key = format!("user{number}@corp.example");
            let found = store.users_with_keys(world.org(), "email", vec![key.clone()]).await.unwrap();
            assert_eq!(found, [(key, people[number].0.id)]);
        }
    }
}

fn waiting(name: &str) -> NewAccount {
    NewAccount { conflict: Some(name.to_owned()), ..account_of(AccountKind::User, name, None) }
}

async fn an_ignored_account_is_remembered(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let (corp, account) = (world.directory.id, waiting("anna"));
    let mut tx = store.begin_intake(world.org(), corp, at(1)).await.unwrap();
    tx.insert_accounts(vec![account.clone()]).await.unwrap();
    let wrong = tx.ignore_conflict(account.id, "bert", "me").await;
    assert!(matches!(wrong, Err(Error::NotFound { .. })), "{wrong:?}");
    tx.ignore_conflict(account.id, "anna", "me").await.unwrap();
    assert_eq!(tx.ignored(&[account.id]).await.unwrap(), [account.id]);
    tx.commit().await.unwrap();
    assert_eq!(store.list_conflicts(world.org(), corp, &all()).await.unwrap().items, []);
    let ignored = store.list_ignored(world.org(), corp, &all()).await.unwrap().items;
    assert_eq!(ignored.len(), 1);
    assert_eq!((ignored[0].name_key.as_str(), ignored[0].at, ignored[0].by.as_str()), ("anna", at(1), "me"));
    assert_eq!(store.get_ignored(world.org(), account.id).await.unwrap().as_ref(), ignored.first());
    assert_eq!(store.get_ignored(other.org(), account.id).await.unwrap(), None);
    assert_eq!(store.list_ignored(other.org(), corp, &all()).await.unwrap().items, []);
    let mut tx = store.begin_intake(other.org(), other.directory.id, at(2)).await.unwrap();
    assert_eq!(tx.ignored(&[account.id]).await.unwrap(), []);
    let foreign = tx.ask_again(account.id).await;
    assert!(matches!(foreign, Err(Error::NotFound { .. })), "{foreign:?}");
    tx.rollback().await.unwrap();
    let mut tx = store.begin_intake(world.org(), corp, at(3)).await.unwrap();
    tx.ask_again(account.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.list_conflicts(world.org(), corp, &all()).await.unwrap().items[0].name_key, "anna");
    assert_eq!(store.get_ignored(world.org(), account.id).await.unwrap(), None);
}

async fn waiting_accounts_that_match_one_user_are_found(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (anna, bert) = (world.person("anna"), world.person("bert"));
    let served = [AnnouncedDirectory { name: "lab".to_owned(), flavour: Flavour::OpenLdap }];
    let lab = store.announce_directories(world.org(), world.agent.id, &served, at(0)).await.unwrap().remove(0).id;
    world.import(&[anna.clone(), bert.clone()], &[]).await;
    let [one, two, three] = ["one", "two", "three"].map(waiting);
    let mut tx = store.begin_intake(world.org(), lab, at(1)).await.unwrap();
    tx.insert_accounts(vec![one.clone(), two.clone(), three.clone()]).await.unwrap();
    let (anna, bert) = (anna.0.id, bert.0.id);
    tx.note_matches(&[(one.id, Some(anna)), (two.id, Some(anna)), (three.id, Some(bert))]).await.unwrap();
    assert_eq!(tx.matched_by_several(&[anna, bert]).await.unwrap(), [anna]);
    tx.note_matches(&[(two.id, None)]).await.unwrap();
    assert_eq!(tx.matched_by_several(&[anna, bert]).await.unwrap(), []);
    tx.note_matches(&[(two.id, Some(anna))]).await.unwrap();
    tx.decide_conflict(one.id, "one", anna).await.unwrap();
    assert_eq!(tx.matched_by_several(&[anna, bert]).await.unwrap(), [], "one of them has its user");
    tx.commit().await.unwrap();
}

async fn matching_rules_are_replaced_only_as_they_are_known(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "other").await;
    let (organization, corp, rules) = (world.org(), world.directory.id, json!([{ "field": "email" }]));
    assert_eq!(store.matching(organization, corp).await.unwrap(), None);
    assert!(store.set_matching(organization, corp, None, Some(&rules)).await.unwrap());
    assert!(!store.set_matching(organization, corp, None, None).await.unwrap(), "they are others by now");
    assert!(!store.set_matching(other.org(), corp, Some(&rules), None).await.unwrap());
    assert_eq!(store.matching(organization, corp).await.unwrap().as_ref(), Some(&rules));
    assert_eq!(store.matching(other.org(), corp).await.unwrap(), None);
    let tx = store.begin_intake(organization, corp, at(1)).await.unwrap();
    assert_eq!(tx.matching(), Some(&rules));
    tx.rollback().await.unwrap();
    assert!(store.set_matching(organization, corp, Some(&rules), None).await.unwrap());
    assert_eq!(store.matching(organization, corp).await.unwrap(), None);
}
