//! Users and groups of the organization itself, written without a directory.

use crate::support::world::{World, all, at};
use crate::support::{TestDatabase, conformance};
use postern_store::{
    AnnouncedDirectory, Error, Flavour, GroupId, GroupRow, IdentityId, Mark, OrganizationId, Store, Target, TargetId,
    TargetKind, UserId, UserRow,
};

conformance! {
    users_and_groups_are_created_without_a_directory,
    an_account_is_linked_to_an_own_user,
    foreign_identities_are_not_touched,
    a_directory_is_a_target,
    marks_stay_until_they_are_carried_out,
}

async fn write(store: &Store, organization: OrganizationId, user: &UserRow, group: &GroupRow, commits: bool) {
    let mut tx = store.begin_identities(organization, at(1)).await.unwrap();
    tx.insert_users(vec![user.clone()]).await.unwrap();
    tx.insert_groups(vec![group.clone()]).await.unwrap();
    if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
}

async fn users_and_groups_are_created_without_a_directory(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    // This organization has no directory at all.
    let organization = store.create_organization("bare", at(0)).await.unwrap().id;
    let (user, group) =
        (UserRow { organization, ..world.person("anna").0 }, GroupRow { organization, ..world.team("staff").0 });
    write(store, organization, &user, &group, false).await;
    assert_eq!(store.get_user(organization, user.id).await.unwrap(), None);
    assert_eq!(store.get_group(organization, group.id).await.unwrap(), None);
    write(store, organization, &user, &group, true).await;
    let found = store.get_user(organization, user.id).await.unwrap().unwrap();
    assert_eq!(found, UserRow { created_at: at(1), updated_at: at(1), ..user.clone() });
    assert_eq!(store.list_groups(organization, None, &all()).await.unwrap().items.len(), 1);
    let nobodys = store.begin_identities(OrganizationId::new(), at(1)).await.map(|_| ());
    assert!(matches!(nobodys, Err(Error::NotFound { .. })), "{nobodys:?}");
    // Without an account, she is neither inactive nor missing.
    let mut tx = store.begin_identities(organization, at(2)).await.unwrap();
    tx.settle_users(&[user.id]).await.unwrap();
    tx.commit().await.unwrap();
    let found = store.get_user(organization, user.id).await.unwrap().unwrap();
    assert_eq!((found.active, found.missing_since), (true, None));
}

async fn an_account_is_linked_to_an_own_user(database: TestDatabase) {
    let store = &database.store;
    let world = World::new(store, "one").await;
    let (person, account) = world.person("anna");
    world.import(&[(person.clone(), account.clone())], &[]).await;
    let (own, group) = (world.person("bert").0, world.team("staff").0);
    for commits in [false, true] {
        let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
        tx.insert_users(vec![own.clone()]).await.unwrap();
        tx.insert_groups(vec![group.clone()]).await.unwrap();
        assert_eq!(tx.link_accounts(&[(account.id, own.id.as_uuid())]).await.unwrap(), 1);
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let linked = store.get_account(world.org(), account.id).await.unwrap().unwrap().identity;
        assert_eq!(linked, Some(if commits { own.id.as_uuid() } else { person.id.as_uuid() }));
    }
}

async fn foreign_identities_are_not_touched(database: TestDatabase) {
    let store = &database.store;
    let (mine, theirs) = (World::new(store, "mine").await, World::new(store, "theirs").await);
    let (person, team) = (theirs.person("anna"), theirs.team("staff"));
    theirs.import(std::slice::from_ref(&person), std::slice::from_ref(&team)).await;
    let mut tx = store.begin_identities(mine.org(), at(1)).await.unwrap();
    tx.update_users(vec![UserRow { user_name: "stolen".to_owned(), ..person.0.clone() }]).await.unwrap();
    tx.update_groups(vec![GroupRow { display_name: "stolen".to_owned(), ..team.0.clone() }]).await.unwrap();
    tx.settle_users(&[person.0.id]).await.unwrap();
    let own = mine.person("bert").0;
    tx.insert_users(vec![own.clone()]).await.unwrap();
    assert_eq!(tx.link_accounts(&[(person.1.id, own.id.as_uuid())]).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(store.get_user(theirs.org(), person.0.id).await.unwrap(), Some(person.0.clone()));
    assert_eq!(store.get_group(theirs.org(), team.0.id).await.unwrap(), Some(team.0));
    let linked = store.get_account(theirs.org(), person.1.id).await.unwrap().unwrap().identity;
    assert_eq!(linked, Some(person.0.id.as_uuid()));
}

async fn a_directory_is_a_target(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let target = |world: &World| Target {
        id: TargetId::from(world.directory.id),
        organization: world.org(),
        kind: TargetKind::Directory,
    };
    assert_eq!(store.targets(world.org()).await.unwrap(), [target(&world)]);
    assert_eq!(store.targets(other.org()).await.unwrap(), [target(&other)]);
    assert_eq!(target(&world).id.directory(), world.directory.id);
    // Neither a second announcement nor a deleted directory creates another target.
    let announced = [AnnouncedDirectory { name: "corp".to_owned(), flavour: Flavour::OpenLdap }];
    for _ in 0..2 {
        store.announce_directories(world.org(), world.agent.id, &announced, at(1)).await.unwrap();
        assert_eq!(store.targets(world.org()).await.unwrap(), [target(&world)]);
        store.delete_directory(world.org(), world.directory.id, at(2)).await.unwrap();
    }
    let (person, account) = world.person("anna");
    world.import(&[(person, account.clone())], &[]).await;
    let stored = store.get_account(world.org(), account.id).await.unwrap().unwrap();
    assert_eq!((stored.target, stored.target_name.as_str()), (target(&world).id, "corp"));
}

async fn marks_stay_until_they_are_carried_out(database: TestDatabase) {
    let store = &database.store;
    let (world, other) = (World::new(store, "one").await, World::new(store, "two").await);
    let target = TargetId::from(world.directory.id);
    let (user, group) = (IdentityId::User(UserId::new()), IdentityId::Group(GroupId::new()));
    let marks = async || store.due_marks(world.org(), target, at(9), 10).await.unwrap();
    for commits in [false, true] {
        let mut tx = store.begin_identities(world.org(), at(1)).await.unwrap();
        tx.mark(target, &[user, group, user]).await.unwrap();
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(marks().await.len(), if commits { 2 } else { 0 });
    }
    let found = marks().await;
    let mark = |identity, times, second| Mark {
        identity,
        times,
        marked_at: at(second),
        failures: 0,
        not_before: jiff::Timestamp::UNIX_EPOCH,
        problem: None,
        members_changed: false,
        has_moved: false,
    };
    assert_eq!(found, [user, group].map(|identity| mark(identity, 1, 1)));
    // The user changes again while the first change is provisioned.
    let mut tx = store.begin_identities(world.org(), at(2)).await.unwrap();
    tx.mark(target, &[user]).await.unwrap();
    assert_eq!(tx.clear_marks(target, &found).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(marks().await, [mark(user, 2, 2)]);
    // Nobody sets, sees or clears marks for targets of other organizations.
    let mut tx = store.begin_identities(other.org(), at(3)).await.unwrap();
    assert!(matches!(tx.mark(target, &[user]).await, Err(Error::NotFound { .. })));
    assert_eq!(tx.clear_marks(target, &marks().await).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(store.due_marks(other.org(), target, at(9), 10).await.unwrap(), []);
    assert_eq!(marks().await.len(), 1);
}
