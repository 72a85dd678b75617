//! Lists of users by group, last change and source, in every combination, page by page.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;

use postern_store::{
    AccountKind, IdentityFilter, IdentityId, NewAccount, PageRequest, Switch, UserFilter, UserRow, UserSource,
};
use support::world::{World, account_of, at};
use support::{TestDatabase, conformance};

conformance! {
    each_filter_finds_its_users_page_by_page,
    accounts_that_do_not_show_their_switch_are_listed,
    deleted_users_are_found_by_name,
}

/// The names of all users that a filter finds, by pages of this size. No user comes twice.
async fn found(world: &World, query: Option<&str>, filter: &UserFilter, limit: u32) -> BTreeSet<String> {
    let (mut names, mut page, mut pages) = (BTreeSet::new(), PageRequest::first(limit), 0);
    loop {
        let part = world.store.filter_users(world.org(), query, filter, &page).await.unwrap();
        assert!(part.items.len() <= limit as usize);
        for user in part.items {
            assert!(names.insert(user.user_name.clone()), "{} came twice", user.user_name);
        }
        let Some(next) = part.next else { return names };
        pages += 1;
        assert!(pages < 2_000, "the list does not end");
        page = PageRequest::after(next, limit);
    }
}

async fn each_filter_finds_its_users_page_by_page(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let other = World::new(&database.store, "two").await;
    other.import(&[other.person("stranger")], &[]).await;
    let mut people: Vec<(UserRow, NewAccount)> =
        (0..60).map(|number| world.person(&format!("person{number:02}"))).collect();
    for (number, (user, _)) in people.iter_mut().enumerate() {
        user.active = usize::is_multiple_of(number, 2);
    }
    // Each came at another time.
    for (second, (user, account)) in (0..).zip(&people) {
        let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(second)).await.unwrap();
        tx.identities().insert_users(vec![user.clone()]).await.unwrap();
        tx.insert_accounts(vec![account.clone()]).await.unwrap();
        tx.commit().await.unwrap();
    }
    // One has a second account in the directory.
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(0)).await.unwrap();
    tx.insert_accounts(vec![account_of(AccountKind::User, "second", Some(people[5].0.id.as_uuid()))]).await.unwrap();
    tx.commit().await.unwrap();
    let own: Vec<UserRow> = (0..10).map(|number| world.person(&format!("own{number}")).0).collect();
    let staff = world.team("staff").0;
    let mut tx = world.store.begin_identities(world.org(), at(0)).await.unwrap();
    tx.insert_own_users(own.iter().map(|user| (user.clone(), "{}".to_owned())).collect()).await.unwrap();
    tx.insert_groups(vec![staff.clone()]).await.unwrap();
    let members = people.iter().map(|(user, _)| user).chain(&own).step_by(3);
    let members: Vec<_> = members.map(|user| (staff.id, IdentityId::User(user.id))).collect();
    tx.add_members(&members).await.unwrap();
    tx.commit().await.unwrap();
    let names = |wanted: &dyn Fn(usize) -> bool| -> BTreeSet<String> {
        let all = people.iter().map(|(user, _)| user).chain(&own).map(|user| user.user_name.clone());
        all.enumerate().filter(|(number, _)| wanted(*number)).map(|(_, name)| name).collect()
    };
    let (corp, none) = (UserSource::Directory(world.directory.id), UserFilter::default());
    let active = IdentityFilter { active: Some(true), missing: None };
    let is_on = |number: usize| number >= 60 || number.is_multiple_of(2);
    for limit in [1, 7, 1_000] {
        let from_corp = UserFilter { source: Some(corp), ..none };
        assert_eq!(found(&world, None, &from_corp, limit).await, names(&|number| number < 60));
        let from_own = UserFilter { source: Some(UserSource::Organization), ..none };
        assert_eq!(found(&world, None, &from_own, limit).await, names(&|number| number >= 60));
        let in_staff = UserFilter { group: Some(staff.id), ..none };
        assert_eq!(found(&world, None, &in_staff, limit).await, names(&|number| number.is_multiple_of(3)));
        let changed = UserFilter { updated_after: Some(at(50)), ..none };
        assert_eq!(found(&world, None, &changed, limit).await, names(&|number| (51..60).contains(&number)));
        let all = UserFilter { group: Some(staff.id), source: Some(corp), updated_after: Some(at(30)), fields: active };
        let wanted = names(&|number| number.is_multiple_of(3) && (31..60).contains(&number) && is_on(number));
        assert_eq!(found(&world, None, &all, limit).await, wanted);
        let of_text = UserFilter { source: Some(corp), fields: active, ..none };
        let wanted = names(&|number| (10..20).contains(&number) && is_on(number));
        assert_eq!(found(&world, Some("Person1"), &of_text, limit).await, wanted);
    }
    let foreign = UserFilter { source: Some(UserSource::Directory(other.directory.id)), ..none };
    assert!(found(&world, None, &foreign, 10).await.is_empty(), "another organization's");
    assert!(found(&other, None, &UserFilter { group: Some(staff.id), ..none }, 10).await.is_empty());
    let wrong = PageRequest::after("no cursor".to_owned(), 10);
    let changed = UserFilter { updated_after: Some(at(0)), ..none };
    assert!(world.store.filter_users(world.org(), None, &changed, &wrong).await.is_err());
}

async fn accounts_that_do_not_show_their_switch_are_listed(database: TestDatabase) {
    let world = World::new(&database.store, "one").await;
    let mut people: Vec<_> = ["ada", "bob", "eve"].map(|name| world.person(name)).into();
    people[1].1.switch = Switch::Unknown;
    world.import(&people, &[world.team("staff")]).await;
    let unknown = async |missing| -> Vec<(String, bool, Switch)> {
        let page = PageRequest::first(10);
        let found = world.store.list_unknown_accounts(world.org(), world.directory.id, missing, &page).await.unwrap();
        found.items.into_iter().map(|account| (account.dn, account.switch_hidden, account.switch)).collect()
    };
    assert_eq!(unknown(None).await, [("uid=bob,dc=Corp".to_owned(), true, Switch::Unknown)]);
    // Ada's switch is hidden later: the last known one stays, and is listed as that.
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    let hidden = NewAccount { switch: Switch::Unknown, ..people[0].1.clone() };
    let shown = NewAccount { switch: Switch::Off, ..people[1].1.clone() };
    tx.update_accounts(vec![hidden, shown]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(unknown(None).await, [("uid=ada,dc=Corp".to_owned(), true, Switch::On)]);
    assert_eq!((unknown(Some(false)).await.len(), unknown(Some(true)).await.len()), (1, 0));
}

async fn deleted_users_are_found_by_name(database: TestDatabase) {
    let (world, other) = (World::new(&database.store, "one").await, World::new(&database.store, "two").await);
    let (ada, _) = world.person("ada");
    let mut tx = world.store.begin_identities(world.org(), at(0)).await.unwrap();
    tx.insert_own_users(vec![(ada.clone(), "{}".to_owned())]).await.unwrap();
    let user = tx.owned_user(ada.id).await.unwrap().unwrap();
    tx.delete_user(user, "root").await.unwrap();
    tx.commit().await.unwrap();
    let deleted = world.store.find_deleted_user(world.org(), "ada").await.unwrap().unwrap();
    assert_eq!((deleted.id, deleted.deleted_by.as_str()), (ada.id, "root"));
    assert!(world.store.find_deleted_user(other.org(), "ada").await.unwrap().is_none());
    assert!(world.store.find_deleted_user(world.org(), "bob").await.unwrap().is_none());
}
