//! Users that the organization makes and changes itself, beside what directories say of them.

use crate::support::world::{World, account_of, all, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AccountKind, AuditFilter, Error, Holder, Identities, NewAccount, OwnedUser, Store, Suspension, UserId, UserRow,
};
use serde_json::json;

conformance! {
    own_values_fill_what_a_directory_leaves_open,
    no_import_lifts_an_administrators_decision,
    a_directory_has_its_say_when_a_decision_ends,
    own_values_are_true_again_when_no_directory_has_the_user,
    a_user_whom_a_directory_has_is_not_deleted,
    a_deleted_leaver_comes_back_without_accounts,
    what_an_administrator_decided_of_a_deleted_user_is_found_by_name,
    foreign_users_are_not_touched,
    many_users_are_found_by_their_names_at_once,
    a_conflict_says_whether_the_organization_made_the_user_who_has_the_name,
    deleted_users_are_found_by_name_or_id,
    a_decision_whose_time_is_over_ends_once_and_is_in_the_audit_log,
}

async fn identities(store: &Store, world: &World, now: i64) -> Identities {
    store.begin_identities(world.org(), at(now)).await.unwrap()
}

async fn owned(store: &Store, world: &World, user: UserId) -> OwnedUser {
    store.get_owned_user(world.org(), user).await.unwrap().unwrap()
}

fn suspension(until: Option<i64>) -> Suspension {
    Suspension { at: at(5), by: "ada".to_owned(), reason: None, until: until.map(at) }
}

async fn own_values_fill_what_a_directory_leaves_open(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    let user = UserRow { display_name: None, attributes: json!({"title": "Dr."}).to_string(), ..user };
    world.import(&[(user.clone(), account)], &[]).await;
    let own = json!({"display_name": "Anna L.", "attributes": {"title": "Prof.", "floor": "3"}}).to_string();
    let mut tx = identities(store, &world, 2).await;
    let row = UserRow { display_name: Some("Anna L.".to_owned()), ..user.clone() };
    tx.write_owned(row, Some(own.clone())).await.unwrap();
    tx.commit().await.unwrap();
    // An import brings the same entry once more, and then one with a display name.
    let mut tx = identities(store, &world, 3).await;
    tx.update_profiles(vec![user.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let found = owned(store, &world, user.id).await;
    assert_eq!((found.row.display_name.as_deref(), found.own.as_deref()), (Some("Anna L."), Some(own.as_str())));
    assert_eq!(found.row.attributes, json!({"floor": "3", "title": "Dr."}).to_string());
    let page = store.list_users(world.org(), Some("anna l"), &all()).await.unwrap();
    assert_eq!(page.items.len(), 1, "it is found by it");
    let mut tx = identities(store, &world, 4).await;
    let row = UserRow { display_name: Some("Anna of corp".to_owned()), ..user.clone() };
    tx.update_users(vec![row]).await.unwrap();
    tx.commit().await.unwrap();
    let found = owned(store, &world, user.id).await;
    assert_eq!((found.row.display_name.as_deref(), found.is_own), (Some("Anna of corp"), false));
}

async fn no_import_lifts_an_administrators_decision(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    world.import(&[(user.clone(), account)], &[]).await;
    for (until, now, active) in [(None, 9_000, false), (Some(10), 9, false), (Some(10), 10, true)] {
        let mut tx = identities(store, &world, 5).await;
        tx.suspend(user.id, &suspension(until)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!owned(store, &world, user.id).await.row.active);
        let mut tx = identities(store, &world, now).await;
        tx.update_users(vec![user.clone()]).await.unwrap();
        tx.settle_users(&[user.id]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(owned(store, &world, user.id).await.row.active, active, "until {until:?}, at {now}");
    }
}

async fn a_directory_has_its_say_when_a_decision_ends(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (on, on_account) = world.person("on");
    let (off, off_account) = world.person("off");
    let off_account = postern_store::NewAccount { switch: postern_store::Switch::Off, ..off_account };
    world.import(&[(on.clone(), on_account), (off.clone(), off_account)], &[]).await;
    let alone = UserRow { active: true, ..world.person("alone").0 };
    let mut tx = identities(store, &world, 2).await;
    tx.insert_own_users(vec![(alone.clone(), "{}".to_owned())]).await.unwrap();
    tx.settle_users(&[on.id, off.id, alone.id]).await.unwrap();
    // Twice: the second decision must not forget what the user was before the first.
    for _ in 0..2 {
        for user in [on.id, off.id, alone.id] {
            tx.suspend(user, &suspension(None)).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    for (user, active) in [(on.id, true), (off.id, false), (alone.id, true)] {
        let mut tx = identities(store, &world, 6).await;
        tx.resume(user).await.unwrap();
        tx.commit().await.unwrap();
        let found = owned(store, &world, user).await;
        assert_eq!((found.row.active, found.suspension), (active, None), "{}", found.row.user_name);
    }
}

async fn own_values_are_true_again_when_no_directory_has_the_user(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let [(anna, of_anna), (bert, of_bert)] = ["anna", "bert"].map(|name| world.person(name));
    let anna = UserRow { attributes: json!({"title": "Clerk", "room": "7"}).to_string(), ..anna };
    world.import(&[(anna.clone(), of_anna.clone()), (bert.clone(), of_bert.clone())], &[]).await;
    let own = json!({"email": "own@x", "attributes": {"title": "Dr."}}).to_string();
    let mut tx = identities(store, &world, 2).await;
    tx.write_owned(anna.clone(), Some(own)).await.unwrap();
    tx.commit().await.unwrap();
    let job = postern_store::JobId::new();
    let mut intake = store.begin_intake(world.org(), world.directory.id, at(3)).await.unwrap();
    intake.mark_missing(job, &[of_anna.id, of_bert.id]).await.unwrap();
    intake.commit().await.unwrap();
    let nobody = postern_store::AccountId::from_uuid(uuid::Uuid::nil());
    let heirs = store.heirs(world.org(), world.directory.id, job, nobody, 10).await.unwrap();
    assert_eq!(
        heirs.iter().map(|heir| heir.user).collect::<Vec<_>>(),
        [anna.id],
        "the organization says nothing of Bert"
    );
    let mut tx = identities(store, &world, 4).await;
    let mut rows = [anna.clone(), bert.clone()];
    tx.put_own_values(&mut rows).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((rows[0].email.as_deref(), &rows[0].display_name), (Some("own@x"), &anna.display_name));
    let further: serde_json::Value = serde_json::from_str(&rows[0].attributes).unwrap();
    assert_eq!(further, json!({"title": "Dr.", "room": "7"}), "what the organization leaves open stays");
    assert_eq!(rows[1], bert);
}

async fn a_user_whom_a_directory_has_is_not_deleted(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    world.import(&[(user.clone(), account)], &[]).await;
    let mut tx = identities(store, &world, 2).await;
    assert_eq!(tx.directories_with(user.id).await.unwrap(), ["corp"]);
    let found = tx.owned_user(user.id).await.unwrap().unwrap();
    assert!(matches!(tx.delete_user(found, "ada").await, Err(Error::Conflict { .. })));
    tx.rollback().await.unwrap();
    assert_eq!(store.list_deleted_users(world.org(), &all()).await.unwrap().items, []);
}

async fn a_deleted_leaver_comes_back_without_accounts(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let (user, account) = world.person("anna");
    let (staff, gone) = (world.team("staff").0, world.team("gone").0);
    world.import(&[(user.clone(), account.clone())], &[]).await;
    let mut intake = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    intake.mark_missing(postern_store::JobId::new(), &[account.id]).await.unwrap();
    let tx = intake.identities();
    tx.insert_groups(vec![staff.clone(), gone.clone()]).await.unwrap();
    let member = postern_store::IdentityId::User(user.id);
    tx.add_members(&[(staff.id, member), (gone.id, member)]).await.unwrap();
    intake.commit().await.unwrap();
    let mut tx = identities(store, &world, 3).await;
    let found = tx.owned_user(user.id).await.unwrap().unwrap();
    tx.delete_user(found, "ada").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.get_account(world.org(), account.id).await.unwrap(), None);
    assert_eq!(store.list_group_members(world.org(), staff.id, &all()).await.unwrap().items, []);
    database.execute(&format!("DELETE FROM groups WHERE display_name = '{}'", gone.display_name)).await;
    let mut tx = identities(store, &world, 4).await;
    assert_eq!(tx.restore_user(user.id).await.unwrap().user_name, "anna");
    tx.commit().await.unwrap();
    let found = owned(store, &world, user.id).await;
    assert_eq!((found.is_own, found.row.active, found.row.missing_since), (true, false, None), "{found:?}");
    assert_eq!(found.row.created_at, owned(store, &world, user.id).await.row.created_at);
    let groups = store.groups_of(world.org(), user.id.as_uuid(), &all()).await.unwrap().items;
    assert_eq!(groups.iter().map(|group| group.id).collect::<Vec<_>>(), [staff.id]);
    let mut tx = identities(store, &world, 5).await;
    assert!(matches!(tx.restore_user(user.id).await, Err(Error::NotFound { .. })));
}

async fn foreign_users_are_not_touched(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "other").await);
    let user = UserRow { active: true, ..world.person("anna").0 };
    let mut tx = identities(store, &world, 2).await;
    tx.insert_own_users(vec![(user.clone(), "{}".to_owned())]).await.unwrap();
    assert_eq!(tx.taken_names(vec!["anna".to_owned(), "bo".to_owned()]).await.unwrap(), ["anna"]);
    tx.commit().await.unwrap();
    let before = owned(store, &world, user.id).await;
    let mut tx = identities(store, &other, 3).await;
    assert_eq!(tx.owned_user(user.id).await.unwrap(), None);
    assert_eq!(tx.taken_names(vec!["anna".to_owned()]).await.unwrap(), [""; 0]);
    tx.suspend(user.id, &suspension(None)).await.unwrap();
    tx.resume(user.id).await.unwrap();
    let written = tx.write_owned(UserRow { user_name: "eve".to_owned(), ..user.clone() }, None).await;
    assert!(matches!(written, Err(Error::NotFound { .. })));
    assert!(matches!(tx.restore_user(user.id).await, Err(Error::NotFound { .. })));
    tx.commit().await.unwrap();
    assert_eq!(owned(store, &world, user.id).await, before);
}

async fn what_an_administrator_decided_of_a_deleted_user_is_found_by_name(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "other").await);
    let people = ["anna", "bo", "cleo"].map(|name| UserRow { active: true, ..world.person(name).0 });
    let newcomers = [&people[0], &people[1], &people[2]].map(|user| UserRow { id: UserId::new(), ..user.clone() });
    let mut tx = identities(store, &world, 2).await;
    assert_eq!(tx.deleted_suspensions(&newcomers).await.unwrap(), [], "nobody was deleted");
    tx.insert_own_users(people.iter().map(|user| (user.clone(), "{}".to_owned())).collect()).await.unwrap();
    tx.suspend(people[0].id, &suspension(None)).await.unwrap();
    tx.suspend(people[1].id, &suspension(Some(9))).await.unwrap();
    for user in &people {
        let found = tx.owned_user(user.id).await.unwrap().unwrap();
        tx.delete_user(found, "ada").await.unwrap();
    }
    tx.commit().await.unwrap();
    let of = async |world: &World, now: i64| {
        let mut tx = identities(store, world, now).await;
        let found = tx.deleted_suspensions(&newcomers).await.unwrap();
        found.into_iter().map(|(user, suspension)| (user, suspension.until)).collect::<Vec<_>>()
    };
    assert_eq!(of(&world, 8).await, [(newcomers[0].id, None), (newcomers[1].id, Some(at(9)))]);
    assert_eq!(of(&world, 9).await, [(newcomers[0].id, None)], "a decision whose time is over");
    assert_eq!(of(&other, 8).await, []);
    // A restored user is not deleted any more.
    let mut tx = identities(store, &world, 8).await;
    tx.restore_user(people[0].id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(of(&world, 9).await, []);
}

async fn many_users_are_found_by_their_names_at_once(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "two").await;
    let (anna, account) = world.person("anna");
    world.import(&[(anna.clone(), account)], &[]).await;
    let (bo, account) = other.person("bo");
    other.import(&[(bo, account)], &[]).await;
    let mut tx = identities(store, &world, 5).await;
    tx.suspend(anna.id, &suspension(None)).await.unwrap();
    let names = ["anna", "bo", "nobody"].map(str::to_owned).to_vec();
    let found = tx.owned_users_of_names(names).await.unwrap();
    assert_eq!(found.iter().map(|user| user.row.id).collect::<Vec<_>>(), [anna.id]);
    assert_eq!(found[0], tx.owned_user(anna.id).await.unwrap().unwrap(), "the same as one by one");
    assert!(tx.owned_users_of_names(Vec::new()).await.unwrap().is_empty());
    tx.rollback().await.unwrap();
}

async fn deleted_users_are_found_by_name_or_id(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let other = World::new(store, "two").await;
    let (user, _) = world.person("anna");
    let mut tx = identities(store, &world, 1).await;
    tx.insert_own_users(vec![(user.clone(), "{}".to_owned())]).await.unwrap();
    let kept = tx.owned_user(user.id).await.unwrap().unwrap();
    tx.delete_user(kept, "ada").await.unwrap();
    tx.commit().await.unwrap();
    let (nil, id) = (uuid::Uuid::nil(), user.id.as_uuid());
    for (name, ids, finds) in
        [("anna", (nil, nil), true), ("", (id, id), true), ("", (nil, id), true), ("ann", (nil, nil), false)]
    {
        let found = store.deleted_users_like(world.org(), name, ids).await.unwrap();
        assert_eq!(found.len(), usize::from(finds), "{name:?} {ids:?}");
        assert!(store.deleted_users_like(other.org(), name, ids).await.unwrap().is_empty());
    }
}

async fn a_conflict_says_whether_the_organization_made_the_user_who_has_the_name(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let own = world.person("ada").0;
    let mut tx = identities(store, &world, 1).await;
    tx.insert_own_users(vec![(own.clone(), "{}".to_owned())]).await.unwrap();
    tx.commit().await.unwrap();
    let (bert, of_bert) = world.person("bert");
    world.import(&[(bert, of_bert.clone())], &[]).await;
    let waits = |dn: &str, name: &str| NewAccount {
        conflict: Some(name.to_owned()),
        ..account_of(AccountKind::User, dn, None)
    };
    let add = async |accounts: Vec<NewAccount>| {
        let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
        tx.insert_accounts(accounts).await.unwrap();
        tx.commit().await.unwrap();
    };
    add(vec![waits("uid=1", "ada"), waits("uid=2", "bert"), waits("uid=3", "nobody")]).await;
    let holders = async || {
        let listed = store.list_conflicts(world.org(), world.directory.id, &all()).await.unwrap().items;
        let mut found: Vec<_> = listed.into_iter().map(|one| (one.name_key, one.holder, one.holder_dn)).collect();
        found.sort();
        found
    };
    let of = |name: &str, holder, dn: Option<&str>| (name.to_owned(), holder, dn.map(str::to_owned));
    let of_bert = of("bert", Holder::Directory, Some(of_bert.dn.as_str()));
    let nobody = of("nobody", Holder::Nobody, None);
    assert_eq!(holders().await, [of("ada", Holder::Organization, None), of_bert.clone(), nobody.clone()]);
    // A directory has the user, too.
    add(vec![account_of(AccountKind::User, "uid=4", Some(own.id.as_uuid()))]).await;
    let dn = holders().await[0].2.clone();
    assert_eq!(holders().await, [of("ada", Holder::Directory, dn.as_deref()), of_bert, nobody]);
}

async fn a_decision_whose_time_is_over_ends_once_and_is_in_the_audit_log(database: TestDatabase) {
    let (store, world) = (&database.store, World::new(&database.store, "one").await);
    let people: Vec<_> = ["ada", "ben", "eve"].iter().map(|name| world.person(name)).collect();
    world.import(&people, &[]).await;
    let until = [Some(10), Some(10), Some(11)];
    let mut tx = identities(store, &world, 5).await;
    for ((user, _), until) in people.iter().zip(until) {
        tx.suspend(user.id, &suspension(until)).await.unwrap();
    }
    tx.commit().await.unwrap();
    // An import is first to see that the time of one is over. It says nothing of it.
    let mut tx = identities(store, &world, 10).await;
    tx.settle_users(&[people[0].0.id]).await.unwrap();
    tx.commit().await.unwrap();
    // Every replica looks for those.
    let replicas = [database.again().await, database.again().await];
    let (one, other) = tokio::join!(replicas[0].end_suspensions(at(10)), replicas[1].end_suspensions(at(10)));
    assert_eq!(one.unwrap() + other.unwrap(), 2);
    assert_eq!(store.end_suspensions(at(10)).await.unwrap(), 0);
    let filter = AuditFilter { action: Some("user.enabled".to_owned()), ..AuditFilter::default() };
    let mut found = store.list_audit(world.org(), &filter, &all()).await.unwrap().items;
    found.sort_by(|one, other| one.note.object.cmp(&other.note.object));
    let facts: Vec<_> = found.iter().map(|entry| (entry.note.actor.as_str(), entry.note.object.as_str())).collect();
    assert_eq!(facts, [("system", "ada"), ("system", "ben")]);
    let before = found[0].note.before.clone().unwrap();
    assert_eq!((&before["by"], &before["until"]), (&json!("ada"), &json!(at(10))));
    assert_eq!(store.verify_audit(world.org(), None).await.unwrap().fault, None);
    for replica in replicas {
        replica.close().await;
    }
}
