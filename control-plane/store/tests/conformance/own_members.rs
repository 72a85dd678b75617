//! Members that the organization has added, beside those that imports bring.

use crate::support::world::{World, all, at, dn_key};
use crate::support::{TestDatabase, conformance};
use postern_store::{Error, GroupId, IdentityId, MemberIdentity, PageRequest, Store, UserId};

conformance! {
    own_members_are_added_and_removed_in_one_transaction,
    an_import_takes_no_own_member_away,
    named_and_own_members_page_evenly,
    own_members_pass_on_with_their_group,
    foreign_members_are_refused,
}

async fn replace(world: &World, group: GroupId, keys: &[String]) {
    let mut tx = world.store.begin_intake(world.org(), world.directory.id, at(1)).await.unwrap();
    tx.replace_members(vec![(group, keys.to_vec())]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn add(world: &World, members: &[(GroupId, IdentityId)]) -> u64 {
    let mut tx = world.store.begin_identities(world.org(), at(1)).await.unwrap();
    let added = tx.add_members(members).await.unwrap();
    tx.commit().await.unwrap();
    added
}

/// The members by id, and whether the organization has added them.
async fn members(store: &Store, world: &World, group: GroupId) -> Vec<(IdentityId, bool)> {
    let found = store.list_group_members(world.org(), group, &all()).await.unwrap().items;
    assert_eq!(store.total_group_members(world.org(), group).await.unwrap().count, found.len() as u64);
    let id = |identity: MemberIdentity| match identity {
        MemberIdentity::User { id, .. } => IdentityId::User(id),
        MemberIdentity::Group { id, .. } => IdentityId::Group(id),
    };
    found.into_iter().map(|member| (member.identity.map(id).unwrap(), member.key.is_none())).collect()
}

async fn groups_of(store: &Store, world: &World, member: IdentityId) -> Vec<GroupId> {
    let found = store.groups_of(world.org(), member.as_uuid(), &all()).await.unwrap().items;
    found.into_iter().map(|group| group.id).collect()
}

async fn own_members_are_added_and_removed_in_one_transaction(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (user, staff, inner) = (world.person("anna").0, world.team("staff").0, world.team("inner").0);
    let (anna, nested) = (IdentityId::User(user.id), IdentityId::Group(inner.id));
    let wanted = [(staff.id, anna), (staff.id, nested)];
    for commits in [false, true] {
        let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
        tx.insert_users(vec![user.clone()]).await.unwrap();
        tx.insert_groups(vec![staff.clone(), inner.clone()]).await.unwrap();
        assert_eq!(tx.add_members(&wanted).await.unwrap(), 2);
        assert_eq!(tx.add_members(&[wanted[0], wanted[0]]).await.unwrap(), 0, "it is one already");
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
            assert_eq!(members(store, &world, staff.id).await, []);
        }
    }
    let mut both = vec![(anna, true), (nested, true)];
    both.sort_by_key(|(member, _)| member.as_uuid());
    assert_eq!(members(store, &world, staff.id).await, both);
    assert_eq!(groups_of(store, &world, anna).await, [staff.id]);
    assert_eq!(groups_of(store, &world, nested).await, [staff.id]);
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    assert_eq!(tx.remove_members(&[(staff.id, anna), (inner.id, anna)]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(members(store, &world, staff.id).await, [(nested, true)]);
    assert_eq!(groups_of(store, &world, anna).await, []);
}

async fn an_import_takes_no_own_member_away(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let people = ["anna", "bert"].map(|name| world.person(name));
    let team = world.team("staff");
    world.import(&people, std::slice::from_ref(&team)).await;
    let [anna, bert] = [&people[0], &people[1]].map(|(user, _)| IdentityId::User(user.id));
    let staff = team.0.id;
    replace(&world, staff, &[dn_key("anna"), dn_key("bert")]).await;
    assert_eq!(add(&world, &[(staff, anna)]).await, 1);
    assert_eq!(members(store, &world, staff).await, [(anna, false), (bert, false)], "nobody is a member twice");
    assert_eq!(groups_of(store, &world, anna).await, [staff]);
    // The directory removes both. One was also added by the organization.
    replace(&world, staff, &[]).await;
    assert_eq!(members(store, &world, staff).await, [(anna, true)]);
    assert_eq!(groups_of(store, &world, anna).await, [staff]);
    assert_eq!(groups_of(store, &world, bert).await, []);
    // In reverse, the import's membership stays.
    replace(&world, staff, &[dn_key("anna")]).await;
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    assert_eq!(tx.remove_members(&[(staff, anna)]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(members(store, &world, staff).await, [(anna, false)]);
}

async fn named_and_own_members_page_evenly(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let people: Vec<_> = (0..300).map(|number| world.person(&format!("user{number:03}"))).collect();
    let team = world.team("staff");
    world.import(&people, std::slice::from_ref(&team)).await;
    let (imported, own) = people.split_at(150);
    let names: Vec<String> = imported.iter().map(|(user, _)| dn_key(&user.user_name)).collect();
    replace(&world, team.0.id, &names).await;
    let own: Vec<_> = own.iter().map(|(user, _)| (team.0.id, IdentityId::User(user.id))).collect();
    assert_eq!(add(&world, &own).await, 150);
    let (mut page, mut found, mut pages) = (PageRequest::first(70), Vec::new(), 0);
    loop {
        let members = store.list_group_members(world.org(), team.0.id, &page).await.unwrap();
        found.extend(members.items);
        pages += 1;
        match members.next {
            Some(next) => page = PageRequest::after(next, 70),
            None => break,
        }
    }
    let names: std::collections::BTreeSet<String> = found
        .iter()
        .map(|member| match member.identity.as_ref().unwrap() {
            MemberIdentity::User { user_name, .. } => user_name.clone(),
            MemberIdentity::Group { display_name, .. } => display_name.clone(),
        })
        .collect();
    assert_eq!((pages, found.len(), names.len()), (5, 300, 300));
    let nonsense = PageRequest::after("x".to_owned(), 10);
    assert!(store.list_group_members(world.org(), team.0.id, &nonsense).await.is_err());
}

async fn own_members_pass_on_with_their_group(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (old, new, outer) = (world.team("staff"), world.team("staff2"), world.team("all"));
    let person = world.person("anna");
    world.import(std::slice::from_ref(&person), &[old.clone(), new.clone(), outer.clone()]).await;
    let anna = IdentityId::User(person.0.id);
    assert_eq!(add(&world, &[(new.0.id, anna), (outer.0.id, IdentityId::Group(new.0.id))]).await, 2);
    let succession = postern_store::GroupSuccession { account: new.1.id, from: new.0.id, to: old.0.id };
    let mut tx = store.begin_intake(world.org(), world.directory.id, at(2)).await.unwrap();
    tx.settle_groups(&[new.1.id], &[succession]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(members(store, &world, old.0.id).await, [(anna, true)]);
    assert_eq!(members(store, &world, outer.0.id).await, [(IdentityId::Group(old.0.id), true)]);
    assert_eq!(store.get_group(world.org(), new.0.id).await.unwrap(), None);
    assert_eq!(members(store, &world, new.0.id).await, []);
}

async fn foreign_members_are_refused(database: TestDatabase) {
    let store = &database.store;
    let (mine, theirs) = (World::new(store, "mine").await, World::new(store, "theirs").await);
    let (person, team) = (theirs.person("anna"), theirs.team("staff"));
    theirs.import(std::slice::from_ref(&person), std::slice::from_ref(&team)).await;
    let (own, group) = (mine.person("bert").0, mine.team("own").0);
    let mut tx = store.begin_identities(mine.org(), at(1)).await.unwrap();
    tx.insert_users(vec![own.clone()]).await.unwrap();
    tx.insert_groups(vec![group.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let theirs_is_member = (team.0.id, IdentityId::User(person.0.id));
    add(&theirs, &[theirs_is_member]).await;
    let refused = [
        (group.id, IdentityId::User(person.0.id)),
        (group.id, IdentityId::Group(team.0.id)),
        (team.0.id, IdentityId::User(own.id)),
        (group.id, IdentityId::User(UserId::new())),
    ];
    for member in refused {
        let mut tx = store.begin_identities(mine.org(), at(1)).await.unwrap();
        let added = tx.add_members(&[member]).await;
        assert!(matches!(added, Err(Error::NotFound { .. })), "{member:?}: {added:?}");
        assert_eq!(tx.remove_members(&[theirs_is_member]).await.unwrap(), 0);
        tx.commit().await.unwrap();
    }
    assert_eq!(members(store, &mine, group.id).await, []);
    assert_eq!(members(store, &theirs, team.0.id).await, [(theirs_is_member.1, true)]);
    assert_eq!(store.list_group_members(mine.org(), team.0.id, &all()).await.unwrap().items, []);
    assert_eq!(groups_of(store, &mine, theirs_is_member.1).await, []);
}
